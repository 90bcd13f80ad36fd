//! Sends a packet on its way to a backend: encapsulated, with new MAC addresses, or to this host.
//!
//! - An encapsulating balancer forwards, as RFC 2003 has it: it decrements TTL or hop limit and does not send out a
//!   packet whose last hop it was. The packet leaves exactly as long as its header says; what padded a short frame
//!   is cut off. `l2` is direct server return within one segment: nothing above the Ethernet header changes, padding
//!   included. `local` changes nothing at all.
//! - No outer packet is longer than the way to the backend takes, and none may be fragmented. The identification of
//!   an outer IPv4 packet is zero: with "don't fragment" set it has no meaning (RFC 6864).
//! - `ToS` or traffic class is copied outward, congestion mark included (RFC 6040, normal mode).

use crate::Reason;
use crate::abi::{Egress, global, mode, protocol};
use crate::checksum;
use crate::cursor::Cursor;
use crate::frame::Frame;
use crate::gue;
use crate::header::{Hop4, Hop6, Ipv4, Ipv6, ether_type};
use crate::link::{Link, link_bytes};
use crate::packet::{Family, Hop, Packet};
use crate::tables::{Settings, Tables};
use crate::wire::{Address, Be16, Be32};

/// TTL or hop limit of an outer header.
pub const OUTER_HOPS: u8 = 64;

/// Forwards `packet`, which `frame` holds, as `egress` says.
#[inline(always)]
pub fn forward<F: Frame, T: Tables>(
    frame: &mut F,
    packet: &Packet,
    egress: &Egress,
    hash: u32,
    tables: &T,
    settings: &Settings,
) -> Result<Reason, Reason> {
    if settings.has(global::LOCAL) && egress.mode == mode::LOCAL {
        return Ok(Reason::Local);
    }
    if settings.has(global::L2) && egress.mode == mode::L2 {
        relink(frame, packet, egress, settings)?;
    } else {
        let outer = Outer::of(egress.mode, settings)?;
        encapsulate(frame, packet, egress, outer, hash, settings)?;
    }
    if egress.ifindex == settings.ifindex {
        Ok(Reason::Transmitted)
    } else if settings.has(global::REDIRECT) {
        tables.redirect(egress.ifindex).map(|()| Reason::Redirected)
    } else {
        Err(Reason::BadTable)
    }
}

impl Egress {
    /// The sum for [`Egress::checksum`]: version, header length, "don't fragment", TTL, source without drawn bits and
    /// destination of an outer IPv4 header. Zero where the outer header is IPv6.
    #[must_use]
    pub fn outer4_sum(&self) -> u32 {
        if !matches!(self.mode, mode::IPIP4 | mode::GUE4) {
            return 0;
        }
        let halves = |word: Be32| (word.raw() & 0xffff) + (word.raw() >> 16);
        let kept = self.outer_source[0].get() & !low_bits(self.source_bits);
        u32::from(Be16::new(0x4500).raw())
            + u32::from(Be16::new(Ipv4::DONT_FRAGMENT).raw())
            + u32::from(Be16::new(u16::from(OUTER_HOPS) << 8).raw())
            + halves(Be32::new(kept))
            + halves(self.outer_destination[0])
    }
}

/// The shape of an outer header.
#[derive(Clone, Copy)]
struct Outer {
    family: Family,
    tunnel: Tunnel,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tunnel {
    Ipip,
    Gue,
}

impl Outer {
    /// The outer header of a mode. A mode that the program was not specialised for is a fault of the tables.
    #[inline(always)]
    fn of(mode: u8, settings: &Settings) -> Result<Self, Reason> {
        let (family, tunnel) = match mode {
            mode::NONE => return Err(Reason::NoBackend),
            mode::IPIP4 if settings.has(global::OUTER4) => (Family::V4, Tunnel::Ipip),
            mode::IPIP6 if settings.has(global::OUTER6) => (Family::V6, Tunnel::Ipip),
            mode::GUE4 if settings.has(global::OUTER4) => (Family::V4, Tunnel::Gue),
            mode::GUE6 if settings.has(global::OUTER6) => (Family::V6, Tunnel::Gue),
            _ => return Err(Reason::BadTable),
        };
        let compiled_in = match tunnel {
            Tunnel::Ipip => settings.has(global::IPIP),
            Tunnel::Gue => settings.has(global::GUE),
        };
        if compiled_in { Ok(Self { family, tunnel }) } else { Err(Reason::BadTable) }
    }

    #[inline(always)]
    const fn bytes(self) -> u32 {
        let ip = match self.family {
            Family::V4 => Ipv4::BYTES,
            Family::V6 => Ipv6::BYTES,
        };
        match self.tunnel {
            Tunnel::Ipip => ip,
            Tunnel::Gue => ip + gue::BYTES,
        }
    }
}

/// The packet as it is behind a new Ethernet header.
#[inline(always)]
fn relink<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    egress: &Egress,
    settings: &Settings,
) -> Result<(), Reason> {
    if packet.ip_bytes > u32::from(egress.mtu) {
        return Err(Reason::TooBig);
    }
    let tag_count = tag_count(egress, settings);
    let longer = link_bytes(tag_count).cast_signed() - packet.link_bytes.cast_signed();
    if longer != 0 {
        frame.move_start(-longer)?;
    }
    Link::of_egress(egress, tag_count, ether_type(packet.flow.family)).write(&mut frame.cursor())
}

/// The packet behind an outer header.
#[inline(always)]
fn encapsulate<F: Frame>(
    frame: &mut F,
    packet: &Packet,
    egress: &Egress,
    outer: Outer,
    hash: u32,
    settings: &Settings,
) -> Result<(), Reason> {
    let ip_bytes = packet.ip_bytes + outer.bytes();
    if ip_bytes > u32::from(egress.mtu) {
        return Err(Reason::TooBig);
    }
    let hop = next_hop(packet.hop)?;
    let padding = frame.bytes() - packet.link_bytes - packet.ip_bytes;
    if padding != 0 {
        frame.cut_end(padding)?;
    }
    let headers = Headers { packet, egress, hash, source: source(egress, outer.family, hash, settings) };
    let gue = settings.has(global::GUE) && outer.tunnel == Tunnel::Gue;
    let shim = if gue { Some(gue::Shim::new(frame, &headers, hop, outer.family)?) } else { None };
    let inner = match packet.flow.family {
        Family::V4 => protocol::IPV4,
        Family::V6 => protocol::IPV6,
    };
    let carried = if gue { protocol::UDP } else { inner };

    let tag_count = tag_count(egress, settings);
    let longer = link_bytes(tag_count) + outer.bytes() - packet.link_bytes;
    frame.move_start(-longer.cast_signed())?;
    let mut cursor = frame.cursor();
    Link::of_egress(egress, tag_count, ether_type(outer.family)).write(&mut cursor)?;
    match outer.family {
        Family::V4 => cursor.write(headers.ipv4(ip_bytes, carried, settings))?,
        Family::V6 => cursor.write(headers.ipv6(ip_bytes, carried))?,
    }
    if let Some(shim) = shim {
        cursor.write(shim.udp)?;
        cursor.write(shim.gue)?;
    }
    write_hop(cursor, hop)
}

/// What outer headers are made from.
pub(crate) struct Headers<'p> {
    pub(crate) packet: &'p Packet,
    pub(crate) egress: &'p Egress,
    pub(crate) hash: u32,
    /// The outer source, drawn bits included.
    pub(crate) source: Address,
}

impl Headers<'_> {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "no longer than the egress's MTU, which has 16 bits")]
    fn ipv4(&self, ip_bytes: u32, carried: u8, settings: &Settings) -> Ipv4 {
        let tos = self.packet.traffic_class;
        let total_length = Be16::new(ip_bytes as u16);
        let mut sum = self.egress.checksum
            + u32::from(Be16::new(u16::from(tos)).raw())
            + u32::from(Be16::new(u16::from(carried)).raw())
            + u32::from(total_length.raw());
        if settings.has(global::DRAWN_SOURCE) {
            let drawn = Be32::new(self.source[0].get() & low_bits(self.egress.source_bits)).raw();
            sum += (drawn & 0xffff) + (drawn >> 16);
        }
        Ipv4 {
            version_ihl: 0x45,
            tos,
            total_length,
            id: Be16::from_raw(0),
            fragment: Be16::new(Ipv4::DONT_FRAGMENT),
            hop: Hop4 { ttl: OUTER_HOPS, protocol: carried, checksum: Be16::from_raw(!checksum::fold(sum)) },
            source: self.source[0],
            destination: self.egress.outer_destination[0],
        }
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "no longer than the egress's MTU, which has 16 bits")]
    fn ipv6(&self, ip_bytes: u32, carried: u8) -> Ipv6 {
        // The slot is the hash's lower half and equal for all flows of it: the label takes the upper bits.
        let label = self.hash >> 12;
        Ipv6 {
            start: Be32::new(6 << 28 | u32::from(self.packet.traffic_class) << 20 | label),
            hop: Hop6 {
                payload_length: Be16::new((ip_bytes - Ipv6::BYTES) as u16),
                next_header: carried,
                hop_limit: OUTER_HOPS,
            },
            source: self.source,
            destination: self.egress.outer_destination,
        }
    }
}

/// The outer source, its low bits drawn by the upper half of the hash.
#[inline(always)]
fn source(egress: &Egress, family: Family, hash: u32, settings: &Settings) -> Address {
    let [a, b, c, d] = egress.outer_source;
    if !settings.has(global::DRAWN_SOURCE) {
        return egress.outer_source;
    }
    let mask = low_bits(egress.source_bits);
    let drawn = hash.rotate_left(16) & mask;
    let draw = |word: Be32| Be32::new(word.get() & !mask | drawn);
    match family {
        Family::V4 => [draw(a), b, c, d],
        Family::V6 => [a, b, c, draw(d)],
    }
}

/// The `bits` lowest bits, 0 to 32 of them.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "32 bits at most are set")]
const fn low_bits(bits: u8) -> u32 {
    ((1_u64 << (bits & 63)) - 1) as u32
}

/// The word with TTL or hop limit as it leaves.
#[inline(always)]
fn next_hop(hop: Hop) -> Result<Hop, Reason> {
    match hop {
        Hop::V4(Hop4 { ttl: 0 | 1, .. }) | Hop::V6(Hop6 { hop_limit: 0 | 1, .. }, _) => Err(Reason::HopLimit),
        Hop::V4(old) => {
            let word = |ttl: u8| Be16::new(u16::from(ttl) << 8 | u16::from(old.protocol));
            let ttl = old.ttl - 1;
            let checksum = checksum::replace(old.checksum, word(old.ttl), word(ttl));
            Ok(Hop::V4(Hop4 { ttl, checksum, ..old }))
        }
        Hop::V6(old, start) => Ok(Hop::V6(Hop6 { hop_limit: old.hop_limit - 1, ..old }, start)),
    }
}

/// Writes the word with TTL or hop limit into the inner header that `cursor` stands in front of.
#[inline(always)]
fn write_hop(mut cursor: Cursor<'_>, hop: Hop) -> Result<(), Reason> {
    match hop {
        Hop::V4(hop) => {
            cursor.skip(Hop4::OFFSET);
            cursor.write(hop)
        }
        Hop::V6(hop, _) => {
            cursor.skip(Hop6::OFFSET);
            cursor.write(hop)
        }
    }
}

#[inline(always)]
fn tag_count(egress: &Egress, settings: &Settings) -> u32 {
    if settings.has(global::EGRESS_VLAN) { u32::from(egress.tag_count).min(2) } else { 0 }
}

#[inline(always)]
const fn ether_type(family: Family) -> Be16 {
    match family {
        Family::V4 => ether_type::IPV4,
        Family::V6 => ether_type::IPV6,
    }
}
