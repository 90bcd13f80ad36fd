//! What a forwarded frame looks like, worked out from what service, backend and frame mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::UdpHeader;
use lb_common::Reason;

use super::Action;
use super::bytes::{ipv4, ipv6, link, with_ipv4};
use super::fixture::{Expect, Outcome};
use super::frame::{Frame, Ip};
use super::hash::flow_hash;
use super::scene::{Backend, Forward, Scene, Wire, ZeroChecksum};

/// TTL or hop limit of outer headers.
const OUTER_TTL: u8 = 64;

/// What should come of a frame to a service whose slot has a usable backend.
pub fn forwarded(scene: &Scene, service: &str, frame: &Frame) -> Expect {
    let service = scene.service(service);
    let hash = flow_hash(&frame.flow(), service.key, scene.seed);
    let backend = &scene.backends[scene.owner(service, hash).expect("the slot has an owner")];
    let (reason, bytes) = match backend.forward {
        Forward::None => panic!("nothing is forwarded to {backend:?}"),
        Forward::Local => (Reason::Local, frame.bytes()),
        Forward::L2 => (leaves_by(backend), relinked(backend, frame)),
        Forward::Ipip(_) | Forward::Gue { .. } => (leaves_by(backend), encapsulated(backend, frame, hash)),
    };
    let action = Action::of(reason.verdict());
    let outcome = Outcome { reason, service: Some(service.id), backend: Some(backend.id) };
    Expect { action, bytes: Some(bytes), outcome }
}

/// The packet as it is behind the backend's link header; padding stays.
pub fn relinked(backend: &Backend, frame: &Frame) -> Vec<u8> {
    let ether_type = if matches!(frame.ip, Ip::V4 { .. }) { 0x0800 } else { 0x86dd };
    let mut bytes = link(backend.next_hop, backend.own_mac, &backend.tags, ether_type);
    bytes.extend(&frame.bytes()[frame.link_length()..]);
    bytes
}

/// The packet, one hop on, behind link and outer headers; padding is gone.
pub fn encapsulated(backend: &Backend, frame: &Frame, hash: u32) -> Vec<u8> {
    let inner = frame.clone().ttl(frame.ttl - 1).ip_bytes();
    let number = if matches!(frame.ip, Ip::V4 { .. }) { 4 } else { 41 };
    let (wire, packet) = match backend.forward {
        Forward::Ipip(wire) => (wire, outer(wire, frame.tos, hash, number, &inner)),
        Forward::Gue { wire, port, zero_allowed } => {
            let zero = zero_allowed == ZeroChecksum::Send
                && matches!(frame.transport, super::Transport::UdpUnchecked);
            let datagram = gue(wire, hash, port, number, &inner, zero);
            (wire, outer(wire, frame.tos, hash, 17, &datagram))
        }
        Forward::None | Forward::L2 | Forward::Local => panic!("{backend:?} has no outer header"),
    };
    let ether_type = if wire.destination.is_ipv4() { 0x0800 } else { 0x86dd };
    let mut bytes = link(backend.next_hop, backend.own_mac, &backend.tags, ether_type);
    bytes.extend(packet);
    bytes
}

impl Wire {
    /// The outer source for a hash: its low bits drawn by the hash's upper half first.
    fn drawn(&self, hash: u32) -> IpAddr {
        let drawn =
            (hash.rotate_left(16)) & u32::try_from((1_u64 << self.drawn_bits) - 1).expect("32 bits at most");
        match self.source {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() | drawn).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | u128::from(drawn)).into(),
        }
    }
}

impl Action {
    /// What the kernel is told for a verdict.
    pub const fn of(verdict: lb_common::Verdict) -> Self {
        match verdict {
            lb_common::Verdict::Pass => Self::Pass,
            lb_common::Verdict::Drop => Self::Drop,
            lb_common::Verdict::Transmit => Self::Transmit,
            lb_common::Verdict::Redirect => Self::Redirect,
        }
    }
}

fn leaves_by(backend: &Backend) -> Reason {
    if backend.interface == 1 { Reason::Transmitted } else { Reason::Redirected }
}

fn outer(wire: Wire, tos: u8, hash: u32, number: u8, carried: &[u8]) -> Vec<u8> {
    match (wire.drawn(hash), wire.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            with_ipv4(ipv4(tos, OUTER_TTL, number, source, destination), carried)
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut header = ipv6(tos, hash >> 12, OUTER_TTL, number, source, destination);
            header.set_payload_length(carried.len()).expect("fits 16 bits");
            [&header.to_bytes()[..], carried].concat()
        }
        mixed => panic!("mixed families: {mixed:?}"),
    }
}

/// UDP and GUE header (variant 0, no optional fields) and the packet.
fn gue(wire: Wire, hash: u32, port: u16, number: u8, inner: &[u8], zero: bool) -> Vec<u8> {
    let payload = [&[0, number, 0, 0], inner].concat();
    let mut header = UdpHeader {
        source_port: 0xc000 | u16::try_from(hash >> 18).expect("14 bits"),
        destination_port: port,
        length: u16::try_from(8 + payload.len()).expect("fits 16 bits"),
        checksum: 0,
    };
    if let (false, IpAddr::V6(source), IpAddr::V6(destination)) = (zero, wire.drawn(hash), wire.destination) {
        header.checksum = header
            .calc_checksum_ipv6_raw(source.octets(), destination.octets(), &payload)
            .expect("short enough");
    }
    [&header.to_bytes()[..], &payload].concat()
}
