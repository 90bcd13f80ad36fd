//! What the parser finds out about a packet.

use crate::header::{Hop4, Hop6, Ports};
use crate::wire::{Address, Be16, Be32};

/// A TCP or UDP packet over IPv4 or IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Addresses, ports and protocol.
    pub flow: Flow,
    /// Whether it is whole.
    pub fragment: Fragment,
    /// How far a checksum of its own covers it.
    pub checksum: Checksum,
    /// Length of the Ethernet header with its tags, in bytes.
    pub link_bytes: u32,
    /// Length of the IP packet as its header says, in bytes. The frame may be longer: short ones are padded.
    pub ip_bytes: u32,
    /// Length of what follows IP header, options and extension headers, in bytes.
    pub payload_bytes: u32,
    /// `ToS` or traffic class: differentiated services and ECN.
    pub traffic_class: u8,
    /// The word that holds TTL or hop limit.
    pub hop: Hop,
}

impl Packet {
    /// Whether this is only a part of a packet.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        match self.fragment {
            Fragment::Whole => false,
            Fragment::First | Fragment::Later => true,
        }
    }
}

/// What the flow hash covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The family of both addresses.
    pub family: Family,
    /// The client.
    pub source: Address,
    /// The service.
    pub destination: Address,
    /// Both ports; zero in a later fragment.
    pub ports: Ports,
    /// TCP or UDP.
    pub protocol: u8,
}

impl Flow {
    /// No flow: protocol zero.
    ///
    /// A value rather than an `Option`, whose absent payload the compiler would carry about undefined, which the
    /// verifier does not let pass.
    pub const UNKNOWN: Self = Self {
        family: Family::V4,
        source: [Be32::from_raw(0); 4],
        destination: [Be32::from_raw(0); 4],
        ports: Ports { source: Be16::from_raw(0), destination: Be16::from_raw(0) },
        protocol: 0,
    };
}

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Which part of a packet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first of several: it has the ports.
    First,
    /// One of the others: no ports.
    Later,
}

/// What the transport checksum says about the packet's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// It covers everything that follows the fixed IP header and IPv4's options.
    Whole,
    /// There is one, but it leaves out extension headers, or bytes behind the UDP datagram.
    Part,
    /// UDP without a checksum.
    None,
}

/// The word of the IP header that forwarding changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// IPv4: TTL, protocol, checksum.
    V4(Hop4),
    /// IPv6: payload length, next header, hop limit; and the word before it.
    V6(Hop6, Be32),
}
