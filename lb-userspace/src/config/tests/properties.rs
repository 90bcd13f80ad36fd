//! Properties over random configurations and random texts.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::accepted::FULL;
use crate::config::model::{
    Algorithm, AttachMode, Backend, Config, Daemon, Encapsulation, Forward, HashKey, Interface, Name, Pool,
    Ports, Protocol, Service,
};
use crate::config::{Interfaces, Pieces, Style, diff, oneshot, parse, parse_on, render};

fn name() -> impl Strategy<Value = Name> {
    "[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}".prop_map(|text| text.parse().unwrap())
}

fn backend_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0u32..1 << 24).prop_map(|low| Ipv4Addr::from_bits(10 << 24 | low).into()),
        any::<u64>().prop_map(|low| Ipv6Addr::from_bits(0xfd00 << 112 | u128::from(low)).into()),
    ]
}

fn service_address() -> impl Strategy<Value = IpNet> {
    prop_oneof![
        (0u32..1 << 17, 16u8..=32).prop_map(|(low, length)| {
            IpNet::new(Ipv4Addr::from_bits(0xc612_0000 | low).into(), length).unwrap().trunc()
        }),
        (any::<u64>(), 32u8..=128).prop_map(|(low, length)| {
            let bits = 0x2001_0db8 << 96 | u128::from(low);
            IpNet::new(Ipv6Addr::from_bits(bits).into(), length).unwrap().trunc()
        }),
    ]
}

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just(Ports::Any),
        (1u16..=65535).prop_map(|port| Ports::Range { first: port, last: port }),
        (1u16..=65535, 0u16..1024)
            .prop_map(|(first, more)| Ports::Range { first, last: first.saturating_add(more) }),
    ]
}

fn hash() -> impl Strategy<Value = HashKey> {
    prop_oneof![
        Just(HashKey::FiveTuple),
        Just(HashKey::Source),
        (1u8..=32, 1u8..=128).prop_map(|(ipv4, ipv6)| HashKey::SourcePrefix { ipv4, ipv6 }),
    ]
}

fn pool() -> impl Strategy<Value = Pool> {
    let backends = (btree_set(backend_address(), 0..6), vec((name(), any::<u16>()), 6));
    (select(Forward::ALL), any::<bool>(), backends).prop_map(|(forward, stable, (addresses, rest))| {
        let most = if forward == Forward::Local { 1 } else { usize::MAX };
        let backends = addresses.into_iter().zip(rest).take(most);
        let backends =
            backends.map(|(address, (name, weight))| (name, Backend { address, port: None, weight }));
        Pool { algorithm: Algorithm::Maglev, forward, stable, backends: backends.collect() }
    })
}

fn encapsulation() -> impl Strategy<Value = Encapsulation> {
    let source_ipv4 = proptest::option::of((0u32..1 << 20, 12u8..=32).prop_map(|(low, length)| {
        IpNet::new(Ipv4Addr::from_bits(0xac10_0000 | low).into(), length).unwrap().trunc()
    }));
    let source_ipv6 = proptest::option::of((any::<u32>(), 96u8..=128).prop_map(|(low, length)| {
        IpNet::new(Ipv6Addr::from_bits(0xfc00 << 112 | u128::from(low)).into(), length).unwrap().trunc()
    }));
    (source_ipv4, source_ipv6, 1u16..=65535, any::<bool>()).prop_map(
        |(source_ipv4, source_ipv6, gue_port, gue_zero_checksum)| Encapsulation {
            source_ipv4,
            source_ipv6,
            gue_port,
            gue_zero_checksum,
        },
    )
}

/// Valid configurations: one service per address and protocol, and backends apart from all else.
fn config() -> impl Strategy<Value = Config> {
    let daemon = ("/[^\\pC]{0,50}", "/[^\\pC]{0,50}")
        .prop_map(|(socket, pin_dir)| Daemon { socket: short(socket).into(), pin_dir: pin_dir.into() });
    let interfaces =
        btree_map("[^\\s\\pC/:]{1,3}[a-z0-9]", select(AttachMode::ALL), 0..4).prop_map(|modes| {
            modes.into_iter().map(|(name, mode)| (name, Interface { mode })).collect::<BTreeMap<_, _>>()
        });
    let pools = btree_map(name(), pool(), 0..4);
    let services = btree_map(
        (service_address(), select(Protocol::ALL)),
        (name(), ports(), hash(), any::<Index>(), any::<bool>()),
        0..4,
    );
    (any::<u64>(), daemon, encapsulation(), interfaces, pools, services).prop_map(
        |(seed, daemon, encapsulation, interfaces, mut pools, services)| {
            let names: Vec<Name> = pools.keys().cloned().collect();
            let services = services.into_iter().filter(|_| !names.is_empty());
            let services: BTreeMap<Name, Service> = services
                .map(|((address, protocol), (name, ports, hash, pool, _))| {
                    (name, Service { address, protocol, ports, pool: pool.get(&names).clone(), hash })
                })
                .collect();
            for (name, pool) in &mut pools {
                name_ports(pool, services.values().filter(|service| service.pool == *name));
            }
            Config { seed, daemon, encapsulation, interfaces, pools, services }
        },
    )
}

/// Gives every other backend the port, where all services of its pool have the same one.
fn name_ports<'a>(pool: &mut Pool, mut services: impl Iterator<Item = &'a Service>) {
    let Some(Ports::Range { first, last }) = services.next().map(|service| service.ports) else { return };
    if first == last && services.all(|service| service.ports == Ports::Range { first, last }) {
        for backend in pool.backends.values_mut().step_by(2) {
            backend.port = Some(first);
        }
    }
}

/// Cuts a path to what a socket's may have.
fn short(mut path: String) -> String {
    while path.len() > 107 {
        path.pop();
    }
    path
}

/// A valid file with some of its pieces cut out, doubled or overwritten.
fn mutated() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        select(vec![
            "[", "]", "{", "}", "\"", "'", "=", ".", ",", "\n", "\r", "#", "\\", "\u{feff}", "é", "-1", "0x"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    vec((any::<Index>(), 0usize..12, piece, any::<bool>()), 1..6).prop_map(|edits| {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, length, piece, double) in edits {
            if text.is_empty() {
                break;
            }
            let start = at.index(text.len());
            let end = (start + length).min(text.len());
            let kept: Vec<char> = if double { text[start..end].to_vec() } else { Vec::new() };
            text.splice(start..end, kept.iter().copied().chain(piece.chars()).chain(kept.iter().copied()));
        }
        text.into_iter().collect()
    })
}

/// Every way of looking at what a text comes to.
fn look_at(text: &str) {
    let report = match parse_on(text, "xlb.toml", Interfaces::Required(&["eth0".to_owned()])) {
        Ok(loaded) => {
            assert_eq!(parse(&render(&loaded.config), "printed").as_ref(), Ok(&loaded.config));
            loaded.warnings
        }
        Err(report) => {
            assert!(!report.is_empty());
            report
        }
    };
    for diagnostic in report.diagnostics() {
        assert!(diagnostic.line >= 1 && diagnostic.column >= 1);
        assert!(diagnostic.line <= text.matches('\n').count() + 1);
    }
    let _ = report.render(Style::Coloured);
    let plain = report.render(Style::Plain);
    assert!(!plain.contains('\u{1b}'), "{plain:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same(config in config()) {
        let printed = render(&config);
        prop_assert_eq!(parse(&printed, "printed"), Ok(config), "{}", printed);
    }

    #[test]
    fn a_difference_is_told_exactly_where_there_is_one(one in config(), two in config()) {
        prop_assert_eq!(diff(&one, &one), []);
        prop_assert_eq!(diff(&one, &two).is_empty(), one == two);
    }

    #[test]
    fn a_change_at_run_time_is_judged_as_a_file_is(
        config in config(),
        at in any::<Index>(),
        address in prop_oneof![backend_address(), service_address().prop_map(|net| net.addr()), any::<IpAddr>()],
        port in proptest::option::of(select(vec![80u16, 443])),
        again in any::<bool>(),
    ) {
        if config.pools.is_empty() {
            return Ok(());
        }
        let names: Vec<Name> = config.pools.keys().cloned().collect();
        let pool = at.get(&names);
        let mut backend = Backend { address, port, weight: 1 };
        if again && let Some(twin) = config.pools[pool].backends.values().next() {
            backend = twin.clone();
        }
        let name: Name = "a-name-that-nobody-has".parse().unwrap();
        let mut unchecked = config.clone();
        unchecked.pools.get_mut(pool).unwrap().backends.insert(name.clone(), backend.clone());
        match (config.with_backend(pool, name, backend), parse(&render(&unchecked), "file")) {
            (Ok(edited), Ok(file)) => prop_assert_eq!(edited, file),
            (Err(problem), Err(report)) => {
                let codes: Vec<_> = report.findings().iter().map(|finding| finding.problem.code()).collect();
                prop_assert!(codes.contains(&problem.code()), "{} but {:?}", problem, codes);
            }
            (edited, file) => prop_assert!(false, "edit: {:?}, file: {:?}", edited.is_ok(), file.is_ok()),
        }
    }

    #[test]
    fn no_text_is_too_odd(text in any::<String>()) {
        look_at(&text);
    }

    #[test]
    fn no_bytes_are_too_odd(bytes in vec(any::<u8>(), 0..200)) {
        look_at(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_mutation_is_too_odd(text in mutated()) {
        look_at(&text);
    }

    #[test]
    fn no_command_line_is_too_odd(
        interfaces in vec(any::<String>(), 0..2),
        services in vec(prop_oneof![any::<String>(), "[0-9a-f.:/\\[\\]-]{0,12}:(any|[0-9]{0,5})/(tcp|udp)"], 0..4),
        backends in vec(prop_oneof![any::<String>(), "[0-9a-f.:\\[\\]]{0,12}(\\*[0-9]{0,6})?"], 0..4),
        seed in any::<Option<String>>(),
    ) {
        let pieces = Pieces {
            interfaces,
            mode: AttachMode::Generic,
            services,
            backends,
            forward: Forward::Gue,
            seed,
            socket: None,
            pin_dir: None,
        };
        match oneshot(&pieces) {
            Ok(loaded) => prop_assert_eq!(parse(&render(&loaded.config), "printed"), Ok(loaded.config)),
            Err(report) => {
                let plain = report.to_string();
                assert!(!plain.contains('\u{1b}'), "{plain:?}");
                prop_assert!(!report.diagnostics().is_empty());
            }
        }
    }
}
