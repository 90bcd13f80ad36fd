//! Every rule of resolution, on snapshots built by hand; here those about routes and neighbours.

mod devices;
mod source;

use super::*;
use crate::net::Resolve;
use crate::net::network::{Routes, Upkeep};
use lb_common::wire::Be16;

const UP: LinkState = LinkState::Up;

/// A snapshot in the making: one NIC `eth0` (1) with one address and one router per family.
struct Builder {
    network: Network,
    routes: Vec<Route>,
}

impl Builder {
    fn new() -> Self {
        let mut new = Self { network: Network::default(), routes: Vec::new() };
        new.link(1, "eth0", Kind::Plain);
        new.address(1, "10.0.0.1/24").address(1, "2001:db8::1/64").address(1, "fe80::1/64");
        new.route("10.0.0.0/24", 0, &[hop(1, None)]).route("2001:db8::/64", 256, &[hop(1, None)]);
        new.route("fe80::/64", 256, &[hop(1, None)]);
        new.neighbour(1, "10.0.0.254", 0xfe).neighbour(1, "2001:db8::fe", 0xfe);
        new
    }

    fn link(&mut self, ifindex: u32, name: &str, kind: Kind) -> &mut Self {
        self.link_of(ifindex, name, kind, |_| {})
    }

    fn link_of(&mut self, ifindex: u32, name: &str, kind: Kind, change: impl FnOnce(&mut Link)) -> &mut Self {
        let mut link = Link {
            ifindex,
            name: name.to_owned(),
            mac: Some(mac(u8::try_from(ifindex).unwrap())),
            mtu: 1500,
            state: UP,
            medium: Medium::Ethernet,
            kind,
            master: None,
            port: None,
        };
        change(&mut link);
        self.network.put_link(link);
        self
    }

    fn address(&mut self, ifindex: u32, net: &str) -> &mut Self {
        self.address_of(ifindex, net, |_| {})
    }

    fn address_of(&mut self, ifindex: u32, net: &str, change: impl FnOnce(&mut Address)) -> &mut Self {
        let net: IpNet = net.parse().unwrap();
        let scope = if is_link_local(net.addr()) { Scope::Link } else { Scope::Global };
        let mut address = Address { ifindex, net, scope, preference: Preference::Primary };
        change(&mut address);
        self.network.put_address(address);
        self
    }

    fn route(&mut self, prefix: &str, metric: u32, hops: &[Hop]) -> &mut Self {
        self.route_of(prefix, metric, Action::Forward(hops.to_vec()), |_| {})
    }

    fn route_of(
        &mut self,
        prefix: &str,
        metric: u32,
        action: Action,
        change: impl FnOnce(&mut Route),
    ) -> &mut Self {
        let prefix = prefix.parse().unwrap();
        let mut route = Route { table: Table::Main, prefix, metric, action, source: None, mtu: None };
        change(&mut route);
        self.routes.push(route);
        self
    }

    fn neighbour(&mut self, ifindex: u32, address: &str, last: u8) -> &mut Self {
        self.neighbour_of(ifindex, address, NeighbourState::Reachable, Some(last))
    }

    fn neighbour_of(
        &mut self,
        ifindex: u32,
        address: &str,
        state: NeighbourState,
        last: Option<u8>,
    ) -> &mut Self {
        let neighbour = Neighbour { mac: last.map(mac), state, upkeep: Upkeep::Traffic, origin: 0 };
        self.network.put_neighbour((ifindex, ip(address)), neighbour);
        self
    }

    fn network(&self) -> Network {
        let (v4, v6): (Vec<Route>, Vec<Route>) =
            self.routes.iter().cloned().partition(|route| route.prefix.addr().is_ipv4());
        let mut network = self.network.clone();
        network.set_routes4(v4.into_iter().collect::<Routes>());
        network.set_routes6(v6.into_iter().collect::<Routes>());
        network
    }

    fn resolve(&self, address: &str) -> Result<NextHop, Unreachable> {
        self.network().resolve(ip(address))
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn mac(last: u8) -> [u8; 6] {
    [2, 0, 0, 0, 0, last]
}

fn hop(ifindex: u32, gateway: Option<&str>) -> Hop {
    Hop { ifindex, gateway: gateway.map(ip), weight: 1, encapsulation: None }
}

fn tag(tpid: u16, id: u16) -> VlanTag {
    VlanTag { tpid: Be16::new(tpid), tci: Be16::new(id) }
}

fn down(link: &mut Link) {
    link.state = LinkState::Down;
}

#[test]
fn on_link_is_the_address_itself() {
    let mut net = Builder::new();
    net.neighbour(1, "10.0.0.7", 7).neighbour(1, "2001:db8::7", 8);
    assert_eq!(
        net.resolve("10.0.0.7"),
        Ok(NextHop {
            ifindex: 1,
            interface: "eth0".to_owned(),
            destination_mac: mac(7),
            source_mac: mac(1),
            tags: vec![],
            mtu: 1500,
            source: Some(ip("10.0.0.1")),
            gateway: None,
            stale: false,
        })
    );
    let six = net.resolve("2001:db8::7").unwrap();
    assert_eq!((six.destination_mac, six.source), (mac(8), Some(ip("2001:db8::1"))));
}

#[test]
fn a_gateway_answers_for_what_is_behind_it() {
    let mut net = Builder::new();
    net.route("0.0.0.0/0", 0, &[hop(1, Some("10.0.0.254"))]);
    let next = net.resolve("192.0.2.1").unwrap();
    assert_eq!((next.destination_mac, next.gateway), (mac(0xfe), Some(ip("10.0.0.254"))));
}

#[test]
fn the_gateway_itself_is_on_link() {
    let mut net = Builder::new();
    net.route("10.0.0.254/32", 0, &[hop(1, Some("10.0.0.254"))]);
    assert_eq!(net.resolve("10.0.0.254").unwrap().gateway, None);
}

#[test]
fn ipv4_by_an_ipv6_gateway() {
    let mut net = Builder::new();
    net.route("192.0.2.0/24", 0, &[hop(1, Some("fe80::9"))]).neighbour(1, "fe80::9", 9);
    let next = net.resolve("192.0.2.1").unwrap();
    assert_eq!(next.destination_mac, mac(9));
    assert_eq!(next.gateway, Some(ip("fe80::9")));
    assert_eq!(next.source, Some(ip("10.0.0.1")), "the source has the packet's family, not the gateway's");
}

#[test]
fn the_longest_prefix_wins_then_the_lowest_metric() {
    let mut net = Builder::new();
    for last in [11, 12, 13, 14] {
        net.neighbour(1, &format!("10.0.0.{last}"), last);
    }
    net.route("0.0.0.0/0", 0, &[hop(1, Some("10.0.0.11"))])
        .route("192.0.0.0/16", 50, &[hop(1, Some("10.0.0.12"))])
        .route("192.0.2.0/24", 200, &[hop(1, Some("10.0.0.13"))])
        .route("192.0.2.0/24", 100, &[hop(1, Some("10.0.0.14"))]);
    assert_eq!(net.resolve("192.0.2.1").unwrap().destination_mac, mac(14));
    assert_eq!(net.resolve("192.0.3.1").unwrap().destination_mac, mac(12));
    assert_eq!(net.resolve("198.51.100.1").unwrap().destination_mac, mac(11));
}

#[test]
fn a_worse_metric_serves_while_the_better_ones_device_is_down() {
    let mut net = Builder::new();
    net.link_of(2, "eth1", Kind::Plain, down);
    net.route("192.0.2.0/24", 1, &[hop(2, Some("10.1.0.254"))]).route(
        "192.0.2.0/24",
        2,
        &[hop(1, Some("10.0.0.254"))],
    );
    assert_eq!(net.resolve("192.0.2.1").unwrap().ifindex, 1);
}

#[test]
fn a_shorter_prefix_does_not_serve_while_the_longer_ones_device_is_down() {
    let mut net = Builder::new();
    net.link_of(2, "eth1", Kind::Plain, down).route("192.0.2.0/24", 0, &[hop(2, None)]);
    net.route("0.0.0.0/0", 0, &[hop(1, Some("10.0.0.254"))]);
    assert_eq!(
        net.resolve("192.0.2.1"),
        Err(Unreachable::InterfaceDown { address: ip("192.0.2.1"), interface: "eth1".to_owned() })
    );
}

#[test]
fn no_route_is_said() {
    assert_eq!(Builder::new().resolve("192.0.2.1"), Err(Unreachable::NoRoute(ip("192.0.2.1"))));
    assert_eq!(Builder::new().resolve("2001:db8:1::1"), Err(Unreachable::NoRoute(ip("2001:db8:1::1"))));
    assert_eq!(Network::default().resolve(ip("10.0.0.1")), Err(Unreachable::NoRoute(ip("10.0.0.1"))));
}

#[test]
fn own_addresses_are_this_host() {
    let mut net = Builder::new();
    assert_eq!(net.resolve("10.0.0.1"), Err(Unreachable::ThisHost(ip("10.0.0.1"))));
    // Delivered here by a route of the local table, without an address.
    net.route_of("192.0.2.0/24", 0, Action::Deliver, |route| route.table = Table::Local);
    net.route("192.0.2.0/25", 0, &[hop(1, None)]);
    assert_eq!(net.resolve("192.0.2.9"), Err(Unreachable::ThisHost(ip("192.0.2.9"))));
}

#[test]
fn routes_that_reject_are_said() {
    let mut net = Builder::new();
    net.route("0.0.0.0/0", 0, &[hop(1, Some("10.0.0.254"))]);
    net.route_of("192.0.2.0/24", 0, Action::Reject, |_| {});
    assert_eq!(net.resolve("192.0.2.1"), Err(Unreachable::Rejected(ip("192.0.2.1"))));
    net.route_of("198.51.100.0/24", 0, Action::Throw, |_| {});
    assert_eq!(net.resolve("198.51.100.1"), Err(Unreachable::NoRoute(ip("198.51.100.1"))));
}

#[test]
fn a_throw_in_the_local_table_leads_to_the_main_one() {
    let mut net = Builder::new();
    net.route_of("10.0.0.0/24", 0, Action::Throw, |route| route.table = Table::Local);
    assert_eq!(net.resolve("10.0.0.254").unwrap().destination_mac, mac(0xfe));
}

#[test]
fn silence_of_the_next_hop_is_said_with_its_name() {
    let mut net = Builder::new();
    net.route("192.0.2.0/24", 0, &[hop(1, Some("10.0.0.9"))]);
    let silent = |next_hop| Unreachable::NoNeighbour { next_hop: ip(next_hop), interface: "eth0".to_owned() };
    assert_eq!(net.resolve("192.0.2.1"), Err(silent("10.0.0.9")));
    assert_eq!(net.resolve("10.0.0.8"), Err(silent("10.0.0.8")));
    net.neighbour_of(1, "10.0.0.8", NeighbourState::Unresolved, None);
    assert_eq!(net.resolve("10.0.0.8"), Err(silent("10.0.0.8")));
}

#[test]
fn an_unconfirmed_neighbour_is_usable_and_said_to_be_stale() {
    let mut net = Builder::new();
    for (state, stale) in [
        (NeighbourState::Reachable, false),
        (NeighbourState::Fixed, false),
        (NeighbourState::Unconfirmed, true),
    ] {
        net.neighbour_of(1, "10.0.0.7", state, Some(7));
        let next = net.resolve("10.0.0.7").unwrap();
        assert_eq!((next.destination_mac, next.stale), (mac(7), stale), "{state:?}");
    }
}

/// Four routers on `eth0`; how many of 1,000 destinations go by each.
fn spread(net: &Builder) -> std::collections::BTreeMap<u8, Vec<u16>> {
    let network = net.network();
    let mut by_router = std::collections::BTreeMap::<u8, Vec<u16>>::new();
    for number in 0..1000_u16 {
        let [high, low] = number.to_be_bytes();
        let next = network.resolve(IpAddr::from([198, 18, high, low])).unwrap();
        by_router.entry(next.destination_mac[5]).or_default().push(number);
    }
    by_router
}

fn four_routers(weights: [u16; 4]) -> Builder {
    let mut net = Builder::new();
    let mut hops = Vec::new();
    for (last, weight) in (11..).zip(weights) {
        let router = format!("10.0.0.{last}");
        net.neighbour(1, &router, last);
        hops.push(Hop { weight, ..hop(1, Some(&router)) });
    }
    net.route("198.18.0.0/15", 0, &hops);
    net
}

#[test]
fn equal_routes_share_the_destinations() {
    let all = spread(&four_routers([1; 4]));
    assert_eq!(all.len(), 4);
    assert!(all.values().all(|part| (200..300).contains(&part.len())), "{:?}", all.values().map(Vec::len));
}

#[test]
fn weights_count_in_the_sharing() {
    let all = spread(&four_routers([1, 1, 1, 7]));
    assert!((640..760).contains(&all[&14].len()), "{}", all[&14].len());
}

#[test]
fn losing_one_router_moves_only_its_destinations() {
    let mut net = four_routers([1; 4]);
    let before = spread(&net);
    net.neighbour_of(1, "10.0.0.12", NeighbourState::Unresolved, None);
    let after = spread(&net);
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), [11, 13, 14]);
    for (router, destinations) in &after {
        assert!(before[router].iter().all(|number| destinations.contains(number)), "router {router}");
    }
}

#[test]
fn a_router_behind_a_device_that_is_down_is_not_chosen() {
    let mut net = Builder::new();
    net.link_of(2, "eth1", Kind::Plain, down).neighbour(2, "10.1.0.254", 99);
    net.route("198.18.0.0/15", 0, &[hop(1, Some("10.0.0.254")), hop(2, Some("10.1.0.254"))]);
    assert_eq!(spread(&net).keys().copied().collect::<Vec<_>>(), [0xfe]);
}

#[test]
fn every_router_of_a_route_is_a_next_hop_to_keep() {
    let net = four_routers([1; 4]).network();
    let keys: Vec<_> = (11..15).map(|last| (1, ip(&format!("10.0.0.{last}")))).collect();
    assert_eq!(net.next_hops(ip("198.18.0.1")), keys);
    assert_eq!(net.next_hops(ip("10.0.0.99")), [(1, ip("10.0.0.99"))]);
    assert_eq!(net.next_hops(ip("192.0.2.1")), [], "no route");
    assert_eq!(net.next_hops(ip("10.0.0.1")), [], "this host");
}

#[test]
fn a_route_by_a_link_that_is_gone_is_no_route() {
    let mut net = Builder::new();
    net.route("10.2.0.0/24", 0, &[hop(77, None)]);
    assert_eq!(net.resolve("10.2.0.7"), Err(Unreachable::NoRoute(ip("10.2.0.7"))));
}
