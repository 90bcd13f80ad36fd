//! Which packets are understood, and what is read from them.

use std::string::String;
use std::vec;
use std::vec::Vec;

use super::{
    CLIENT4, CLIENT6, PORTS, SERVICE4, SERVICE6, SETTINGS, fragment, frame, ipv4, ipv6, options, routing,
    tcp, udp,
};
use crate::Reason;
use crate::abi::protocol;
use crate::cursor::Cursor;
use crate::packet::{Checksum, Family, Fragment, Packet};
use crate::parse::{MAX_EXTENSIONS, parse};
use crate::wire::{address4, address6};

pub fn read(bytes: &[u8]) -> Result<Packet, Reason> {
    let mut bytes = bytes.to_vec();
    let length = u32::try_from(bytes.len()).unwrap();
    parse(Cursor::over(&mut bytes), length, &SETTINGS)
}

/// An extension header: its number and its bytes.
type Extension = (u8, Vec<u8>);

/// Every shape of packet that a service can match: name, frame, length of its link and fixed IP headers.
pub fn shapes() -> Vec<(String, Vec<u8>, usize)> {
    let payload: Vec<u8> = (0..37).collect();
    let options4 = [1_u8; 40];
    let extensions: [(&str, Vec<Extension>); 8] = [
        ("", vec![]),
        ("hop-by-hop ", vec![(0, options(1))]),
        ("long destination options ", vec![(60, options(31))]),
        ("spent routing ", vec![(43, routing(0))]),
        ("atomic fragment ", vec![(44, fragment(0))]),
        ("four kinds ", vec![(0, options(2)), (60, options(1)), (43, routing(0)), (44, fragment(0))]),
        ("options behind the fragment header ", vec![(44, fragment(0)), (60, options(3))]),
        ("as many as are walked ", vec![(60, options(1)); MAX_EXTENSIONS as usize]),
    ];
    let mut shapes = Vec::new();
    for tags in [&[][..], &[(0x8100, 0x0064)], &[(0x88a8, 0x0064), (0x8100, 0x200a)]] {
        let link = 14 + 4 * tags.len();
        for (name, number) in [("tcp", protocol::TCP), ("udp", protocol::UDP)] {
            let transport = |v6| if number == protocol::TCP { tcp(v6, &payload) } else { udp(v6, &payload) };
            for length in [0, 4, 40] {
                let ip = ipv4(number, &options4[..length], 0x4000, &transport(false));
                let name = std::format!("{} tags, ipv4, {length} bytes of options, {name}", tags.len());
                shapes.push((name, frame(tags, &ip), link + 20));
            }
            for (extension, headers) in &extensions {
                let ip = ipv6(number, headers, &transport(true));
                let name = std::format!("{} tags, ipv6, {extension}{name}", tags.len());
                shapes.push((name, frame(tags, &ip), link + 40));
            }
        }
    }
    shapes
}

#[test]
fn every_shape_is_understood() {
    for (name, bytes, start) in shapes() {
        let packet = read(&bytes).unwrap_or_else(|reason| panic!("{name}: {reason:?}"));
        let v6 = name.contains("ipv6");
        let (family, source, destination) = if v6 {
            (Family::V6, address6(CLIENT6), address6(SERVICE6))
        } else {
            (Family::V4, address4(CLIENT4), address4(SERVICE4))
        };
        assert_eq!(
            (packet.flow.family, packet.flow.source, packet.flow.destination),
            (family, source, destination),
            "{name}"
        );
        assert_eq!((packet.flow.ports.source.get(), packet.flow.ports.destination.get()), PORTS, "{name}");
        assert_eq!(packet.flow.protocol, if name.ends_with("tcp") { 6 } else { 17 }, "{name}");
        assert_eq!(packet.link_bytes as usize, start - if v6 { 40 } else { 20 }, "{name}");
        assert_eq!((packet.link_bytes + packet.ip_bytes) as usize, bytes.len(), "{name}");
        assert_eq!(packet.payload_bytes, if name.ends_with("tcp") { 24 + 37 } else { 8 + 37 }, "{name}");
        assert_eq!(packet.traffic_class, 0xb8, "{name}");
        assert_eq!(packet.fragment, Fragment::Whole, "{name}");
        let covered = !v6 || name.ends_with("ipv6, tcp") || name.ends_with("ipv6, udp");
        assert_eq!(packet.checksum, if covered { Checksum::Whole } else { Checksum::Part }, "{name}");
    }
}

#[test]
fn a_frame_cut_anywhere_is_passed() {
    for (name, bytes, start) in shapes() {
        for length in 0..bytes.len() {
            // A cut behind the fixed IP header contradicts the length that stands in it.
            let expected = if length < start { Reason::Truncated } else { Reason::Malformed };
            assert_eq!(read(&bytes[..length]), Err(expected), "{name}, cut to {length} bytes");
        }
    }
}

#[test]
fn padding_is_not_part_of_the_packet() {
    for (name, mut bytes, _) in shapes() {
        let packet = read(&bytes).unwrap();
        bytes.extend([0xaa; 30]);
        assert_eq!(read(&bytes), Ok(packet), "{name}");
    }
}

#[test]
fn fragments_are_told_apart() {
    let datagram = udp(false, b"0123456789");
    for (field, expected) in [
        (0x0000, Fragment::Whole),
        (0x4000, Fragment::Whole),
        (0x2000, Fragment::First),
        (0x2001, Fragment::Later),
        (0x0001, Fragment::Later),
        (0x1fff, Fragment::Later),
    ] {
        let packet = read(&frame(&[], &ipv4(17, &[], field, &datagram))).unwrap();
        assert_eq!(packet.fragment, expected, "ipv4 {field:#x}");
        assert_eq!(packet.flow.ports.destination.get() != 0, expected != Fragment::Later);
    }
    for (field, expected) in [
        (0x0000, Fragment::Whole),
        (0x0001, Fragment::First),
        (0x0009, Fragment::Later),
        (0x0008, Fragment::Later),
    ] {
        let packet = read(&frame(&[], &ipv6(17, &[(44, fragment(field))], &datagram))).unwrap();
        assert_eq!(packet.fragment, expected, "ipv6 {field:#x}");
        assert_eq!(packet.flow.ports.destination.get() != 0, expected != Fragment::Later);
    }
}

#[test]
fn a_first_fragment_needs_no_more_than_ports() {
    let bytes = frame(&[], &ipv4(6, &[], 0x2000, &tcp(false, &[])[..8]));
    assert_eq!(read(&bytes).unwrap().fragment, Fragment::First);
    let bytes = frame(&[], &ipv4(6, &[], 0x2000, &tcp(false, &[])[..3]));
    assert_eq!(read(&bytes), Err(Reason::Malformed));
}

#[test]
fn a_datagram_may_be_shorter_than_its_packet() {
    let mut datagram = udp(false, b"0123456789");
    datagram.extend([0; 6]);
    let packet = read(&frame(&[], &ipv4(17, &[], 0, &datagram))).unwrap();
    assert_eq!(packet.checksum, Checksum::Part);
    datagram[6..8].fill(0);
    let packet = read(&frame(&[], &ipv4(17, &[], 0, &datagram))).unwrap();
    assert_eq!(packet.checksum, Checksum::None);
}
