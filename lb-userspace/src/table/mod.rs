//! Lookup tables: which backend owns which slot. Pure: no I/O, no clock.
//!
//! [`maglev`] makes a table from nothing, [`rebalance`] makes the next one from a running one. Both hand out slots the
//! same way ([`fill`]); they differ only in which slots are free to begin with.

mod fill;
mod identity;
mod quota;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::hash::Hasher;

use lb_common::abi::{BackendId, SLOTS, Slot};
use siphasher::sip::SipHasher13;

pub use self::fill::{maglev, rebalance};
pub use self::identity::Identity;

/// A backend as a table sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// What slots name. Never part of where slots fall: two nodes may number the same backend differently.
    pub id: BackendId,
    /// The backend's address, with `port` its identity.
    pub address: std::net::IpAddr,
    /// The backend's port; 0 where it is the service's.
    pub port: u16,
    /// Share of the slots relative to the other members; 0 owns none.
    pub weight: u32,
}

impl Member {
    /// What the backend is to every node alike.
    pub fn identity(&self) -> Identity {
        Identity { address: self.address, port: self.port }
    }
}

/// A pool's lookup table: the owner of each of the [`SLOTS`] slots.
#[derive(Clone, PartialEq, Eq)]
pub struct Table(Box<[BackendId; SLOTS]>);

impl Table {
    /// The table in which no slot has an owner.
    pub fn empty() -> Self {
        Self(boxed(vec![BackendId::NONE; SLOTS]))
    }

    /// The table with these owners, or `None` when they are not [`SLOTS`] many.
    pub fn from_owners(owners: Vec<BackendId>) -> Option<Self> {
        owners.into_boxed_slice().try_into().ok().map(Self)
    }

    /// The table as the kernel holds it, every slot settled; `None` when there are not [`SLOTS`] slots, or one names
    /// an id that cannot be.
    pub fn from_slots(slots: &[Slot]) -> Option<Self> {
        slots
            .iter()
            .map(|slot| BackendId::new(slot.current()))
            .collect::<Option<_>>()
            .and_then(Self::from_owners)
    }

    /// The slots as the kernel holds them, every one settled.
    pub fn to_slots(&self) -> Box<[Slot; SLOTS]> {
        boxed(self.0.iter().map(|&owner| Slot::settled(owner)).collect())
    }

    /// Who owns a slot; [`BackendId::NONE`] for nobody.
    pub fn owner(&self, slot: u16) -> BackendId {
        self.0[usize::from(slot)]
    }

    /// The owner of each slot in turn.
    pub fn owners(&self) -> impl ExactSizeIterator<Item = BackendId> + '_ {
        self.0.iter().copied()
    }

    /// How many slots each owner has; [`BackendId::NONE`] is listed when it has some.
    pub fn shares(&self) -> BTreeMap<BackendId, u32> {
        let mut counts = vec![0_u32; lb_common::abi::MAX_BACKENDS as usize];
        for owner in self.0.iter() {
            counts[owner.get() as usize] += 1;
        }
        let named = |(id, count): (u32, u32)| Some((BackendId::new(id)?, count));
        (0..).zip(counts).filter(|&(_, count)| count > 0).filter_map(named).collect()
    }

    /// How many slots go from which owner to which on the way from this table to `next`; those that stay are not
    /// counted.
    pub fn moves(&self, next: &Self) -> BTreeMap<(BackendId, BackendId), u32> {
        let mut moves = BTreeMap::new();
        for (&from, &to) in self.0.iter().zip(next.0.iter()).filter(|(from, to)| from != to) {
            *moves.entry((from, to)).or_default() += 1;
        }
        moves
    }

    /// A number that is equal for equal tables on all nodes, however they number their backends: it covers the
    /// owners' identities. An id that `identity` does not know counts as no owner.
    pub fn digest(&self, identity: impl Fn(BackendId) -> Option<Identity>) -> u64 {
        let known: BTreeMap<_, _> =
            self.shares().into_keys().map(|id| (id, identity(id).map_or(0, Identity::hash))).collect();
        let mut hasher = SipHasher13::new_with_key(&identity::KEY);
        for owner in self.0.iter() {
            hasher.write(&known[owner].to_le_bytes());
        }
        hasher.finish()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Table").field(&self.shares()).finish()
    }
}

/// One of something for each slot.
fn boxed<T: std::fmt::Debug>(each: Vec<T>) -> Box<[T; SLOTS]> {
    each.into_boxed_slice().try_into().expect("one for each slot")
}
