//! What must become of a flow: it is cut when, and only when, the slot it is in gets another owner.

use lb_userspace::config::model::Protocol;

use super::slot;
use crate::traffic::Transfer;

/// The owner of each slot.
pub type Owners = Vec<Option<String>>;

/// A transfer's slot, and who owns it from change to change.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The slot.
    pub slot: usize,
    /// Its owner at first and after each change.
    pub owners: Vec<Option<String>>,
}

impl Fate {
    /// The fate of a connected transfer under the tables so far.
    pub fn of(transfer: &Transfer, tables: &[Owners]) -> Option<Self> {
        let slot = slot(Protocol::Tcp, transfer.local?, transfer.remote);
        Some(Self { slot, owners: tables.iter().map(|owners| owners[slot].clone()).collect() })
    }

    /// The first change, counted from 1, that gave the slot another owner.
    pub fn moved_by(&self) -> Option<usize> {
        self.owners.windows(2).position(|pair| pair[0] != pair[1]).map(|at| at + 1)
    }
}

/// How many slots have another owner in `after` than in `before`.
pub fn moved(before: &[Option<String>], after: &[Option<String>]) -> usize {
    before.iter().zip(after).filter(|(before, after)| before != after).count()
}
