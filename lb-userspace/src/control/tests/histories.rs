//! Random histories: whatever the order of configurations and networks, every moment of every change is right.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ipnet::IpNet;
use lb_common::abi::BackendId;
use proptest::prelude::*;

use super::lab::{Network, config, name};
use crate::config::Config;
use crate::config::model::{Algorithm, Backend, Forward, HashKey, Interface, Pool, Ports, Protocol, Service};
use crate::control::desired::{Compiled, Input, Members, compile};
use crate::control::plan::{plan, undo};
use crate::dataplane::Image;
use crate::table::Table;

fn ports() -> impl Strategy<Value = Ports> {
    prop_oneof![
        Just(Ports::Any),
        (1_u16..5, 0_u16..3).prop_map(|(first, more)| Ports::Range { first, last: first + more }),
    ]
}

fn address() -> impl Strategy<Value = IpNet> {
    let some = vec!["192.0.2.1/32", "192.0.2.2/32", "198.51.100.0/24", "2001:db8::1/128", "2001:db8:1::/48"];
    proptest::sample::select(some).prop_map(|net| net.parse().unwrap())
}

fn forward() -> impl Strategy<Value = Forward> {
    proptest::sample::select(vec![Forward::Ipip, Forward::Gue, Forward::L2, Forward::Local])
}

fn pool() -> impl Strategy<Value = Pool> {
    let backends = proptest::collection::btree_map(1_u8..6, (0_u8..5, 0_u16..4), 0..5);
    (forward(), any::<bool>(), backends).prop_map(|(forward, stable, chosen)| {
        let backend = |(octet, (label, weight)): (u8, (u8, u16))| {
            let address = format!("10.0.0.{octet}").parse().unwrap();
            // Labels that are taken over by other addresses from one configuration to the next.
            (name(&format!("b{label}")), Backend { address, port: None, weight })
        };
        Pool {
            algorithm: Algorithm::Maglev,
            forward,
            stable,
            backends: chosen.into_iter().map(backend).collect(),
        }
    })
}

/// A configuration with up to three pools, up to four services and one or two interfaces.
fn configuration() -> impl Strategy<Value = Config> {
    let pools = proptest::collection::btree_map(0_u8..4, pool(), 1..4);
    let service = (address(), any::<bool>(), ports(), any::<proptest::sample::Index>());
    let services = proptest::collection::btree_map(0_u8..5, service, 0..5);
    (pools, services, any::<bool>()).prop_map(|(pools, services, second)| {
        let mut made = config("");
        made.pools = pools.into_iter().map(|(n, pool)| (name(&format!("p{n}")), pool)).collect();
        let names: Vec<_> = made.pools.keys().cloned().collect();
        let service =
            |(n, (address, tcp, ports, pool)): (u8, (IpNet, bool, Ports, proptest::sample::Index))| {
                let protocol = if tcp { Protocol::Tcp } else { Protocol::Udp };
                let pool = pool.get(&names).clone();
                (name(&format!("s{n}")), Service { address, protocol, ports, pool, hash: HashKey::FiveTuple })
            };
        made.services = services.into_iter().map(service).collect();
        let interface = Interface { mode: crate::config::model::AttachMode::Native };
        made.interfaces.insert("eth0".to_owned(), interface);
        if second {
            made.interfaces.insert("eth1".to_owned(), interface);
        }
        made
    })
}

/// A network in which some addresses are lost and some are behind the other interface.
fn network() -> impl Strategy<Value = Network> {
    proptest::collection::btree_map(1_u8..6, 0_u8..4, 0..4).prop_map(|fates| {
        let mut network = Network::new();
        for (octet, fate) in fates {
            let address = format!("10.0.0.{octet}");
            match fate {
                0 => network.lose(&address),
                1 => network.find(&address, |hop| hop.ifindex = 3),
                2 => network.find(&address, |hop| hop.gateway = Some("10.0.0.99".parse().unwrap())),
                _ => network.find(&address, |hop| hop.destination_mac = [2, 7, 7, 7, 7, octet]),
            }
        }
        network
    })
}

/// Owners of tables, counted once for each table.
#[derive(Default)]
struct Owners(Vec<(Arc<Table>, BTreeSet<BackendId>)>);

impl Owners {
    fn of(&mut self, table: &Arc<Table>) -> &BTreeSet<BackendId> {
        let known = self.0.iter().position(|(known, _)| Arc::ptr_eq(known, table));
        let known = known.unwrap_or_else(|| {
            let mut owners: BTreeSet<BackendId> = table.shares().into_keys().collect();
            owners.remove(&BackendId::NONE);
            self.0.push((table.clone(), owners));
            self.0.len() - 1
        });
        &self.0[known].1
    }
}

/// Promise 1: what a packet can meet at this moment leads to a backend of its service's pool, or nowhere.
fn assert_sound(image: &Image, owners: &mut Owners) {
    let services4 = image.services4.values().chain(image.prefixes4.values());
    let services = services4.chain(image.services6.values()).chain(image.prefixes6.values());
    for service in services {
        assert!(image.tables.contains_key(&service.table), "a service names table {}", service.table);
        assert!(image.pool_records.contains_key(&service.table));
        assert!(image.service_records.contains_key(&service.id));
    }
    for (index, table) in &image.tables {
        for owner in owners.of(table) {
            assert!(image.backends.contains_key(owner), "table {index} names {owner:?}, which has no entry");
            let record = image.backend_records.get(owner).expect("a record");
            assert_eq!(
                (record.table, record.state),
                (*index, 1),
                "table {index} names a stranger, {owner:?}"
            );
        }
    }
}

fn next(previous: &Image, members: &Members, config: &Config, network: &Network) -> Compiled {
    let mut next = compile(&Input { config, previous, members, log: None, network }).unwrap();
    if !plan(previous, &next.image).is_empty() {
        next.image.generation += 1;
    }
    next
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_moment_of_every_change_is_right(
        history in proptest::collection::vec((configuration(), network()), 1..4)
    ) {
        let (mut image, mut members, mut owners) = (Image::default(), Members::new(), Owners::default());
        let mut known: BTreeMap<_, BackendId> = BTreeMap::new();
        for (config, network) in &history {
            let target = next(&image, &members, config, network);
            let steps = plan(&image, &target.image);
            let mut now = image.clone();
            for (done, step) in steps.iter().enumerate() {
                let mut back = now.clone();
                for inverse in &undo(&image, &steps[..done]) {
                    back.apply(inverse);
                    assert_sound(&back, &mut owners);
                }
                prop_assert_eq!(&back, &image, "undone after {} steps", done);
                now.apply(step);
                assert_sound(&now, &mut owners);
            }
            prop_assert_eq!(&now, &target.image);

            // Compiling again, with or without a memory of the members, finds nothing to do.
            for members in [&target.members, &Members::new()] {
                let again = next(&now, members, config, network);
                prop_assert_eq!(plan(&now, &again.image), vec![]);
            }
            // Who stays keeps his number.
            let owned = now.backend_records.iter().filter(|(_, record)| record.state == 1);
            let numbers: BTreeMap<_, _> =
                owned.map(|(&id, r)| ((now.pool_records[&r.table].name, r.address), id)).collect();
            for (who, id) in &numbers {
                prop_assert!(known.get(who).is_none_or(|known| known == id), "a number changed");
            }
            (image, members, known) = (now, target.members, numbers);
        }
    }
}
