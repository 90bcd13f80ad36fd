//! Tests of the packet logic as a whole, on the host.
//!
//! Packets are put together here from parts and checksummed by a plain reference implementation; what comes out is
//! taken apart by etherparse, so that no code under test checks itself.

mod abi;
mod agent;
mod choose;
mod forward;
mod parse;
mod reject;

use std::vec;
use std::vec::Vec;

use crate::abi::{BackendId, Egress, SLOTS, Service, ServiceKey4, ServiceKey6, Slot, key_kind, protocol};
use crate::host::HostTables;
use crate::tables::Settings;
use crate::wire::{Be16, Be32, address4, address6};

pub const SEED: u64 = 0x0123_4567_89ab_cdef;
pub const INGRESS: u32 = 7;
pub const BACKEND: u32 = 5;

pub const CLIENT4: [u8; 4] = [198, 51, 100, 7];
pub const SERVICE4: [u8; 4] = [192, 0, 2, 10];
pub const CLIENT6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 7];
pub const SERVICE6: [u8; 16] = [0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10];
pub const PORTS: (u16, u16) = (40_001, 80);

pub const SETTINGS: Settings = Settings { features: crate::abi::global::ALL, seed: SEED, ifindex: INGRESS };

/// A frame with these tags (protocol id and control information, outermost first) around an IP packet.
pub fn frame(tags: &[(u16, u16)], ip: &[u8]) -> Vec<u8> {
    let mut bytes = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (tpid, tci) in tags {
        bytes.extend(tpid.to_be_bytes());
        bytes.extend(tci.to_be_bytes());
    }
    bytes.extend(if ip[0] >> 4 == 4 { [0x08, 0x00] } else { [0x86, 0xdd] });
    bytes.extend(ip);
    bytes
}

/// An IPv4 packet with some bytes of options, all but the addresses at choice.
pub fn ipv4(number: u8, options: &[u8], fragment: u16, payload: &[u8]) -> Vec<u8> {
    ipv4_between(CLIENT4, SERVICE4, number, options, fragment, payload)
}

pub fn ipv4_between(
    source: [u8; 4],
    destination: [u8; 4],
    number: u8,
    options: &[u8],
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut ip = vec![0x40 | u8::try_from(header / 4).unwrap(), 0xb8];
    ip.extend(u16::try_from(header + payload.len()).unwrap().to_be_bytes());
    ip.extend([0x12, 0x34]);
    ip.extend(fragment.to_be_bytes());
    ip.extend([61, number, 0, 0]);
    ip.extend(source);
    ip.extend(destination);
    ip.extend(options);
    let checksum = checksum(&ip);
    ip[10..12].copy_from_slice(&checksum.to_be_bytes());
    ip.extend(payload);
    ip
}

/// An IPv6 packet; each extension is its number and its bytes, whose first is filled in here.
pub fn ipv6(number: u8, extensions: &[(u8, Vec<u8>)], payload: &[u8]) -> Vec<u8> {
    ipv6_between(CLIENT6, SERVICE6, number, extensions, payload)
}

pub fn ipv6_between(
    source: [u8; 16],
    destination: [u8; 16],
    number: u8,
    extensions: &[(u8, Vec<u8>)],
    payload: &[u8],
) -> Vec<u8> {
    let length = extensions.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() + payload.len();
    let mut ip = vec![0x6b, 0x81, 0x23, 0x45];
    ip.extend(u16::try_from(length).unwrap().to_be_bytes());
    ip.extend([extensions.first().map_or(number, |(first, _)| *first), 61]);
    ip.extend(source);
    ip.extend(destination);
    for (i, (_, bytes)) in extensions.iter().enumerate() {
        ip.push(extensions.get(i + 1).map_or(number, |(next, _)| *next));
        ip.extend(&bytes[1..]);
    }
    ip.extend(payload);
    ip
}

/// A TCP segment with 4 bytes of options and a right checksum.
pub fn tcp(v6: bool, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(PORTS.0.to_be_bytes());
    segment.extend(PORTS.1.to_be_bytes());
    segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x10, 0x20, 0, 0, 0, 0, 0, 1, 1, 1, 0]);
    segment.extend(payload);
    let checksum = transport_checksum(v6, protocol::TCP, &segment);
    segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    segment
}

/// A UDP datagram with a right checksum.
pub fn udp(v6: bool, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(PORTS.0.to_be_bytes());
    datagram.extend(PORTS.1.to_be_bytes());
    datagram.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    let checksum = transport_checksum(v6, protocol::UDP, &datagram);
    datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    datagram
}

fn transport_checksum(v6: bool, number: u8, segment: &[u8]) -> u16 {
    let mut all = Vec::new();
    if v6 {
        all.extend(CLIENT6);
        all.extend(SERVICE6);
    } else {
        all.extend(CLIENT4);
        all.extend(SERVICE4);
    }
    all.extend(u32::try_from(segment.len()).unwrap().to_be_bytes());
    all.extend([0, 0, 0, number]);
    all.extend(segment);
    match checksum(&all) {
        0 => 0xffff,
        sum => sum,
    }
}

/// RFC 1071, word by word.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

/// Extension headers of each kind; `units` is the length in eight bytes.
pub fn options(units: u8) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(units) * 8];
    bytes[1] = units - 1;
    // One PadN option over all of it.
    bytes[2] = 1;
    bytes[3] = units * 8 - 4;
    bytes
}

pub fn routing(segments_left: u8) -> Vec<u8> {
    vec![0, 0, 4, segments_left, 0, 0, 0, 0]
}

pub fn fragment(offset_and_more: u16) -> Vec<u8> {
    let [high, low] = offset_and_more.to_be_bytes();
    vec![0, 0, high, low, 0xde, 0xad, 0xbe, 0xef]
}

pub fn service(id: u32) -> Service {
    Service { id, table: 0, source_mask: [Be32::new(u32::MAX); 4], tuple_mask: u32::MAX, flags: 0 }
}

/// Both families' service on port 80, TCP as 1 and UDP as 2, with one backend behind `egress`.
pub fn tables(mut egress: Egress) -> HostTables {
    let mut tables = HostTables::default();
    for (id, protocol) in [(1, protocol::TCP), (2, protocol::UDP)] {
        for (port, kind) in [(PORTS.1, key_kind::SERVICE), (0, key_kind::ADDRESS)] {
            let port = Be16::new(port);
            let [address, ..] = address4(SERVICE4);
            tables.services4.insert(ServiceKey4 { address, port, protocol, kind }, service(id));
            let address = address6(SERVICE6);
            tables.services6.insert(ServiceKey6 { address, port, protocol, kind }, service(id));
        }
    }
    tables.tables.insert(0, vec![Slot::settled(BackendId::new(BACKEND).unwrap()); SLOTS]);
    egress.checksum = egress.outer4_sum();
    tables.backends.insert(BACKEND, egress);
    tables
}
