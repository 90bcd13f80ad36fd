//! Headers as they stand on the wire, in words rather than bytes.
//!
//! network-types is the vocabulary for what they mean, but its byte arrays compile to byte loads; these have the
//! natural alignment of their fields. A test holds the sizes against network-types'.

use network_types::eth::EtherType;

use crate::wire::{Address, Be16, Be32};

/// `EtherType`s that the packet path compares with, as they stand on the wire.
pub mod ether_type {
    use super::{Be16, EtherType};

    /// IPv4.
    pub const IPV4: Be16 = Be16::from_raw(EtherType::Ipv4 as u16);
    /// IPv6.
    pub const IPV6: Be16 = Be16::from_raw(EtherType::Ipv6 as u16);
    /// An 802.1Q tag.
    pub const VLAN: Be16 = Be16::from_raw(EtherType::Ieee8021q as u16);
    /// An 802.1ad service tag.
    pub const SERVICE_VLAN: Be16 = Be16::from_raw(EtherType::Ieee8021ad as u16);
}

/// Destination and source MAC address, in words that are copied as such.
pub type Macs = [u32; 3];

/// Ethernet II.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet {
    /// Destination MAC address, then source MAC address.
    pub macs: [Be16; 6],
    /// What follows: one of [`ether_type`], or anything else.
    pub ether_type: Be16,
}

impl Ethernet {
    /// Both addresses.
    #[inline(always)]
    #[expect(clippy::many_single_char_names, reason = "six words")]
    pub const fn macs(&self) -> Macs {
        let [a, b, c, d, e, f] = self.macs;
        [word(a.raw(), b.raw()), word(c.raw(), d.raw()), word(e.raw(), f.raw())]
    }
}

/// Two words as one, in the order in which they stand in memory.
#[inline(always)]
const fn word(first: u16, second: u16) -> u32 {
    let ([a, b], [c, d]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u32::from_ne_bytes([a, b, c, d])
}

/// What stands behind a tag's protocol id: its control information and what follows.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagRest {
    /// Priority, drop eligibility and VLAN id.
    pub tci: Be16,
    /// What follows.
    pub ether_type: Be16,
}

/// IPv4 without its options (RFC 791).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Version in the upper half, header length in 32-bit words in the lower.
    pub version_ihl: u8,
    /// Differentiated services and ECN.
    pub tos: u8,
    /// Header and payload, in bytes.
    pub total_length: Be16,
    /// Identification.
    pub id: Be16,
    /// Flags in the upper three bits, fragment offset below.
    pub fragment: Be16,
    /// Time to live, protocol and checksum.
    pub hop: Hop4,
    /// Source address.
    pub source: Be32,
    /// Destination address.
    pub destination: Be32,
}

impl Ipv4 {
    /// "Don't fragment" in [`Ipv4::fragment`].
    pub const DONT_FRAGMENT: u16 = 0x4000;
    /// "More fragments" in [`Ipv4::fragment`].
    pub const MORE_FRAGMENTS: u16 = 0x2000;
    /// The offset in [`Ipv4::fragment`].
    pub const OFFSET_MASK: u16 = 0x1fff;
    /// Length of a header without options, in bytes.
    pub const BYTES: u32 = 20;

    /// The header's length in bytes as it says itself, 0 to 60.
    #[inline(always)]
    pub const fn header_bytes(&self) -> u32 {
        (self.version_ihl as u32 & 0xf) << 2
    }
}

/// The word of an IPv4 header that a hop changes.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop4 {
    /// Time to live.
    pub ttl: u8,
    /// Protocol.
    pub protocol: u8,
    /// Header checksum.
    pub checksum: Be16,
}

impl Hop4 {
    /// Where it stands in the header, in bytes.
    pub const OFFSET: u32 = 8;
}

/// IPv6 (RFC 8200).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Version, traffic class and flow label.
    pub start: Be32,
    /// Payload length, next header and hop limit.
    pub hop: Hop6,
    /// Source address.
    pub source: Address,
    /// Destination address.
    pub destination: Address,
}

impl Ipv6 {
    /// Length of the header, in bytes.
    pub const BYTES: u32 = 40;

    /// The version.
    #[inline(always)]
    pub const fn version(&self) -> u32 {
        self.start.get() >> 28
    }

    /// The traffic class: differentiated services and ECN.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "eight bits of it")]
    pub const fn traffic_class(&self) -> u8 {
        (self.start.get() >> 20) as u8
    }

    /// [`Ipv6::start`] with another traffic class.
    #[inline(always)]
    pub const fn start_with(&self, traffic_class: u8) -> Be32 {
        Be32::new(self.start.get() & !(0xff << 20) | (traffic_class as u32) << 20)
    }
}

/// The word of an IPv6 header that a hop changes.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop6 {
    /// Everything behind the fixed header, in bytes.
    pub payload_length: Be16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
}

impl Hop6 {
    /// Where it stands in the header, in bytes.
    pub const OFFSET: u32 = 4;
}

/// The first eight bytes of an IPv6 extension header: hop-by-hop and destination options, routing, fragment.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// What follows.
    pub next_header: u8,
    /// Length in units of eight bytes, not counting the first eight. A fragment header has zero here, unused.
    pub length: u8,
    /// Routing: type, then [`Extension::segments_left`]. Fragment: offset in the upper thirteen bits, "more
    /// fragments" in the lowest.
    pub word: Be16,
    /// The rest.
    pub rest: Be32,
}

impl Extension {
    /// "More fragments" in [`Extension::word`] of a fragment header.
    pub const MORE_FRAGMENTS: u16 = 1;
    /// The offset in [`Extension::word`] of a fragment header.
    pub const OFFSET_MASK: u16 = 0xfff8;

    /// The header's length, in bytes: 8 to 2048.
    #[inline(always)]
    pub const fn bytes(&self) -> u32 {
        (self.length as u32 + 1) << 3
    }

    /// In a routing header, the stops still to be visited.
    #[inline(always)]
    pub const fn segments_left(&self) -> u16 {
        self.word.get() & 0xff
    }
}

/// TCP without its options (RFC 9293).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Both ports.
    pub ports: Ports,
    /// Sequence number.
    pub sequence: Be32,
    /// Acknowledgement number.
    pub acknowledgement: Be32,
    /// Header length in 32-bit words in the upper four bits, flags below.
    pub offset_flags: Be16,
    /// Window.
    pub window: Be16,
    /// Checksum.
    pub checksum: Be16,
    /// Urgent pointer.
    pub urgent: Be16,
}

/// UDP (RFC 768).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp {
    /// Both ports.
    pub ports: Ports,
    /// Header and payload, in bytes.
    pub length: Be16,
    /// Checksum, or zero.
    pub checksum: Be16,
}

/// The ports that TCP and UDP start with.
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// Source port.
    pub source: Be16,
    /// Destination port.
    pub destination: Be16,
}

impl Ports {
    /// Both ports as one word, as the CPU loads it on a little-endian machine: source below.
    #[inline(always)]
    pub const fn raw(self) -> u32 {
        self.source.raw() as u32 | (self.destination.raw() as u32) << 16
    }
}

/// GUE variant 0 without optional fields (draft-ietf-intarea-gue).
#[repr(C, align(4))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gue {
    /// Variant in the upper two bits, control bit, length of optional fields in 32-bit words.
    pub start: u8,
    /// IP protocol of what follows.
    pub protocol: u8,
    /// Which optional fields there are.
    pub flags: Be16,
}

#[cfg(test)]
mod tests {
    use network_types::{eth, ip, tcp, udp, vlan};

    use super::*;

    #[test]
    fn sizes_are_network_types_own() {
        assert_eq!(size_of::<Ethernet>(), eth::EthHdr::LEN);
        assert_eq!(size_of::<TagRest>(), vlan::VlanHdr::LEN);
        assert_eq!(size_of::<Ipv4>(), ip::Ipv4Hdr::LEN);
        assert_eq!(size_of::<Ipv6>(), ip::Ipv6Hdr::LEN);
        assert_eq!(size_of::<Tcp>(), tcp::TcpHdr::LEN);
        assert_eq!(size_of::<Udp>(), udp::UdpHdr::LEN);
    }
}
