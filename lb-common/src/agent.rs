//! The agent's decision for one frame: take the outer headers off, or leave it alone.
//!
//! A tunnelled packet is one of protocol 4 or 41, or GUE on its port, not fragmented, addressed to this host; over IPv6
//! its header follows the fixed one directly. Everything else is left alone, however wrong it is. What is a tunnelled
//! packet is delivered or dropped: never is one whose sender is unknown shown to the local stack.
//!
//! An outer UDP checksum is not verified. Zero is fine (RFC 6935), and another would have to be computed over the whole
//! packet, which the inner checksum protects as well.
//!
//! VLAN tags stay, as do MAC addresses; only the last `EtherType` becomes the inner packet's. What padded the frame is
//! cut off.

use crate::abi::{AgentKey4, AgentKey6, protocol};
use crate::cursor::Cursor;
use crate::frame::Frame;
use crate::header::{Gue, Hop4, Ipv4, Ipv6, Udp, ether_type};
use crate::link::Link;
use crate::packet::Family;
use crate::tables::AgentTables;
use crate::wire::{Address, Be16, Be32};
use crate::{Reason, checksum, ecn, gue};

/// Decides for the frame, and changes it accordingly. A frame that is left alone is left as it was.
#[inline(always)]
pub fn decapsulate<F: Frame, T: AgentTables>(frame: &mut F, tables: &T, gue_port: Be16) -> Reason {
    let (Ok(reason) | Err(reason)) = decide(frame, tables, gue_port);
    reason
}

#[inline(always)]
fn decide<F: Frame, T: AgentTables>(frame: &mut F, tables: &T, gue_port: Be16) -> Result<Reason, Reason> {
    let frame_bytes = frame.bytes();
    let mut cursor = frame.cursor();
    let link = Link::read(&mut cursor).map_err(|_| Reason::NotTunnel)?;
    let outer = Outer::read(&mut cursor, link.ether_type).map_err(|_| Reason::NotTunnel)?;
    outer.accept(&cursor, tables, gue_port)?;
    let start = link.bytes() + outer.header_bytes;
    if outer.ip_bytes < outer.header_bytes || link.bytes() + outer.ip_bytes > frame_bytes {
        return Err(Reason::BadTunnel);
    }
    let tunnel = tunnel(&mut cursor, &outer).map_err(|_| Reason::BadTunnel)?;
    let inner = Inner::read(&cursor, tunnel.family).map_err(|_| Reason::BadTunnel)?;
    if inner.bytes > tunnel.payload_bytes {
        return Err(Reason::BadTunnel);
    }
    inner.mark(cursor, ecn::decapsulated(outer.traffic_class, inner.traffic_class())?)?;

    let padding = frame_bytes - start - tunnel.shim_bytes - inner.bytes;
    if padding != 0 {
        frame.cut_end(padding)?;
    }
    frame.move_start((outer.header_bytes + tunnel.shim_bytes).cast_signed())?;
    let ether_type = match tunnel.family {
        Family::V4 => ether_type::IPV4,
        Family::V6 => ether_type::IPV6,
    };
    Link { ether_type, ..link }.write(&mut frame.cursor())?;
    Ok(Reason::Decapsulated)
}

/// What the outer IP header says.
struct Outer {
    family: Family,
    source: Address,
    destination: Address,
    protocol: u8,
    traffic_class: u8,
    header_bytes: u32,
    ip_bytes: u32,
}

impl Outer {
    /// Reads the header and moves behind it.
    #[inline(always)]
    fn read(cursor: &mut Cursor<'_>, ether_type: Be16) -> Result<Self, Reason> {
        if ether_type == ether_type::IPV4 {
            Self::read4(cursor)
        } else if ether_type == ether_type::IPV6 {
            Self::read6(cursor)
        } else {
            Err(Reason::NotTunnel)
        }
    }

    #[inline(always)]
    fn read4(cursor: &mut Cursor<'_>) -> Result<Self, Reason> {
        let ip: Ipv4 = cursor.peek()?;
        let fragmented = ip.fragment.get() & (Ipv4::MORE_FRAGMENTS | Ipv4::OFFSET_MASK) != 0;
        if ip.version_ihl >> 4 != 4 || ip.header_bytes() < Ipv4::BYTES || fragmented {
            return Err(Reason::NotTunnel);
        }
        cursor.advance(ip.header_bytes());
        Ok(Self {
            family: Family::V4,
            source: [ip.source, EMPTY, EMPTY, EMPTY],
            destination: [ip.destination, EMPTY, EMPTY, EMPTY],
            protocol: ip.hop.protocol,
            traffic_class: ip.tos,
            header_bytes: ip.header_bytes(),
            ip_bytes: u32::from(ip.total_length.get()),
        })
    }

    #[inline(always)]
    fn read6(cursor: &mut Cursor<'_>) -> Result<Self, Reason> {
        let ip: Ipv6 = cursor.read()?;
        if ip.version() != 6 {
            return Err(Reason::NotTunnel);
        }
        Ok(Self {
            family: Family::V6,
            source: ip.source,
            destination: ip.destination,
            protocol: ip.hop.next_header,
            traffic_class: ip.traffic_class(),
            header_bytes: Ipv6::BYTES,
            ip_bytes: Ipv6::BYTES + u32::from(ip.hop.payload_length.get()),
        })
    }

    /// Whether this is a tunnelled packet for this host, from a balancer. `cursor` stands behind the header.
    #[inline(always)]
    fn accept<T: AgentTables>(&self, cursor: &Cursor<'_>, tables: &T, gue_port: Be16) -> Result<(), Reason> {
        match self.protocol {
            protocol::IPV4 | protocol::IPV6 => {}
            protocol::UDP => {
                let udp: Udp = cursor.peek().map_err(|_| Reason::NotTunnel)?;
                if udp.ports.destination != gue_port {
                    return Err(Reason::NotTunnel);
                }
            }
            _ => return Err(Reason::NotTunnel),
        }
        let number = match self.family {
            Family::V4 => 4,
            Family::V6 => 6,
        };
        if tables.own_address(&self.destination) != Some(number) {
            return Err(Reason::NotTunnel);
        }
        let known = match self.family {
            Family::V4 => tables.source4(&AgentKey4 { prefix_len: 32, address: self.source[0] }),
            Family::V6 => tables.source6(&AgentKey6 { prefix_len: 128, address: self.source }),
        };
        known.ok_or(Reason::UnknownBalancer)
    }
}

const EMPTY: Be32 = Be32::from_raw(0);

/// What stands between outer and inner IP header.
struct Tunnel {
    /// Of the inner packet.
    family: Family,
    shim_bytes: u32,
    /// Room for the inner packet.
    payload_bytes: u32,
}

/// Reads what stands between the IP headers, and moves behind it.
#[inline(always)]
fn tunnel(cursor: &mut Cursor<'_>, outer: &Outer) -> Result<Tunnel, Reason> {
    let payload_bytes = outer.ip_bytes - outer.header_bytes;
    if outer.protocol != protocol::UDP {
        return Ok(Tunnel { family: family(outer.protocol)?, shim_bytes: 0, payload_bytes });
    }
    let udp: Udp = cursor.read()?;
    let header: Gue = cursor.read()?;
    let datagram_bytes = u32::from(udp.length.get());
    // Variant 0, a data message, no optional fields.
    let plain = header.start == 0 && header.flags.raw() == 0;
    if !plain || datagram_bytes < gue::BYTES || datagram_bytes > payload_bytes {
        return Err(Reason::BadTunnel);
    }
    Ok(Tunnel {
        family: family(header.protocol)?,
        shim_bytes: gue::BYTES,
        payload_bytes: datagram_bytes - gue::BYTES,
    })
}

#[inline(always)]
const fn family(number: u8) -> Result<Family, Reason> {
    match number {
        protocol::IPV4 => Ok(Family::V4),
        protocol::IPV6 => Ok(Family::V6),
        _ => Err(Reason::BadTunnel),
    }
}

/// The inner IP header.
struct Inner {
    header: Header,
    /// Length of the inner packet as its header says.
    bytes: u32,
}

enum Header {
    V4(Ipv4),
    V6(Ipv6),
}

impl Inner {
    #[inline(always)]
    fn read(cursor: &Cursor<'_>, family: Family) -> Result<Self, Reason> {
        match family {
            Family::V4 => {
                let ip: Ipv4 = cursor.peek()?;
                let bytes = u32::from(ip.total_length.get());
                if ip.version_ihl >> 4 != 4 || ip.header_bytes() < Ipv4::BYTES || bytes < ip.header_bytes() {
                    return Err(Reason::BadTunnel);
                }
                Ok(Self { header: Header::V4(ip), bytes })
            }
            Family::V6 => {
                let ip: Ipv6 = cursor.peek()?;
                if ip.version() != 6 {
                    return Err(Reason::BadTunnel);
                }
                let bytes = Ipv6::BYTES + u32::from(ip.hop.payload_length.get());
                Ok(Self { header: Header::V6(ip), bytes })
            }
        }
    }

    #[inline(always)]
    fn traffic_class(&self) -> u8 {
        match &self.header {
            Header::V4(ip) => ip.tos,
            Header::V6(ip) => ip.traffic_class(),
        }
    }

    /// Writes a new `ToS` or traffic class into the header that `cursor` stands in front of.
    #[inline(always)]
    fn mark(&self, mut cursor: Cursor<'_>, traffic_class: u8) -> Result<(), Reason> {
        if traffic_class == self.traffic_class() {
            return Ok(());
        }
        match &self.header {
            Header::V4(ip) => {
                let word = |tos: u8| Be16::new(u16::from(ip.version_ihl) << 8 | u16::from(tos));
                let checksum = checksum::replace(ip.hop.checksum, word(ip.tos), word(traffic_class));
                cursor.write(word(traffic_class).raw())?;
                cursor.skip(Hop4::OFFSET - 2);
                cursor.write(Hop4 { checksum, ..ip.hop })
            }
            Header::V6(ip) => cursor.write(ip.start_with(traffic_class).raw()),
        }
    }
}
