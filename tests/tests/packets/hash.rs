//! Which slot a flow falls in: the same on every balancer, for ever.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use lb_common::abi::global;
use xlb_tests::packets::{
    Balancer, Flow, Frame, HashKey, Run, SEED, Table, Transport, flow_hash, forwarded, standard,
};

use crate::support::{add, check};

/// A change of any of these sends flows of a running installation elsewhere.
#[test]
fn the_hash_is_what_it_has_always_been() {
    let four = flow("203.0.113.7:40001", "192.0.2.10:80", 6);
    let six = flow("[2001:db8:c::7]:40001", "[2001:db8:5::a]:80", 17);
    let prefix = HashKey::SourcePrefix { v4_bits: 20, v6_bits: 52 };
    let hashes = [
        flow_hash(&four, HashKey::FiveTuple, SEED),
        flow_hash(&four, HashKey::FiveTuple, 0),
        flow_hash(&four, HashKey::Source, SEED),
        flow_hash(&four, prefix, SEED),
        flow_hash(&six, HashKey::FiveTuple, SEED),
        flow_hash(&six, HashKey::FiveTuple, u64::MAX),
        flow_hash(&six, HashKey::Source, SEED),
        flow_hash(&six, prefix, SEED),
    ];
    assert_eq!(hashes, GOLDEN, "{hashes:#010x?}");
}

const GOLDEN: [u32; 8] =
    [0x6de8_9d7f, 0xca85_308b, 0x7447_644c, 0x4a91_b98e, 0x604b_78d7, 0x1a39_ce46, 0xf3ac_dc53, 0x8647_66aa];

/// A slot's backend shows the lower half of the hash, the outer flow label its upper bits.
#[test]
fn every_part_of_the_flow_is_hashed_as_the_service_says() {
    let scene = standard();
    let mut table = Table::default();
    for service in
        ["five-tuple/4", "source/4", "source-prefix/4", "five-tuple/6", "source/6", "source-prefix/6"]
    {
        for source in sources(service) {
            for transport in [Transport::Tcp { flags: 0x10, options: 0 }, Transport::Udp] {
                let frame = Frame::new(scene.target(service), transport).from(source);
                add(&mut table, &scene, &format!("{service} from {source}, {transport:?}"), service, &frame);
            }
        }
    }
    check(&scene, &table);
}

#[test]
fn only_what_the_key_names_moves_a_flow() {
    let scene = standard();
    let mut kernel = Balancer::standard();
    let mut distinct = |service: &str, sources: &[SocketAddr]| {
        let frame = |source: &SocketAddr| Frame::tcp(scene.target(service)).from(*source).bytes();
        // The outer header alone: addresses and flow label, that is slot and hash.
        let outer = |run: Run| run.bytes[14..54].to_vec();
        let outers: BTreeSet<_> = sources.iter().map(|source| outer(kernel.run(&frame(source)))).collect();
        outers.len()
    };
    for family in ["4", "6"] {
        let ports = |start: u16| (start..start + 200).map(|port| source(family, 0, port)).collect::<Vec<_>>();
        let hosts: Vec<_> = (0..200).map(|host| source(family, host, 1024)).collect();
        let far: Vec<_> = (0..200).map(|host| source(family, host << 12, 1024)).collect();
        assert!(distinct(&format!("five-tuple/{family}"), &ports(1024)) > 195, "ports count");
        assert!(distinct(&format!("five-tuple/{family}"), &hosts) > 195, "hosts count");
        assert_eq!(distinct(&format!("source/{family}"), &ports(60_000)), 1, "ports do not count");
        assert!(distinct(&format!("source/{family}"), &hosts) > 195, "hosts count");
        assert_eq!(
            distinct(&format!("source-prefix/{family}"), &hosts),
            1,
            "the prefix's hosts do not count"
        );
        assert!(distinct(&format!("source-prefix/{family}"), &far) > 195, "prefixes count");
    }
}

#[test]
fn another_seed_is_another_hash() {
    let mut scene = standard();
    for seed in [1 << 32, u64::MAX] {
        scene.seed = seed;
        let mut kernel = Balancer::load(&scene.tables(), global::ALL, seed);
        let mut table = Table::default();
        for service in ["five-tuple/4", "source-prefix/6", "drawn-gue4/4", "drawn6/6"] {
            let frame = Frame::udp(scene.target(service));
            table.add(service, frame.bytes(), forwarded(&scene, service, &frame));
        }
        table.check(&format!("seed {seed:#x}"), |bytes| kernel.run(bytes));
    }
}

/// The program that logs decides no differently.
#[test]
fn the_logging_variant_forwards_alike() {
    let scene = standard();
    let mut kernel = Balancer::load_logging(&scene.tables(), global::ALL, SEED);
    let mut table = Table::default();
    for service in ["five-tuple/4", "source/6", "gue6/4", "gue4/6", "l2/4", "local/6", "ipip4-other/6"] {
        for frame in [Frame::tcp(scene.target(service)), Frame::udp(scene.target(service))] {
            add(&mut table, &scene, service, service, &frame);
        }
    }
    table.check("logging", |bytes| kernel.run(bytes));
}

fn flow(source: &str, destination: &str, protocol: u8) -> Flow {
    let (source, destination): (SocketAddr, SocketAddr) =
        (source.parse().unwrap(), destination.parse().unwrap());
    Flow {
        source: source.ip(),
        destination: destination.ip(),
        source_port: source.port(),
        destination_port: destination.port(),
        protocol,
    }
}

/// A host of the prefix that `source-prefix` hashes, or, above twelve bits, of another.
fn source(family: &str, host: u32, port: u16) -> SocketAddr {
    if family == "4" {
        (std::net::Ipv4Addr::from_bits(0x0b00_0000 | host), port).into()
    } else {
        let high = u128::from(0x2001_0db8_0c00_u64) << 80 | u128::from(host) << 64;
        (std::net::Ipv6Addr::from_bits(high | 0xbeef), port).into()
    }
}

fn sources(service: &str) -> Vec<SocketAddr> {
    let family = &service[service.len() - 1..];
    let hosts = (0..40).map(|n: u32| source(family, n.wrapping_mul(0x0101) % 0x10_0000, 1024 + 17));
    let ports = (0..40).map(|n: u16| source(family, 3, n.wrapping_mul(1637)));
    hosts.chain(ports).collect()
}
