//! Which service a packet is for, and what happens when the tables are wrong.

use std::vec;
use std::vec::Vec;

use super::forward::{egress, run};
use super::{BACKEND, SERVICE4, SERVICE6, fragment, frame, ipv4, ipv6, service, tables, tcp};
use crate::Reason;
use crate::abi::{
    BackendId, PREFIX_KEY_HEAD_BITS, PrefixKey4, PrefixKey6, SLOTS, ServiceKey4, Slot, key_kind, mode,
};
use crate::host::HostTables;
use crate::wire::{Be16, address4, address6};

#[test]
fn fragments_of_a_service_are_dropped_and_others_passed() {
    let mut tables = tables(egress(mode::IPIP4, &[]));
    let segment = tcp(false, b"");
    for (field, reason) in [(0x2000, Reason::Fragment), (0x2003, Reason::Fragment), (3, Reason::Fragment)] {
        let (outcome, _) = run(&frame(&[], &ipv4(6, &[], field, &segment)), &tables);
        assert_eq!((outcome.reason, outcome.service), (reason, Some(1)), "{field:#x}");
        let mut other = ipv4(6, &[], field, &segment);
        other[19] ^= 1;
        assert_eq!(run(&frame(&[], &other), &tables).0.reason, Reason::NotService, "{field:#x}");
    }
    for (field, reason) in [(0, Reason::Transmitted), (1, Reason::Fragment), (8, Reason::Fragment)] {
        let bytes = frame(&[], &ipv6(6, &[(44, fragment(field))], &tcp(true, b"")));
        assert_eq!(run(&bytes, &tables).0.reason, reason, "{field:#x}");
    }
    // A first fragment to another port of the same address is somebody else's; of a later one that is unknown.
    let mut other = segment;
    other[3] = 81;
    assert_eq!(run(&frame(&[], &ipv4(6, &[], 0x2000, &other)), &tables).0.reason, Reason::NotService);
    tables.services4.retain(|key, _| key.kind == key_kind::SERVICE);
    assert_eq!(run(&frame(&[], &ipv4(6, &[], 3, &other)), &tables).0.reason, Reason::NotService);
}

#[test]
fn the_most_exact_service_wins() {
    let mut tables = tables(egress(mode::LOCAL, &[]));
    let [address, ..] = address4(SERVICE4);
    let exact = *tables.services4.keys().find(|key| key.protocol == 6 && key.port.get() == 80).unwrap();
    let any = ServiceKey4 { port: Be16::new(0), ..exact };
    let prefix = |bits, port| PrefixKey4 {
        prefix_len: PREFIX_KEY_HEAD_BITS + bits,
        protocol: 6,
        kind: key_kind::SERVICE,
        port: Be16::new(port),
        address,
    };
    tables.services4.insert(any, service(10));
    tables.prefixes4.insert(prefix(24, 80), service(11));
    tables.prefixes4.insert(prefix(8, 80), service(12));
    tables.prefixes4.insert(prefix(24, 0), service(13));
    let bytes = frame(&[], &ipv4(6, &[], 0, &tcp(false, b"")));
    let mut matched = Vec::new();
    for gone in 0..6 {
        matched.push(run(&bytes, &tables).0.service);
        match gone {
            0 => drop(tables.services4.remove(&exact)),
            1 => drop(tables.services4.remove(&any)),
            2 => drop(tables.prefixes4.remove(&prefix(24, 80))),
            3 => drop(tables.prefixes4.remove(&prefix(8, 80))),
            _ => drop(tables.prefixes4.remove(&prefix(24, 0))),
        }
    }
    assert_eq!(matched, [Some(1), Some(10), Some(11), Some(12), Some(13), None]);
}

#[test]
fn an_ipv6_prefix_matches_to_its_last_bit() {
    let mut tables = tables(egress(mode::LOCAL, &[]));
    tables.services6.clear();
    for bits in [0, 1, 32, 63, 64, 127, 128] {
        let key = PrefixKey6 {
            prefix_len: PREFIX_KEY_HEAD_BITS + bits,
            protocol: 6,
            kind: key_kind::SERVICE,
            port: Be16::new(80),
            address: address6(SERVICE6),
        };
        tables.prefixes6.clear();
        tables.prefixes6.insert(key, service(9));
        for flipped in 0..128_u32 {
            let mut ip = ipv6(6, &[], &tcp(true, b""));
            ip[24 + flipped as usize / 8] ^= 0x80 >> (flipped % 8);
            let expected = (flipped >= bits).then_some(9);
            assert_eq!(run(&frame(&[], &ip), &tables).0.service, expected, "/{bits}, bit {flipped}");
        }
    }
}

#[test]
fn faults_of_the_tables_have_their_reasons() {
    let bytes = frame(&[], &ipv4(6, &[], 0, &tcp(false, b"")));
    let good = tables(egress(mode::IPIP4, &[]));
    let mut cases: Vec<(&str, HostTables, Reason)> = Vec::new();
    let mut case = |what, reason, change: &dyn Fn(&mut HostTables)| {
        let mut tables = good.clone();
        change(&mut tables);
        cases.push((what, tables, reason));
    };
    case("no table", Reason::BadTable, &|tables| tables.tables.clear());
    case("empty table", Reason::NoBackend, &|tables| {
        tables.tables.insert(0, vec![Slot::settled(BackendId::NONE); SLOTS]);
    });
    case("unwritten backend", Reason::NoBackend, &|tables| tables.backends.clear());
    case("unknown mode", Reason::BadTable, &|tables| tables.backends.get_mut(&BACKEND).unwrap().mode = 99);
    case("unknown device", Reason::BadTable, &|tables| {
        tables.backends.get_mut(&BACKEND).unwrap().ifindex = 99;
    });
    case("other device", Reason::Redirected, &|tables| {
        tables.backends.get_mut(&BACKEND).unwrap().ifindex = 99;
        tables.devices.insert(99);
    });
    for (what, tables, reason) in cases {
        let (outcome, _) = run(&bytes, &tables);
        assert_eq!((outcome.reason, outcome.service), (reason, Some(1)), "{what}");
    }
}
