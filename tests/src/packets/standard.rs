//! The scene that most fixtures are about: a service of each family for every way to forward, and services that
//! overlap.
//!
//! Service `NAME/4` is on an IPv4 address, `NAME/6` on an IPv6 address, both on TCP and UDP port 80, and both go to the
//! backend `NAME`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::frame::{BALANCER_MAC, Tag};
use super::kernel::OTHER_INTERFACE;
use super::scene::{
    Backend, Forward, HashKey, Match, Pool, Protocol, Scene, Service, Slots, Wire, ZeroChecksum,
};

/// Key of the flow hash.
pub const SEED: u64 = 0x0123_4567_89ab_cdef;

/// Longest IP packet on the way to a backend.
pub const MTU: u16 = 1500;

/// Backends of the pool `spread`: a prime, so that the slot is seen in all its bits.
const SPREAD: u16 = 31;

/// The scene.
pub fn standard() -> Scene {
    let mut scene = Scene { seed: SEED, devices: vec![OTHER_INTERFACE], ..Scene::default() };
    for (name, forward, interface, tags) in backends() {
        scene.add_backend(name, forward, interface, tags);
        let pool = scene.add_pool(name, Slots::All(name.into()));
        scene.add_pair(name, &pool, HashKey::FiveTuple);
    }
    for (name, slots) in [("nobody", Slots::Nobody), ("untabled", Slots::Missing)] {
        let pool = scene.add_pool(name, slots);
        scene.add_pair(name, &pool, HashKey::FiveTuple);
    }
    add_spread(&mut scene);
    add_overlapping(&mut scene);
    scene
}

impl Scene {
    /// Where to send packets for a service: the first address and port it listens on.
    pub fn target(&self, service: &str) -> SocketAddr {
        match self.service(service).matches[0] {
            Match::Port(address, _, port) | Match::Range(address, _, port, _) => (address, port).into(),
            Match::AnyPort(address, _) => (address, 4711).into(),
            Match::Prefix(prefix, _, port) => (prefix.addr(), port).into(),
            Match::PrefixAnyPort(prefix, _) => (prefix.addr(), 4711).into(),
        }
    }

    fn add_backend(&mut self, name: &str, forward: Forward, interface: u32, tags: Vec<Tag>) {
        let id = u32::try_from(self.backends.len()).expect("few") + 1;
        let last = u8::try_from(id % 256).expect("a byte");
        let next_hop = [0x02, 0, 0, 0, 0xc0, last];
        let backend = Backend { id, forward, interface, tags, mtu: MTU, next_hop, own_mac: BALANCER_MAC };
        self.backends.insert(name.into(), backend);
    }

    fn add_pool(&mut self, name: &str, slots: Slots) -> String {
        let table = u32::try_from(self.pools.len()).expect("few");
        self.pools.insert(name.into(), Pool { table, slots });
        name.into()
    }

    fn add_service(&mut self, name: String, matches: Vec<Match>, key: HashKey, pool: &str) {
        let id = u32::try_from(self.services.len()).expect("few") + 100;
        self.services.push(Service { name, id, matches, key, pool: pool.into() });
    }

    fn add_pair(&mut self, name: &str, pool: &str, key: HashKey) {
        let last = u8::try_from(self.services.len() / 2 + 10).expect("few");
        for (suffix, address) in [("4", v4(last)), ("6", v6(last))] {
            let matches = [Protocol::Tcp, Protocol::Udp].map(|protocol| Match::Port(address, protocol, 80));
            self.add_service(format!("{name}/{suffix}"), matches.to_vec(), key, pool);
        }
    }
}

fn backends() -> Vec<(&'static str, Forward, u32, Vec<Tag>)> {
    let here = 1;
    let one = || vec![Tag { tpid: 0x8100, tci: 0x6064 }];
    let two = || vec![Tag::service(200), Tag::customer(300)];
    let any4 = Ipv4Addr::new(198, 51, 100, 0).into();
    let any6 = "2001:db8:b::".parse().expect("an address");
    let gue6 = |zero_allowed| Forward::Gue { wire: wire6(4), port: 6080, zero_allowed };
    let gue4 = Forward::Gue { wire: wire4(3), port: 6080, zero_allowed: ZeroChecksum::Compute };
    let drawn4 = Wire { source: any4, drawn_bits: 8, ..wire4(5) };
    let drawn6 = Wire { source: any6, drawn_bits: 32, ..wire6(6) };
    let drawn_gue6 = Forward::Gue { wire: drawn6, port: 7000, zero_allowed: ZeroChecksum::Compute };
    let drawn_gue4 = Forward::Gue { wire: drawn4, port: 7000, zero_allowed: ZeroChecksum::Compute };
    vec![
        ("ipip4", Forward::Ipip(wire4(1)), here, vec![]),
        ("ipip6", Forward::Ipip(wire6(2)), here, vec![]),
        ("gue4", gue4, here, vec![]),
        ("gue6", gue6(ZeroChecksum::Compute), here, vec![]),
        ("gue6-zero", gue6(ZeroChecksum::Send), here, vec![]),
        ("l2", Forward::L2, here, vec![]),
        ("local", Forward::Local, here, vec![]),
        ("unresolved", Forward::None, here, vec![]),
        ("drawn4", Forward::Ipip(drawn4), here, vec![]),
        ("drawn6", Forward::Ipip(drawn6), here, vec![]),
        ("drawn-gue4", drawn_gue4, here, vec![]),
        ("drawn-gue6", drawn_gue6, here, vec![]),
        ("ipip4-one-tag", Forward::Ipip(wire4(7)), here, one()),
        ("ipip6-two-tags", Forward::Ipip(wire6(8)), here, two()),
        ("gue4-two-tags", gue4, here, two()),
        ("gue6-one-tag", gue6(ZeroChecksum::Compute), here, one()),
        ("l2-one-tag", Forward::L2, here, one()),
        ("l2-two-tags", Forward::L2, here, two()),
        ("ipip4-other", Forward::Ipip(wire4(9)), OTHER_INTERFACE, vec![]),
        ("gue6-other", gue6(ZeroChecksum::Compute), OTHER_INTERFACE, one()),
        ("l2-other", Forward::L2, OTHER_INTERFACE, vec![]),
        ("l2-no-device", Forward::L2, 88, vec![]),
    ]
}

/// Services whose hash is looked at, on one pool of many backends.
fn add_spread(scene: &mut Scene) {
    let mut names = Vec::new();
    for number in 0..SPREAD {
        let name = format!("spread-{number}");
        let destination = Ipv6Addr::new(0x2001, 0xdb8, 0x5b, 0, 0, 0, 0, number + 1).into();
        let wire = Wire { destination, ..wire6(1) };
        scene.add_backend(&name, Forward::Ipip(wire), 1, vec![]);
        names.push(name);
    }
    let pool = scene.add_pool("spread", Slots::Spread(names));
    scene.add_pair("five-tuple", &pool, HashKey::FiveTuple);
    scene.add_pair("source", &pool, HashKey::Source);
    scene.add_pair("source-prefix", &pool, HashKey::SourcePrefix { v4_bits: 20, v6_bits: 52 });
}

/// Services that overlap, each with a pool that tells them apart.
fn add_overlapping(scene: &mut Scene) {
    let key = HashKey::FiveTuple;
    for (family, address, next, prefix, inside, outside, corner) in [
        (
            "4",
            "192.0.2.200",
            "192.0.2.201",
            "192.0.2.192/28",
            "192.0.2.208/30",
            "192.0.2.208/28",
            "192.0.2.220/30",
        ),
        (
            "6",
            "2001:db8:7::200",
            "2001:db8:7::201",
            "2001:db8:7::/48",
            "2001:db8:8:0:40::/75",
            "2001:db8:8::/49",
            "2001:db8:8:0:80::/75",
        ),
    ] {
        let address: IpAddr = address.parse().expect("an address");
        let prefix = prefix.parse().expect("a prefix");
        let tcp = Protocol::Tcp;
        let mut add = |name: &str, listening: Match, pool: &str| {
            scene.add_service(format!("{name}/{family}"), vec![listening], key, pool);
        };
        add("exact", Match::Port(address, tcp, 80), "ipip4");
        add("any-port", Match::AnyPort(address, tcp), "ipip6");
        add("prefix", Match::Prefix(prefix, tcp, 80), "gue4");
        add("prefix-any-port", Match::PrefixAnyPort(prefix, tcp), "l2");
        add("any-port-in-prefix", Match::AnyPort(next.parse().expect("an address"), tcp), "drawn6");
        add("range", Match::Range(address, Protocol::Udp, 1000, 1010), "drawn4");
        add("longer", Match::Prefix(inside.parse().expect("a prefix"), tcp, 80), "ipip4");
        add("shorter", Match::Prefix(outside.parse().expect("a prefix"), tcp, 80), "ipip6");
        add("corner-any-port", Match::PrefixAnyPort(corner.parse().expect("a prefix"), tcp), "gue6");
        add(
            "shorter-any-port",
            Match::PrefixAnyPort(outside.parse().expect("a prefix"), Protocol::Udp),
            "l2",
        );
    }
}

fn v4(last: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, last).into()
}

fn v6(last: u8) -> IpAddr {
    Ipv6Addr::new(0x2001, 0xdb8, 5, 0, 0, 0, 0, last.into()).into()
}

fn wire4(last: u8) -> Wire {
    let source = Ipv4Addr::new(198, 51, 100, 1).into();
    Wire { source, drawn_bits: 0, destination: Ipv4Addr::new(10, 0, 0, last).into() }
}

fn wire6(last: u8) -> Wire {
    let source = "2001:db8:b::1".parse().expect("an address");
    let destination = Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0xffff, 0xfffe, last.into()).into();
    Wire { source, drawn_bits: 0, destination }
}
