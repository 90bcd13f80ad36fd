//! Generic UDP encapsulation, variant 0 without optional fields (draft-ietf-intarea-gue).
//!
//! Over IPv4 the outer UDP checksum is zero. Over IPv6 it is derived from the inner packet without reading its payload
//! ("local checksum offload"): a correct inner checksum makes what it covers, pseudo header included, sum to zero, and
//! so does a correct inner IPv4 header. What is left are a few words of headers. An inner packet that is wrong makes
//! the outer checksum wrong too, and is dropped a hop earlier than it would have been.
//!
//! Where the inner checksum does not cover everything (IPv6 extension headers, bytes behind a UDP datagram), the packet
//! is summed, which is slow and rare. Where there is none, the outer one is zero if the egress entry says so (RFC
//! 6935), else summed too.

use crate::Reason;
use crate::abi::{egress_flag, protocol};
use crate::checksum;
use crate::forward::Headers;
use crate::frame::Frame;
use crate::header::{Gue, Hop6, Ports, Udp};
use crate::packet::{Checksum, Family, Hop, Packet};
use crate::wire::{Be16, Be32};

/// Length of UDP and GUE header together, in bytes.
pub const BYTES: u32 = 12;

/// What stands between outer and inner IP header.
pub(crate) struct Shim {
    pub(crate) udp: Udp,
    pub(crate) gue: Gue,
}

impl Shim {
    /// The headers for the packet in `frame`, which still stands there as it came, its padding cut off.
    #[inline(always)]
    pub(crate) fn new<F: Frame>(
        frame: &mut F,
        headers: &Headers<'_>,
        hop: Hop,
        outer: Family,
    ) -> Result<Self, Reason> {
        let ports =
            Ports { source: Be16::new(source_port(headers.hash)), destination: headers.egress.gue_port };
        let inner = match headers.packet.flow.family {
            Family::V4 => protocol::IPV4,
            Family::V6 => protocol::IPV6,
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "shorter than the egress's MTU, which has 16 bits"
        )]
        let length = Be16::new((headers.packet.ip_bytes + BYTES) as u16);
        let mut shim = Self {
            udp: Udp { ports, length, checksum: Be16::from_raw(0) },
            gue: Gue { start: 0, protocol: inner, flags: Be16::from_raw(0) },
        };
        if outer == Family::V6 {
            shim.udp.checksum = shim.checksum(frame, headers, hop)?;
        }
        Ok(shim)
    }

    #[inline(always)]
    fn checksum<F: Frame>(&self, frame: &mut F, headers: &Headers<'_>, hop: Hop) -> Result<Be16, Reason> {
        let packet = headers.packet;
        let inner = match packet.checksum {
            Checksum::Whole => derived(packet, hop),
            Checksum::None if headers.egress.flags & egress_flag::ZERO_CHECKSUM != 0 => {
                return Ok(Be16::from_raw(0));
            }
            Checksum::None | Checksum::Part => summed(frame, packet, hop)?,
        };
        let sum = checksum::words(&headers.source)
            + checksum::words(&headers.egress.outer_destination)
            + u64::from(Be16::new(u16::from(protocol::UDP)).raw())
            + u64::from(self.udp.ports.raw())
            // The length stands in the pseudo header and in the header.
            + 2 * u64::from(self.udp.length.raw())
            + u64::from(Be16::new(u16::from(self.gue.protocol)).raw())
            + inner;
        let folded = !checksum::fold_words(sum);
        // A computed zero is sent as all ones: zero means that there is none.
        Ok(Be16::from_raw(if folded == 0 { 0xffff } else { folded }))
    }
}

/// GUE's source port: one of the dynamic ports, from the upper bits of the hash, which the slot does not take.
#[inline(always)]
pub const fn source_port(hash: u32) -> u16 {
    0xc000 | (hash >> 18) as u16
}

/// The sum of the inner packet as its own checksums imply it.
#[inline(always)]
fn derived(packet: &Packet, hop: Hop) -> u64 {
    let transport = Be32::new(packet.payload_bytes + u32::from(packet.flow.protocol)).raw();
    match hop {
        // The header sums to zero; the payload to zero less its pseudo header.
        Hop::V4(_) => {
            let pseudo = checksum::words(&packet.flow.source)
                + checksum::words(&packet.flow.destination)
                + u64::from(transport);
            u64::from(!checksum::fold_words(pseudo))
        }
        // The addresses stand in the header and, taken off, in the pseudo header.
        Hop::V6(hop, start) => {
            u64::from(start.raw()) + u64::from(word(hop)) + u64::from(!checksum::fold_words(transport.into()))
        }
    }
}

/// The sum of the inner packet, read whole, as it will be once its hop limit is decremented.
#[inline(always)]
fn summed<F: Frame>(frame: &mut F, packet: &Packet, hop: Hop) -> Result<u64, Reason> {
    let sum = u64::from(frame.sum(packet.link_bytes)?);
    Ok(match (packet.hop, hop) {
        (Hop::V6(old, _), Hop::V6(new, _)) => sum + u64::from(!word(old)) + u64::from(word(new)),
        (Hop::V4(_) | Hop::V6(..), _) => sum,
    })
}

/// Both 16-bit words of it, for summing.
#[inline(always)]
const fn word(hop: Hop6) -> u32 {
    let low = Be16::new((hop.next_header as u16) << 8 | hop.hop_limit as u16);
    hop.payload_length.raw() as u32 | (low.raw() as u32) << 16
}
