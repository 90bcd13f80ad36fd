//! Names and bits of the read-only globals, set before load. What a configuration does not use is a cleared bit, and
//! the verifier removes the code behind it.
//!
//! In the object they must not start as zero, unless nothing else is a constant zero of that type: LLVM makes equal
//! constants one, and setting the global would then set a promoted `&0` elsewhere too (seen: a lookup by `&0` that
//! failed because `FEATURES` was its key).

/// `u64`: the key of the flow hash, equal on every balancer.
pub const SEED: &str = "SEED";
/// `u32`: the bits below.
pub const FEATURES: &str = "FEATURES";
/// `u32`: with [`super::program::BALANCER_LOG`], the service id whose packets are logged; `u32::MAX` for all.
pub const LOG_SERVICE: &str = "LOG_SERVICE";
/// `u32`: most log lines per second and CPU.
pub const LOG_RATE: &str = "LOG_RATE";
/// `u16`: the UDP port on which the agent takes GUE, host order.
pub const AGENT_GUE_PORT: &str = "AGENT_GUE_PORT";

/// There are services on IPv4 addresses.
pub const IPV4: u32 = 1 << 0;
/// There are services on IPv6 addresses.
pub const IPV6: u32 = 1 << 1;
/// There are any-port services.
pub const ANY_PORT: u32 = 1 << 2;
/// There are services on a prefix.
pub const PREFIX: u32 = 1 << 3;
/// There are services on a prefix with any port.
pub const PREFIX_ANY_PORT: u32 = 1 << 4;
/// A pool forwards with IPIP.
pub const IPIP: u32 = 1 << 5;
/// A pool forwards with GUE.
pub const GUE: u32 = 1 << 6;
/// A pool forwards by MAC rewrite.
pub const L2: u32 = 1 << 7;
/// A backend is this host.
pub const LOCAL: u32 = 1 << 8;
/// A backend's outer header is IPv4.
pub const OUTER4: u32 = 1 << 9;
/// A backend's outer header is IPv6.
pub const OUTER6: u32 = 1 << 10;
/// A backend may be behind another interface than the packet came in by.
pub const REDIRECT: u32 = 1 << 11;
/// A backend entry writes VLAN tags.
pub const EGRESS_VLAN: u32 = 1 << 12;
/// An outer source is drawn from a prefix.
pub const DRAWN_SOURCE: u32 = 1 << 13;
/// Every bit above: nothing is compiled out.
pub const ALL: u32 = (1 << 14) - 1;
