//! What the packet logic needs from the maps, and from the read-only globals.

use crate::Reason;
use crate::abi::{
    AgentKey4, AgentKey6, Egress, PrefixKey4, PrefixKey6, Service, ServiceKey4, ServiceKey6, Slot,
};
use crate::wire::Address;

/// The maps that the balancer reads.
pub trait Tables {
    /// Looks a service up by exact key.
    fn service4(&self, key: &ServiceKey4) -> Option<&Service>;
    /// Looks a service up by exact key.
    fn service6(&self, key: &ServiceKey6) -> Option<&Service>;
    /// Looks the service on the longest matching prefix up.
    fn prefix4(&self, key: &PrefixKey4) -> Option<&Service>;
    /// Looks the service on the longest matching prefix up.
    fn prefix6(&self, key: &PrefixKey6) -> Option<&Service>;
    /// The slot that `hash` picks of a table.
    fn slot(&self, table: u32, hash: u32) -> Option<Slot>;
    /// The live copy of a backend's egress entry.
    fn egress(&self, backend: u32) -> Option<&Egress>;
    /// Has the kernel send the frame out by another device, once the program returns [`Reason::Redirected`].
    /// [`Reason::BadTable`] when the device is not in the devmap.
    fn redirect(&self, ifindex: u32) -> Result<(), Reason>;
}

/// The maps that the agent reads.
pub trait AgentTables {
    /// The family, 4 or 6, under which `address` is this host's, if it is.
    fn own_address(&self, address: &Address) -> Option<u32>;
    /// Whether an outer source is a balancer's.
    fn source4(&self, key: &AgentKey4) -> Option<()>;
    /// Whether an outer source is a balancer's.
    fn source6(&self, key: &AgentKey6) -> Option<()>;
}

/// What is fixed while a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits of [`crate::abi::global`].
    pub features: u32,
    /// Key of the flow hash.
    pub seed: u64,
    /// The device that the frame came in by.
    pub ifindex: u32,
}

impl Settings {
    /// Whether a bit of [`crate::abi::global`] is set. In the kernel the answer is known at load time, and the
    /// verifier removes the branch that is not taken.
    #[inline(always)]
    pub const fn has(&self, feature: u32) -> bool {
        self.features & feature != 0
    }
}
