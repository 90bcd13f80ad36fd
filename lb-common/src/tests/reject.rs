//! Which packets are left alone, and why.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::parse::{read, shapes};
use super::{INGRESS, SETTINGS, fragment, frame, ipv4, ipv6, options, routing, tables, tcp, udp};
use crate::abi::{Egress, global, mode};
use crate::balance::balance;
use crate::host::HostFrame;
use crate::parse::MAX_EXTENSIONS;
use crate::tables::Settings;
use crate::{Reason, Verdict};

/// A frame with one field changed.
fn with(mut bytes: Vec<u8>, at: usize, value: &[u8]) -> Vec<u8> {
    bytes[at..at + value.len()].copy_from_slice(value);
    bytes
}

#[test]
fn what_contradicts_itself_is_malformed() {
    let tcp4 = frame(&[], &ipv4(6, &[], 0, &tcp(false, b"data")));
    let udp4 = frame(&[], &ipv4(17, &[], 0, &udp(false, b"data")));
    let tcp6 = frame(&[], &ipv6(6, &[(60, options(2))], &tcp(true, b"data")));
    for (what, bytes) in [
        ("ipv4, version 6", with(tcp4.clone(), 14, &[0x65])),
        ("ipv4, header of 16 bytes", with(tcp4.clone(), 14, &[0x44])),
        ("ipv4, header longer than packet", with(frame(&[], &ipv4(6, &[], 0, &[0; 20])), 14, &[0x4f])),
        ("ipv4, packet shorter than header", with(tcp4.clone(), 16, &[0, 19])),
        ("ipv4, packet longer than frame", with(tcp4.clone(), 16, &[0, 49])),
        ("ipv4, no room for tcp", with(tcp4.clone(), 16, &[0, 39])),
        ("tcp, header of 16 bytes", with(tcp4.clone(), 46, &[0x40])),
        ("tcp, header longer than segment", with(tcp4, 46, &[0xf0])),
        ("ipv4, no room for udp", with(udp4.clone(), 16, &[0, 27])),
        ("udp, datagram of 7 bytes", with(udp4.clone(), 38, &[0, 7])),
        ("udp, datagram longer than packet", with(udp4.clone(), 38, &[0, 13])),
        ("udp, length zero", with(udp4, 38, &[0, 0])),
        ("ipv6, version 4", with(tcp6.clone(), 14, &[0x4b])),
        ("ipv6, jumbogram", with(tcp6.clone(), 18, &[0, 0])),
        ("ipv6, packet longer than frame", with(tcp6.clone(), 18, &[0, 45])),
        ("ipv6, packet shorter than extensions", with(tcp6.clone(), 18, &[0, 15])),
        ("ipv6, no room for tcp", with(tcp6.clone(), 18, &[0, 35])),
        (
            "ipv6, extension longer than packet",
            with(frame(&[], &ipv6(6, &[(60, options(2))], &[0; 200])), 55, &[20]),
        ),
    ] {
        assert_eq!(read(&bytes), Err(Reason::Malformed), "{what}");
    }
}

#[test]
fn what_is_no_tcp_or_udp_passes_by_its_name() {
    let three = [(0x88a8, 1), (0x8100, 2), (0x8100, 3)];
    let many = vec![(60, options(1)); MAX_EXTENSIONS as usize + 1];
    let arp = with(frame(&[], &ipv4(6, &[], 0, &tcp(false, b""))), 12, &[8, 6]);
    for (what, bytes, reason) in [
        ("arp", arp, Reason::NotIp),
        ("three tags", frame(&three, &ipv4(6, &[], 0, &tcp(false, b""))), Reason::TooManyHeaders),
        ("nine extensions", frame(&[], &ipv6(6, &many, &tcp(true, b""))), Reason::TooManyHeaders),
        ("icmp", frame(&[], &ipv4(1, &[], 0, &[8, 0, 0, 0])), Reason::Icmp),
        ("icmpv6", frame(&[], &ipv6(58, &[], &[128, 0, 0, 0])), Reason::Icmp),
        ("later fragment of icmpv6", frame(&[], &ipv6(58, &[(44, fragment(8))], &[0; 8])), Reason::Icmp),
        ("ipip", frame(&[], &ipv4(4, &[], 0, &[0; 40])), Reason::OtherProtocol),
        ("sctp", frame(&[], &ipv4(132, &[], 0, &[0; 40])), Reason::OtherProtocol),
        ("authentication header", frame(&[], &ipv6(51, &[], &[0; 40])), Reason::OtherProtocol),
        (
            "options in a later fragment",
            frame(&[], &ipv6(60, &[(44, fragment(8))], &[0; 8])),
            Reason::OtherProtocol,
        ),
        ("routing", frame(&[], &ipv6(6, &[(43, routing(1))], &tcp(true, b""))), Reason::RoutingHeader),
        (
            "routing behind options",
            frame(&[], &ipv6(6, &[(0, options(1)), (43, routing(2))], &tcp(true, b""))),
            Reason::RoutingHeader,
        ),
    ] {
        assert_eq!(read(&bytes), Err(reason), "{what}");
    }
}

#[test]
fn a_family_without_services_is_not_looked_at() {
    let tables = tables(Egress { ifindex: INGRESS, mode: mode::L2, mtu: 1500, ..Egress::default() });
    for (features, v4, v6) in [
        (global::ALL & !global::IPV4, Reason::NotIp, Reason::Transmitted),
        (global::ALL & !global::IPV6, Reason::Transmitted, Reason::NotIp),
    ] {
        let settings = Settings { features, ..SETTINGS };
        let run = |bytes: &[u8]| balance(&mut HostFrame::new(bytes), &tables, &settings).reason;
        assert_eq!(run(&frame(&[], &ipv4(6, &[], 0, &tcp(false, b"")))), v4);
        assert_eq!(run(&frame(&[], &ipv6(6, &[], &tcp(true, b"")))), v6);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever comes in: no panic, and what is passed for another reason than a local backend is untouched.
    #[test]
    fn mutated_packets_do_no_harm(
        shape in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        mode in 0_u8..8,
    ) {
        let shapes = shapes();
        let mut bytes = shape.get(&shapes).1.clone();
        for (at, value) in changes {
            // Mostly headers.
            let at = at.index(bytes.len().min(90));
            bytes[at] = value;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let egress = Egress { ifindex: INGRESS, mode, mtu: 1500, tag_count: 3, ..Egress::default() };
        let mut frame = HostFrame::new(&bytes);
        let outcome = balance(&mut frame, &tables(egress), &SETTINGS);
        if outcome.reason.verdict() == Verdict::Pass {
            prop_assert_eq!(frame.as_bytes(), &bytes[..]);
        }
        prop_assert!(outcome.service.is_some() || outcome.reason.verdict() == Verdict::Pass);
    }
}
