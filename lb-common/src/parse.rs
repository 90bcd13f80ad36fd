//! From a frame to a [`Packet`], or to the reason why it is none of ours.
//!
//! Every reason here passes the frame on: nothing is dropped before a service has matched. Truncated is a frame that
//! ends within a header; everything that contradicts itself or the frame's length is malformed. Lengths come from the
//! IP header. Checksums are not verified: the backend does that.

use crate::Reason;
use crate::abi::{global, protocol};
use crate::cursor::Cursor;
use crate::header::{Extension, Ipv4, Ipv6, Ports, Tcp, Udp, ether_type};
use crate::link::Link;
use crate::packet::{Checksum, Family, Flow, Fragment, Hop, Packet};
use crate::tables::Settings;
use crate::wire::{Be16, Be32};

/// Most IPv6 extension headers that are walked. Each has at most 2,048 bytes, so the walk stays within 16 KiB, far
/// below where the verifier stops to follow a packet pointer.
pub const MAX_EXTENSIONS: u32 = 8;

/// Parses the frame that `cursor` stands at the start of; `frame_bytes` is its whole length.
#[inline(always)]
pub fn parse(mut cursor: Cursor<'_>, frame_bytes: u32, settings: &Settings) -> Result<Packet, Reason> {
    let link = Link::read(&mut cursor)?;
    if settings.has(global::IPV4) && link.ether_type == ether_type::IPV4 {
        ipv4(cursor, link.bytes(), frame_bytes)
    } else if settings.has(global::IPV6) && link.ether_type == ether_type::IPV6 {
        ipv6(cursor, link.bytes(), frame_bytes)
    } else {
        Err(Reason::NotIp)
    }
}

#[inline(always)]
fn ipv4(mut cursor: Cursor<'_>, link_bytes: u32, frame_bytes: u32) -> Result<Packet, Reason> {
    let mut rest = cursor;
    let ip: Ipv4 = cursor.read()?;
    let header_bytes = ip.header_bytes();
    let ip_bytes = u32::from(ip.total_length.get());
    if ip.version_ihl >> 4 != 4
        || header_bytes < Ipv4::BYTES
        || ip_bytes < header_bytes
        || link_bytes + ip_bytes > frame_bytes
    {
        return Err(Reason::Malformed);
    }
    let field = ip.fragment.get();
    let fragment = if field & Ipv4::OFFSET_MASK != 0 {
        Fragment::Later
    } else if field & Ipv4::MORE_FRAGMENTS != 0 {
        Fragment::First
    } else {
        Fragment::Whole
    };
    rest.advance(header_bytes);
    let payload_bytes = ip_bytes - header_bytes;
    let transport = transport(rest, ip.hop.protocol, payload_bytes, fragment)?;
    Ok(Packet {
        flow: Flow {
            family: Family::V4,
            source: [ip.source, EMPTY, EMPTY, EMPTY],
            destination: [ip.destination, EMPTY, EMPTY, EMPTY],
            ports: transport.ports,
            protocol: ip.hop.protocol,
        },
        fragment,
        checksum: transport.checksum,
        link_bytes,
        ip_bytes,
        payload_bytes,
        traffic_class: ip.tos,
        hop: Hop::V4(ip.hop),
    })
}

#[inline(always)]
fn ipv6(mut cursor: Cursor<'_>, link_bytes: u32, frame_bytes: u32) -> Result<Packet, Reason> {
    let ip: Ipv6 = cursor.read()?;
    let after_header = u32::from(ip.hop.payload_length.get());
    // A payload length of zero announces a jumbogram (RFC 2675), which no Ethernet carries.
    if ip.version() != 6 || after_header == 0 || link_bytes + Ipv6::BYTES + after_header > frame_bytes {
        return Err(Reason::Malformed);
    }
    let walk = walk(&mut cursor, ip.hop.next_header)?;
    if walk.bytes > after_header {
        return Err(Reason::Malformed);
    }
    let payload_bytes = after_header - walk.bytes;
    let transport = transport(cursor, walk.protocol, payload_bytes, walk.fragment)?;
    let checksum = match transport.checksum {
        Checksum::Whole if walk.bytes != 0 => Checksum::Part,
        as_it_is => as_it_is,
    };
    Ok(Packet {
        flow: Flow {
            family: Family::V6,
            source: ip.source,
            destination: ip.destination,
            ports: transport.ports,
            protocol: walk.protocol,
        },
        fragment: walk.fragment,
        checksum,
        link_bytes,
        ip_bytes: Ipv6::BYTES + after_header,
        payload_bytes,
        traffic_class: ip.traffic_class(),
        hop: Hop::V6(ip.hop, ip.start),
    })
}

const EMPTY: Be32 = Be32::from_raw(0);

/// What the extension headers say.
struct Walk {
    protocol: u8,
    bytes: u32,
    fragment: Fragment,
}

/// Walks the extension headers. Behind the header of a later fragment there are none to walk.
#[inline(always)]
fn walk(cursor: &mut Cursor<'_>, first: u8) -> Result<Walk, Reason> {
    let mut walk = Walk { protocol: first, bytes: 0, fragment: Fragment::Whole };
    for _ in 0..MAX_EXTENSIONS {
        if !is_extension(walk.protocol) {
            return Ok(walk);
        }
        let header: Extension = cursor.peek()?;
        let mut bytes = header.bytes();
        if walk.protocol == protocol::FRAGMENT {
            bytes = 8;
            let word = header.word.get();
            if word & Extension::OFFSET_MASK != 0 {
                walk.fragment = Fragment::Later;
            } else if word & Extension::MORE_FRAGMENTS != 0 {
                walk.fragment = Fragment::First;
            }
        } else if walk.protocol == protocol::ROUTING && header.segments_left() != 0 {
            return Err(Reason::RoutingHeader);
        }
        cursor.advance(bytes);
        walk.bytes += bytes;
        walk.protocol = header.next_header;
        if walk.fragment == Fragment::Later {
            return Ok(walk);
        }
    }
    if is_extension(walk.protocol) { Err(Reason::TooManyHeaders) } else { Ok(walk) }
}

#[inline(always)]
fn is_extension(next_header: u8) -> bool {
    matches!(
        next_header,
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::FRAGMENT | protocol::DESTINATION_OPTIONS
    )
}

/// What the transport header says.
struct Transport {
    ports: Ports,
    checksum: Checksum,
}

#[inline(always)]
fn transport(
    cursor: Cursor<'_>,
    number: u8,
    payload_bytes: u32,
    fragment: Fragment,
) -> Result<Transport, Reason> {
    match number {
        protocol::TCP | protocol::UDP => {}
        protocol::ICMP | protocol::ICMPV6 => return Err(Reason::Icmp),
        _ => return Err(Reason::OtherProtocol),
    }
    match fragment {
        Fragment::Whole if number == protocol::TCP => tcp(cursor, payload_bytes),
        Fragment::Whole => udp(cursor, payload_bytes),
        Fragment::First => first(cursor, payload_bytes),
        Fragment::Later => {
            Ok(Transport { ports: Ports { source: NO_PORT, destination: NO_PORT }, checksum: Checksum::Part })
        }
    }
}

const NO_PORT: Be16 = Be16::from_raw(0);

#[inline(always)]
fn tcp(mut cursor: Cursor<'_>, payload_bytes: u32) -> Result<Transport, Reason> {
    if payload_bytes < 20 {
        return Err(Reason::Malformed);
    }
    let tcp: Tcp = cursor.read()?;
    let header_bytes = u32::from(tcp.offset_flags.get() >> 12) << 2;
    if header_bytes < 20 || header_bytes > payload_bytes {
        return Err(Reason::Malformed);
    }
    Ok(Transport { ports: tcp.ports, checksum: Checksum::Whole })
}

/// A datagram may be shorter than the packet's payload (RFC 9868 puts options behind it), but not longer.
#[inline(always)]
fn udp(mut cursor: Cursor<'_>, payload_bytes: u32) -> Result<Transport, Reason> {
    if payload_bytes < 8 {
        return Err(Reason::Malformed);
    }
    let udp: Udp = cursor.read()?;
    let datagram_bytes = u32::from(udp.length.get());
    if datagram_bytes < 8 || datagram_bytes > payload_bytes {
        return Err(Reason::Malformed);
    }
    let checksum = if udp.checksum.raw() == 0 {
        Checksum::None
    } else if datagram_bytes < payload_bytes {
        Checksum::Part
    } else {
        Checksum::Whole
    };
    Ok(Transport { ports: udp.ports, checksum })
}

/// A first fragment has the ports; how much more of the header is in it does not matter.
#[inline(always)]
fn first(mut cursor: Cursor<'_>, payload_bytes: u32) -> Result<Transport, Reason> {
    if payload_bytes < 4 {
        return Err(Reason::Malformed);
    }
    Ok(Transport { ports: cursor.read()?, checksum: Checksum::Part })
}
