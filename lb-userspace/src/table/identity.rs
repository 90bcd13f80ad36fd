//! What a backend is to every node alike, and where that puts it in a table.

use std::hash::Hasher;
use std::net::IpAddr;

use lb_common::abi::SLOTS;
use siphasher::sip128::{Hasher128, SipHasher24};

/// Key of every hash in this room. Changing it moves nearly all slots of all tables everywhere.
pub(super) const KEY: [u8; 16] = *b"xlb table v1 key";

/// A backend's address and port: the same on all nodes, unlike its name and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The backend's address.
    pub address: IpAddr,
    /// The backend's port; 0 where it is the service's.
    pub port: u16,
}

impl Identity {
    /// A stable hash: `SipHash` of the family, the address and the port.
    pub fn hash(self) -> u64 {
        self.hash128().0
    }

    /// The order in which this backend asks for slots.
    pub(super) fn permutation(self) -> Permutation {
        let (first, second) = self.hash128();
        let low = |hash: u64| usize::try_from(hash & (SLOTS as u64 - 1)).expect("below SLOTS");
        Permutation { next: low(first), skip: low(second) | 1 }
    }

    fn hash128(self) -> (u64, u64) {
        let mut hasher = SipHasher24::new_with_key(&KEY);
        match self.address {
            IpAddr::V4(address) => {
                hasher.write_u8(4);
                hasher.write(&address.octets());
            }
            IpAddr::V6(address) => {
                hasher.write_u8(6);
                hasher.write(&address.octets());
            }
        }
        hasher.write(&self.port.to_be_bytes());
        let hash = hasher.finish128();
        (hash.h1, hash.h2)
    }
}

/// Every slot once: an offset and then steps of an odd skip, which has no divisor in common with a power of two.
#[derive(Clone, Copy, Debug)]
pub(super) struct Permutation {
    next: usize,
    skip: usize,
}

impl Permutation {
    /// The next slot of the endless walk.
    pub(super) fn step(&mut self) -> usize {
        let slot = self.next;
        self.next = (slot + self.skip) & (SLOTS - 1);
        slot
    }
}
