//! What goes out to a backend, taken apart by etherparse.

use std::string::String;
use std::vec;
use std::vec::Vec;

use etherparse::{EtherType, Ethernet2Header, Ipv4Header, Ipv6Header, SingleVlanHeader, UdpHeader};
use proptest::prelude::*;

use super::parse::shapes;
use super::{BACKEND, CLIENT6, INGRESS, SERVICE6, SETTINGS, checksum, frame, ipv4, ipv6, tables, tcp, udp};
use crate::Reason;
use crate::abi::{Egress, VlanTag, egress_flag, global, mode, protocol};
use crate::balance::{Outcome, balance};
use crate::host::{HostFrame, HostTables};
use crate::tables::Settings;
use crate::wire::{Be16, address4, address6};

const OUTER4: ([u8; 4], [u8; 4]) = ([10, 1, 2, 3], [10, 9, 8, 7]);
const OUTER6: ([u8; 16], [u8; 16]) = (
    [0xfd, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0, 0, 0],
    [0xfd, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 0xfe],
);
const MACS: ([u8; 6], [u8; 6]) = ([2, 0xaa, 1, 2, 3, 4], [2, 0xbb, 5, 6, 7, 8]);
const GUE_PORT: u16 = 6080;
const MODES: [u8; 4] = [mode::IPIP4, mode::IPIP6, mode::GUE4, mode::GUE6];

pub fn egress(mode: u8, tags: &[(u16, u16)]) -> Egress {
    let outer6 = matches!(mode, mode::IPIP6 | mode::GUE6);
    let mut egress = Egress {
        ifindex: INGRESS,
        mode,
        tag_count: u8::try_from(tags.len()).unwrap(),
        mtu: 1500,
        gue_port: Be16::new(GUE_PORT),
        destination_mac: MACS.0,
        source_mac: MACS.1,
        outer_source: if outer6 { address6(OUTER6.0) } else { address4(OUTER4.0) },
        outer_destination: if outer6 { address6(OUTER6.1) } else { address4(OUTER4.1) },
        ..Egress::default()
    };
    for (slot, (tpid, tci)) in egress.tags.iter_mut().zip(tags) {
        *slot = VlanTag { tpid: Be16::new(*tpid), tci: Be16::new(*tci) };
    }
    egress
}

pub fn run(bytes: &[u8], tables: &HostTables) -> (Outcome, Vec<u8>) {
    let mut frame = HostFrame::new(bytes);
    let outcome = balance(&mut frame, tables, &SETTINGS);
    (outcome, frame.as_bytes().to_vec())
}

/// The IP packet of a frame as it should leave an encapsulating balancer.
fn one_hop_on(ip: &[u8]) -> Vec<u8> {
    let mut ip = ip.to_vec();
    if ip[0] >> 4 == 4 {
        ip[8] -= 1;
        ip[10..12].fill(0);
        let sum = checksum(&ip[..usize::from(ip[0] & 0xf) * 4]);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        ip[7] -= 1;
    }
    ip
}

/// Takes the link layer off and checks it.
fn unlink<'a>(out: &'a [u8], tags: &[(u16, u16)], v6: bool, what: &str) -> &'a [u8] {
    let (ethernet, mut rest) = Ethernet2Header::from_slice(out).unwrap();
    assert_eq!((ethernet.destination, ethernet.source), MACS, "{what}");
    let mut next = ethernet.ether_type;
    for (tpid, tci) in tags {
        assert_eq!(next, EtherType(*tpid), "{what}");
        let (tag, behind) = SingleVlanHeader::from_slice(rest).unwrap();
        assert_eq!(tag.to_bytes()[..2], tci.to_be_bytes(), "{what}");
        (next, rest) = (tag.ether_type, behind);
    }
    assert_eq!(next, if v6 { EtherType::IPV6 } else { EtherType::IPV4 }, "{what}");
    rest
}

/// Takes the outer headers off and checks every field of them.
fn decapsulate<'a>(ip: &'a [u8], mode: u8, hash: u32, inner6: bool, what: &str) -> &'a [u8] {
    let gue = matches!(mode, mode::GUE4 | mode::GUE6);
    let inner = if inner6 { protocol::IPV6 } else { protocol::IPV4 };
    let carried = if gue { protocol::UDP } else { inner };
    let rest = if matches!(mode, mode::IPIP4 | mode::GUE4) {
        let (outer, rest) = Ipv4Header::from_slice(ip).unwrap();
        assert_eq!(outer.header_checksum, outer.calc_header_checksum(), "{what}");
        assert_eq!((outer.source, outer.destination), OUTER4, "{what}");
        assert_eq!(usize::from(outer.total_len), ip.len(), "{what}");
        assert_eq!((outer.dscp.value(), outer.ecn.value()), (0xb8 >> 2, 0), "{what}");
        assert!(outer.dont_fragment && !outer.more_fragments, "{what}");
        assert_eq!((outer.time_to_live, outer.protocol.0, outer.identification), (64, carried, 0), "{what}");
        rest
    } else {
        let (outer, rest) = Ipv6Header::from_slice(ip).unwrap();
        assert_eq!((outer.source, outer.destination), OUTER6, "{what}");
        assert_eq!(usize::from(outer.payload_length), rest.len(), "{what}");
        assert_eq!((outer.traffic_class, outer.flow_label.value()), (0xb8, hash >> 12), "{what}");
        assert_eq!((outer.hop_limit, outer.next_header.0), (64, carried), "{what}");
        rest
    };
    if !gue {
        return rest;
    }
    let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
    assert_eq!(udp.destination_port, GUE_PORT, "{what}");
    assert_eq!(u32::from(udp.source_port), 49_152 + (hash >> 18), "{what}");
    assert_eq!(usize::from(udp.length), rest.len() + 8, "{what}");
    assert_eq!(rest[..4], [0, inner, 0, 0], "{what}");
    if mode == mode::GUE6 {
        let expected = udp.calc_checksum_ipv6_raw(OUTER6.0, OUTER6.1, rest).unwrap();
        assert_eq!(udp.checksum, expected, "{what}");
    } else {
        assert_eq!(udp.checksum, 0, "{what}");
    }
    &rest[4..]
}

#[test]
fn every_shape_is_encapsulated_in_every_mode() {
    for tags in [&[][..], &[(0x8100, 0x3123)], &[(0x88a8, 0x0007), (0x8100, 0x0fff)]] {
        for mode in MODES {
            let tables = tables(egress(mode, tags));
            for (name, bytes, _) in shapes() {
                let what = std::format!("{name}, mode {mode}, to {} tags", tags.len());
                let ip = &bytes[14 + 4 * usize::from(name.as_bytes()[0] - b'0')..];
                // Short frames are padded; a tunnel does not carry that.
                let padded = [&bytes[..], &[0xee; 7]].concat();
                for sent in [&bytes, &padded] {
                    let (outcome, out) = run(sent, &tables);
                    assert_eq!(outcome.reason, Reason::Transmitted, "{what}");
                    assert_eq!(outcome.backend, Some(BACKEND), "{what}");
                    let rest = unlink(&out, tags, matches!(mode, mode::IPIP6 | mode::GUE6), &what);
                    let inner = decapsulate(rest, mode, outcome.hash, ip[0] >> 4 == 6, &what);
                    assert_eq!(inner, one_hop_on(ip), "{what}");
                }
            }
        }
    }
}

#[test]
fn l2_changes_nothing_above_the_link() {
    for tags in [&[][..], &[(0x8100, 0x3123)], &[(0x88a8, 0x0007), (0x8100, 0x0fff)]] {
        let tables = tables(egress(mode::L2, tags));
        for (name, bytes, _) in shapes() {
            let mut ip = bytes[14 + 4 * usize::from(name.as_bytes()[0] - b'0')..].to_vec();
            ip.extend([0xee; 7]);
            let (outcome, out) = run(&[&bytes[..], &[0xee; 7]].concat(), &tables);
            assert_eq!(outcome.reason, Reason::Transmitted, "{name}");
            assert_eq!(unlink(&out, tags, ip[0] >> 4 == 6, &name), ip, "{name}");
        }
    }
}

#[test]
fn local_changes_nothing_at_all() {
    let tables = tables(egress(mode::LOCAL, &[(0x8100, 5)]));
    for (name, bytes, _) in shapes() {
        let (outcome, out) = run(&bytes, &tables);
        assert_eq!((outcome.reason, outcome.is_forwarded()), (Reason::Local, true), "{name}");
        assert_eq!(out, bytes, "{name}");
    }
}

#[test]
fn a_datagram_without_checksum_gets_one_or_zero_as_the_entry_says() {
    let mut bytes = frame(&[], &ipv4(17, &[], 0, &udp(false, b"odd length")));
    bytes[40..42].fill(0);
    let mut entry = egress(mode::GUE6, &[]);
    let (outcome, out) = run(&bytes, &tables(entry));
    decapsulate(unlink(&out, &[], true, "computed"), mode::GUE6, outcome.hash, false, "computed");
    entry.flags = egress_flag::ZERO_CHECKSUM;
    let (_, out) = run(&bytes, &tables(entry));
    assert_eq!(out[14 + 40 + 6..][..2], [0, 0]);
    // One that has a checksum gets one, whatever the entry says.
    let bytes = frame(&[], &ipv4(17, &[], 0, &udp(false, b"even")));
    let (outcome, out) = run(&bytes, &tables(entry));
    decapsulate(unlink(&out, &[], true, "derived"), mode::GUE6, outcome.hash, false, "derived");
}

#[test]
fn bytes_behind_a_datagram_are_summed() {
    let mut datagram = udp(true, b"odd");
    datagram.extend([1, 2, 3, 4, 5]);
    let bytes = frame(&[], &ipv6(17, &[], &datagram));
    let (outcome, out) = run(&bytes, &tables(egress(mode::GUE6, &[])));
    decapsulate(unlink(&out, &[], true, "surplus"), mode::GUE6, outcome.hash, true, "surplus");
}

#[test]
fn congestion_marks_are_copied_outward() {
    for ecn in 0..4 {
        let mut ip = ipv4(6, &[], 0, &tcp(false, b""));
        ip[1] = 0x28 | ecn;
        let (_, out) = run(&frame(&[], &ip), &tables(egress(mode::IPIP4, &[])));
        assert_eq!((out[15], out[35]), (0x28 | ecn, 0x28 | ecn));
        let (_, out) = run(&frame(&[], &ip), &tables(egress(mode::IPIP6, &[])));
        assert_eq!(out[14..16], [0x62, 0x80 | ecn << 4 | out[15] & 0xf]);
    }
}

#[test]
fn the_last_hop_is_not_forwarded() {
    for mode in MODES {
        for (ttl, expected) in [(0, Reason::HopLimit), (1, Reason::HopLimit), (2, Reason::Transmitted)] {
            let mut ip4 = ipv4(6, &[], 0, &tcp(false, b""));
            ip4[8] = ttl;
            let mut ip6 = ipv6(6, &[], &tcp(true, b""));
            ip6[7] = ttl;
            let tables = tables(egress(mode, &[]));
            assert_eq!(run(&frame(&[], &ip4), &tables).0.reason, expected);
            assert_eq!(run(&frame(&[], &ip6), &tables).0.reason, expected);
        }
    }
}

#[test]
fn what_does_not_fit_is_too_big() {
    for (mode, overhead) in [(1, 20), (2, 40), (3, 32), (4, 52), (5, 0)] {
        for over in [0, 1] {
            let fits = 1500 - overhead + over - 40;
            let expected = if over == 0 { Reason::Transmitted } else { Reason::TooBig };
            let mut segment = tcp(false, &vec![0; fits - 4 + 20]);
            segment.truncate(fits + 20);
            let bytes = frame(&[], &ipv4(6, &[], 0, &segment));
            let (outcome, _) = run(&bytes, &tables(egress(mode, &[])));
            assert_eq!(outcome.reason, expected, "mode {mode}, {} bytes", bytes.len());
            assert_eq!(outcome.is_forwarded(), over == 0);
        }
    }
}

#[test]
fn a_mode_that_is_not_compiled_in_is_a_fault() {
    let bytes = frame(&[], &ipv4(6, &[], 0, &tcp(false, b"")));
    for (mode, needed) in [
        (mode::IPIP4, global::IPIP | global::OUTER4),
        (mode::IPIP6, global::IPIP | global::OUTER6),
        (mode::GUE4, global::GUE | global::OUTER4),
        (mode::GUE6, global::GUE | global::OUTER6),
        (mode::L2, global::L2),
        (mode::LOCAL, global::LOCAL),
    ] {
        let tables = tables(egress(mode, &[]));
        let run = |features| {
            let settings = Settings { features: global::IPV4 | features, ..SETTINGS };
            balance(&mut HostFrame::new(&bytes), &tables, &settings)
        };
        assert!(run(needed).is_forwarded(), "mode {mode}");
        assert_eq!(run(global::ALL & !needed).reason, Reason::BadTable, "mode {mode}");
    }
}

#[test]
fn a_frame_without_headroom_is_dropped() {
    let bytes = frame(&[], &ipv4(6, &[], 0, &tcp(false, b"")));
    let tables = tables(egress(mode::IPIP6, &[]));
    for (headroom, expected) in [(39, Reason::NoHeadroom), (40, Reason::Transmitted)] {
        let mut frame = HostFrame::with_headroom(&bytes, headroom);
        assert_eq!(balance(&mut frame, &tables, &SETTINGS).reason, expected);
    }
}

fn any_flow() -> impl Strategy<Value = (Vec<u8>, String)> {
    (any::<bool>(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..200), 2_u8.., any::<u8>()).prop_map(
        |(v6, is_tcp, payload, ttl, class)| {
            let segment = if is_tcp { tcp(v6, &payload) } else { udp(v6, &payload) };
            let number = if is_tcp { 6 } else { 17 };
            let mut ip = if v6 { ipv6(number, &[], &segment) } else { ipv4(number, &[], 0, &segment) };
            if v6 {
                ip[7] = ttl;
                ip[2] = class;
            } else {
                ip[8] = ttl;
                ip[4] = class;
                ip[10..12].fill(0);
                let sum = checksum(&ip[..20]);
                ip[10..12].copy_from_slice(&sum.to_be_bytes());
            }
            (ip, std::format!("v6 {v6}, tcp {is_tcp}, ttl {ttl}"))
        },
    )
}

proptest! {
    /// Whatever is carried: derived checksums are those that a sum over everything would give.
    #[test]
    fn derived_checksums_hold((ip, what) in any_flow(), drawn in 0_u8..=32) {
        for mode in MODES {
            let mut entry = egress(mode, &[]);
            entry.source_bits = drawn;
            let (outcome, out) = run(&frame(&[], &ip), &tables(entry));
            prop_assert_eq!(outcome.reason, Reason::Transmitted);
            let mask = (1_u64 << drawn) - 1;
            let expected = u64::from(outcome.hash.rotate_left(16)) & mask;
            let low = |address: &[u8]| u64::from(u32::from_be_bytes(address[address.len() - 4..].try_into().unwrap()));
            if matches!(mode, mode::IPIP4 | mode::GUE4) {
                let (outer, _) = Ipv4Header::from_slice(&out[14..]).unwrap();
                prop_assert_eq!(outer.header_checksum, outer.calc_header_checksum(), "{}", what);
                prop_assert_eq!(low(&outer.source), low(&OUTER4.0) & !mask | expected);
            } else {
                let (outer, rest) = Ipv6Header::from_slice(&out[14..]).unwrap();
                prop_assert_eq!(low(&outer.source), low(&OUTER6.0) & !mask | expected);
                prop_assert_eq!(&outer.source[..12], &OUTER6.0[..12]);
                if mode == mode::GUE6 {
                    let (udp, rest) = UdpHeader::from_slice(rest).unwrap();
                    let full = udp.calc_checksum_ipv6_raw(outer.source, outer.destination, rest).unwrap();
                    prop_assert_eq!(udp.checksum, full, "{}", what);
                }
            }
            let inner = &out[out.len() - ip.len()..];
            prop_assert_eq!(inner, one_hop_on(&ip));
        }
        prop_assert_ne!(CLIENT6, SERVICE6);
    }
}
