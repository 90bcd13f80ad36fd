//! Packets in, packets out: frames built and expected from what they mean, and the real programs run over them.
//!
//! What a test expects is worked out here from the description of service, backend and packet, with etherparse for the
//! headers and their checksums and a second implementation of the flow hash. Nothing of it comes from the packet code
//! under test; only the types of the maps do.

#![expect(clippy::missing_panics_doc, reason = "all of it is for tests, which fail by panicking")]

mod agent_host;
mod balancer_host;
mod bytes;
mod expect;
mod fixture;
mod frame;
mod hash;
mod kernel;
mod scene;
mod standard;
mod tunnel;

pub use agent_host::AgentHost;
pub use balancer_host::BalancerHost;
pub use bytes::internet_checksum;
pub use expect::{encapsulated, forwarded, relinked};
pub use fixture::{Expect, Fixture, Outcome, Table};
pub use frame::{Extension, Frame, Ip, Tag, Transport};
pub use hash::{Flow, flow_hash};
pub use kernel::{Agent, Balancer, OTHER_INTERFACE, Run};
pub use scene::{
    Backend, Forward, HashKey, Match, Pool, Protocol, Scene, Service, Slots, Wire, ZeroChecksum,
};
pub use standard::{SEED, standard};
pub use tunnel::{Checksum, Tunnel};

/// The action that a program returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// `XDP_ABORTED`: never.
    Aborted = 0,
    /// `XDP_DROP`.
    Drop = 1,
    /// `XDP_PASS`.
    Pass = 2,
    /// `XDP_TX`.
    Transmit = 3,
    /// `XDP_REDIRECT`.
    Redirect = 4,
}

impl Action {
    /// The action with this number.
    pub fn new(number: u32) -> Option<Self> {
        [Self::Aborted, Self::Drop, Self::Pass, Self::Transmit, Self::Redirect]
            .into_iter()
            .find(|action| *action as u32 == number)
    }
}
