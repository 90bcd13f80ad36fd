//! What a configuration compiles to.

use std::net::IpAddr;

use lb_common::abi::{
    PREFIX_KEY_HEAD_BITS, PrefixKey4, ServiceKey4, egress_flag, global, key_kind, mode, protocol,
};
use lb_common::wire::{Be16, Be32, address4, address6};

use super::lab::{Network, config, ip};
use crate::control::desired::{Compiled, Input, Members, compile};
use crate::dataplane::Image;
use crate::net::Unreachable;

fn compiled(text: &str, network: &Network) -> Compiled {
    let (config, previous, members) = (config(text), Image::default(), Members::new());
    let input = Input { config: &config, previous: &previous, members: &members, log: None, network };
    compile(&input).unwrap()
}

fn pool(forward: &str, backend: &str) -> String {
    format!("[pools.p]\nforward = \"{forward}\"\nbackends = [{{ address = \"{backend}\" }}]\n")
}

#[test]
fn every_kind_of_service_has_its_keys() {
    let text = pool("ipip", "10.0.0.1")
        + r#"
[services.range]
address = "192.0.2.1"
protocol = "tcp"
port = "8000-8002"
pool = "p"
hash = "source"
[services.any]
address = "192.0.2.1"
protocol = "udp"
port = "any"
pool = "p"
[services.net]
address = "198.51.100.0/24"
protocol = "tcp"
port = 443
pool = "p"
hash = { source_prefix_ipv4 = 20 }
"#;
    let image = compiled(&text, &Network::new()).image;
    let key = |port, protocol, kind| ServiceKey4 {
        address: Be32::new(0xc000_0201),
        port: Be16::new(port),
        protocol,
        kind,
    };
    let (tcp, udp) = (protocol::TCP, protocol::UDP);
    let mut keys = vec![
        key(8_000, tcp, key_kind::SERVICE),
        key(8_001, tcp, key_kind::SERVICE),
        key(8_002, tcp, key_kind::SERVICE),
        key(0, tcp, key_kind::ADDRESS),
        key(0, udp, key_kind::SERVICE),
        key(0, udp, key_kind::ADDRESS),
    ];
    keys.sort_unstable();
    assert_eq!(image.services4.keys().copied().collect::<Vec<_>>(), keys);
    let ranged = image.services4[&key(8_001, tcp, key_kind::SERVICE)];
    assert_eq!((ranged.tuple_mask, ranged.source_mask[0].get()), (0, u32::MAX));
    assert_eq!(image.services4[&key(0, udp, key_kind::SERVICE)].tuple_mask, u32::MAX);

    let net = |port, kind| PrefixKey4 {
        prefix_len: PREFIX_KEY_HEAD_BITS + 24,
        protocol: tcp,
        kind,
        port: Be16::new(port),
        address: Be32::new(0xc633_6400),
    };
    assert_eq!(image.prefixes4.len(), 2);
    assert!(image.prefixes4.contains_key(&net(0, key_kind::ADDRESS)));
    let service = image.prefixes4[&net(443, key_kind::SERVICE)];
    assert_eq!((service.tuple_mask, service.source_mask), (0, address4([255, 255, 240, 0])));
    let used = global::IPV4 | global::ANY_PORT | global::PREFIX | global::IPIP | global::OUTER4;
    assert_eq!(image.variant.features, used);
}

#[test]
fn egress_follows_mode_family_and_configuration() {
    let one = |text: &str| *compiled(text, &Network::new()).image.backends.values().next().unwrap();
    let ipip = one(&pool("ipip", "10.0.0.1"));
    assert_eq!((ipip.mode, ipip.outer_source), (mode::IPIP4, address4([10, 0, 0, 254])));
    assert_ne!(ipip.checksum, 0);
    assert_eq!((ipip.ifindex, ipip.mtu, ipip.source_bits), (2, 1_500, 0));
    assert_eq!(one(&pool("ipip", "fd00::1")).mode, mode::IPIP6);

    let drawn = "[encapsulation]\nsource_ipv4 = \"172.16.0.0/20\"\nsource_ipv6 = \"fd00:1::/96\"\ngue_zero_checksum = true\n";
    let gue = one(&(drawn.to_owned() + &pool("gue", "10.0.0.1")));
    assert_eq!((gue.mode, gue.source_bits, gue.gue_port.get()), (mode::GUE4, 12, 6_080));
    assert_eq!((gue.outer_source, gue.flags), (address4([172, 16, 0, 0]), 0));
    let gue6 = one(&(drawn.to_owned() + &pool("gue", "fd00::1")));
    let IpAddr::V6(source) = ip("fd00:1::") else { panic!("an IPv6 address") };
    assert_eq!((gue6.mode, gue6.source_bits, gue6.outer_source), (mode::GUE6, 32, address6(source.octets())));
    assert_eq!((gue6.flags, gue6.checksum), (egress_flag::ZERO_CHECKSUM, 0));

    let l2 = one(&pool("l2", "10.0.0.1"));
    assert_eq!(
        (l2.mode, l2.destination_mac, l2.outer_source),
        (mode::L2, [2, 0, 0, 0, 0, 1], address4([0; 4]))
    );
}

#[test]
fn local_is_for_this_host_and_for_no_other_mode() {
    let mut network = Network::new();
    network.ways.insert(ip("10.0.0.254"), Err(Unreachable::ThisHost(ip("10.0.0.254"))));
    let local = compiled(&pool("local", "10.0.0.254"), &network);
    assert_eq!(local.image.backends.values().next().unwrap().mode, mode::LOCAL);
    assert!(local.warnings.is_empty());
    assert!(compiled(&pool("local", "10.0.0.1"), &network).warnings[0].contains("no address of this host"));
    let wrong = compiled(&pool("ipip", "10.0.0.254"), &network);
    assert!(wrong.image.backends.is_empty());
    assert!(wrong.warnings[0].contains("forward = \"local\""), "{:?}", wrong.warnings);
}

#[test]
fn a_host_without_a_source_address_says_what_to_set() {
    let mut network = Network::new();
    network.find("10.0.0.1", |hop| hop.source = None);
    let nowhere = compiled(&pool("ipip", "10.0.0.1"), &network);
    assert!(nowhere.image.backends.is_empty());
    assert!(nowhere.warnings[0].contains("set encapsulation.source_ipv4"), "{:?}", nowhere.warnings);
}

#[test]
fn tags_are_written_and_compiled_in() {
    let mut network = Network::new();
    let tag = lb_common::abi::VlanTag { tpid: Be16::new(0x8100), tci: Be16::new(7) };
    network.find("10.0.0.1", |hop| hop.tags = vec![tag]);
    let tagged = compiled(&pool("l2", "10.0.0.1"), &network).image;
    let egress = tagged.backends.values().next().unwrap();
    assert_eq!((egress.tag_count, egress.tags[0]), (1, tag));
    assert_ne!(tagged.variant.features & global::EGRESS_VLAN, 0);
}
