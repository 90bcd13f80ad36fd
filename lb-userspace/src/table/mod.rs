//! Lookup tables: which backend owns which slot. Pure: no I/O, no clock.

use std::net::IpAddr;

use lb_common::abi::{BackendId, SLOTS};

/// A backend as a table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What slots name. Never part of where slots fall: two nodes may number the same backend differently.
    pub id: BackendId,
    /// The backend's address, with `port` its identity.
    pub address: IpAddr,
    /// The backend's port; 0 where it is the service's.
    pub port: u16,
    /// Share of the slots relative to the other members; 0 owns none.
    pub weight: u32,
}

/// A pool's lookup table: the owner of each of the [`SLOTS`] slots.
#[derive(Clone, PartialEq, Eq)]
pub struct Table(Box<[BackendId; SLOTS]>);

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}
