//! How a packet reaches a backend ([`super::Egress::mode`]): the pool's forward mode and the family of the outer header.

/// No usable backend: [`crate::Reason::NoBackend`].
pub const NONE: u8 = 0;
/// IPIP with an outer IPv4 header (RFC 2003, RFC 4213).
pub const IPIP4: u8 = 1;
/// IPIP with an outer IPv6 header (RFC 2473).
pub const IPIP6: u8 = 2;
/// GUE variant 0, no private data, in UDP over IPv4 (draft-ietf-intarea-gue).
pub const GUE4: u8 = 3;
/// GUE in UDP over IPv6.
pub const GUE6: u8 = 4;
/// The packet as it is, to the backend's MAC address.
pub const L2: u8 = 5;
/// This host is the backend: the packet as it is, to the local stack.
pub const LOCAL: u8 = 6;
