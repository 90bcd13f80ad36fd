//! What the agent takes apart, and what it leaves alone.

use std::vec::Vec;

use super::{CLIENT6, SERVICE6, checksum, frame, ipv4, ipv4_between, ipv6, ipv6_between, tcp, udp};
use crate::Reason;
use crate::abi::{AgentKey4, AgentKey6};
use crate::agent::decapsulate;
use crate::host::{HostAgentTables, HostFrame};
use crate::wire::{Be16, address4, address6};

const BALANCER4: [u8; 4] = [10, 1, 2, 3];
const HOST4: [u8; 4] = [10, 9, 8, 7];
const GUE_PORT: u16 = 6080;

fn tables() -> HostAgentTables {
    let mut tables = HostAgentTables::default();
    tables.addresses.insert(address4(HOST4), 4);
    tables.addresses.insert(address6(SERVICE6), 6);
    tables.sources4.insert(AgentKey4 { prefix_len: 24, address: address4([10, 1, 2, 0])[0] });
    tables.sources6.insert(AgentKey6 { prefix_len: 128, address: address6(CLIENT6) });
    tables
}

fn run(bytes: &[u8]) -> (Reason, Vec<u8>) {
    let mut frame = HostFrame::new(bytes);
    let reason = decapsulate(&mut frame, &tables(), Be16::new(GUE_PORT));
    (reason, frame.as_bytes().to_vec())
}

/// The four outer headers around an inner packet, and where the inner packet then starts behind the link.
fn tunnels(inner: &[u8]) -> Vec<(Vec<u8>, usize)> {
    let number = if inner[0] >> 4 == 4 { 4 } else { 41 };
    let mut gue = Vec::from([0xc0, 0, 0x17, 0xc0]);
    gue.extend(u16::try_from(inner.len() + 12).unwrap().to_be_bytes());
    gue.extend([0, 0, 0, number, 0, 0]);
    gue.extend(inner);
    Vec::from([
        (ipv4_between(BALANCER4, HOST4, number, &[], 0x4000, inner), 20),
        (ipv4_between(BALANCER4, HOST4, number, &[1; 8], 0x4000, inner), 28),
        (ipv6_between(CLIENT6, SERVICE6, number, &[], inner), 40),
        (ipv4_between(BALANCER4, HOST4, 17, &[], 0x4000, &gue), 32),
        (ipv6_between(CLIENT6, SERVICE6, 17, &[], &gue), 52),
    ])
}

fn inners() -> [Vec<u8>; 4] {
    [
        ipv4(6, &[], 0x4000, &tcp(false, b"payload")),
        ipv4(17, &[1; 12], 0, &udp(false, b"")),
        ipv6(6, &[], &tcp(true, b"payload")),
        ipv6(17, &[], &udp(true, b"")),
    ]
}

#[test]
fn every_tunnel_is_taken_off() {
    for inner in inners() {
        for (outer, _) in tunnels(&inner) {
            for tags in [&[][..], &[(0x8100, 0x3123)], &[(0x88a8, 0x0007), (0x8100, 0x0fff)]] {
                let bytes = frame(tags, &outer);
                assert_eq!(run(&bytes), (Reason::Decapsulated, frame(tags, &inner)));
                let padded = [&bytes[..], &[0xee; 9]].concat();
                assert_eq!(run(&padded), (Reason::Decapsulated, frame(tags, &inner)));
            }
        }
    }
}

#[test]
fn a_tunnel_cut_anywhere_is_never_delivered() {
    for inner in inners() {
        for (outer, _) in tunnels(&inner) {
            let bytes = frame(&[(0x8100, 9)], &outer);
            for length in 0..bytes.len() {
                let (reason, out) = run(&bytes[..length]);
                match reason {
                    Reason::NotTunnel => assert_eq!(out, bytes[..length]),
                    Reason::BadTunnel => assert!(length >= 18 + 20),
                    other => panic!("{other:?} at {length}"),
                }
            }
        }
    }
}

#[test]
fn what_is_no_tunnel_to_this_host_is_left_alone() {
    let inner = &inners()[0];
    let elsewhere = ipv4_between(BALANCER4, [10, 9, 8, 6], 4, &[], 0, inner);
    let fragment = ipv4_between(BALANCER4, HOST4, 4, &[], 0x2000, inner);
    let other_port = ipv4_between(BALANCER4, HOST4, 17, &[], 0, &udp(false, inner));
    let plain = ipv4_between(BALANCER4, HOST4, 6, &[], 0, &tcp(false, b""));
    for ip in [elsewhere, fragment, other_port, plain, ipv6_between(SERVICE6, CLIENT6, 4, &[], inner)] {
        let bytes = frame(&[], &ip);
        assert_eq!(run(&bytes), (Reason::NotTunnel, bytes));
    }
}

#[test]
fn a_stranger_is_not_delivered() {
    let inner = &inners()[0];
    for ip in [
        ipv4_between([10, 1, 3, 3], HOST4, 4, &[], 0, inner),
        ipv6_between([0xfd; 16], SERVICE6, 4, &[], inner),
    ] {
        assert_eq!(run(&frame(&[], &ip)).0, Reason::UnknownBalancer);
    }
}

#[test]
fn what_contradicts_itself_is_a_bad_tunnel() {
    for inner in inners() {
        let v4 = inner[0] >> 4 == 4;
        let changes: &[(usize, u8)] =
            if v4 { &[(0, 0x65), (0, 0x44), (3, 19), (2, 1)] } else { &[(0, 0x45), (5, 0xff), (4, 1)] };
        for (at, value) in changes {
            let mut inner = inner.clone();
            inner[*at] = *value;
            let number = if v4 { 4 } else { 41 };
            let ip = ipv4_between(BALANCER4, HOST4, number, &[], 0, &inner);
            assert_eq!(run(&frame(&[], &ip)).0, Reason::BadTunnel, "byte {at} is {value:#x}");
        }
    }
    let (gue, _) = tunnels(&inners()[0]).swap_remove(3);
    // Variant, control bit, length of fields; flags; protocol; datagram too short, too long.
    for (at, value) in [(28, 0x40), (28, 0x20), (28, 1), (30, 1), (31, 1), (29, 6), (25, 11), (24, 1)] {
        let mut ip = gue.clone();
        ip[at] = value;
        assert_eq!(run(&frame(&[], &ip)).0, Reason::BadTunnel, "byte {at} is {value:#x}");
    }
}

#[test]
fn congestion_on_the_way_reaches_the_inner_header() {
    for inner in inners() {
        let v4 = inner[0] >> 4 == 4;
        let with = |ip: &[u8], ecn: u8| {
            let mut ip = ip.to_vec();
            if ip[0] >> 4 == 4 {
                ip[1] = ip[1] & !3 | ecn;
                ip[10..12].fill(0);
                let sum = checksum(&ip[..usize::from(ip[0] & 0xf) * 4]);
                ip[10..12].copy_from_slice(&sum.to_be_bytes());
            } else {
                ip[1] = ip[1] & !0x30 | ecn << 4;
            }
            ip
        };
        assert!(v4 || inner[0] == 0x6b);
        for (inner_ecn, outer_ecn, result) in [
            (0, 0, Some(0)),
            (2, 0, Some(2)),
            (2, 3, Some(3)),
            (1, 3, Some(3)),
            (2, 1, Some(1)),
            (3, 0, Some(3)),
            (0, 3, None),
        ] {
            for (outer, _) in tunnels(&with(&inner, inner_ecn)) {
                let (reason, out) = run(&frame(&[], &with(&outer, outer_ecn)));
                match result {
                    Some(ecn) => {
                        assert_eq!(reason, Reason::Decapsulated);
                        assert_eq!(out, frame(&[], &with(&inner, ecn)));
                    }
                    None => assert_eq!(reason, Reason::EcnNotCapable),
                }
            }
        }
    }
}
