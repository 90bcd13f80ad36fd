//! The address that this host would send from.

use super::*;

#[test]
fn the_routes_own_source_comes_first() {
    let mut net = Builder::new();
    net.address(1, "10.0.0.2/24");
    net.route_of("192.0.2.0/24", 0, Action::Forward(vec![hop(1, Some("10.0.0.254"))]), |route| {
        route.source = Some(ip("10.0.0.2"));
    });
    assert_eq!(net.resolve("192.0.2.1").unwrap().source, Some(ip("10.0.0.2")));
}

#[test]
fn the_source_is_of_the_next_hops_subnet_on_the_egress_interface() {
    let mut net = Builder::new();
    net.link(2, "eth1", Kind::Plain).address(2, "192.0.2.1/24");
    // A service address on `lo` is nobody's idea of an outer source.
    net.link_of(3, "lo", Kind::Plain, |link| link.medium = Medium::Other("loopback".to_owned()));
    net.address(3, "198.51.100.1/32");
    net.address(1, "10.7.0.1/24").route("10.7.0.0/24", 0, &[hop(1, None)]).neighbour(1, "10.7.0.7", 7);
    net.route("203.0.113.0/24", 0, &[hop(1, Some("10.7.0.7"))]);
    assert_eq!(net.resolve("203.0.113.1").unwrap().source, Some(ip("10.7.0.1")));
    assert_eq!(net.resolve("10.0.0.254").unwrap().source, Some(ip("10.0.0.1")));
}

#[test]
fn an_interface_without_an_address_borrows_one() {
    let mut net = Builder::new();
    net.link(2, "eth1", Kind::Plain).route("192.0.2.0/24", 0, &[hop(2, None)]).neighbour(2, "192.0.2.1", 7);
    assert_eq!(net.resolve("192.0.2.1").unwrap().source, Some(ip("10.0.0.1")));
}

#[test]
fn tentative_addresses_are_no_source_and_deprecated_ones_a_last_resort() {
    let mut net = Builder::new();
    net.address_of(1, "2001:db8::1/64", |address| address.preference = Preference::Unusable);
    net.address_of(1, "2001:db8::2/64", |address| address.preference = Preference::Secondary);
    assert_eq!(net.resolve("2001:db8::fe").unwrap().source, Some(ip("2001:db8::2")));
    net.address(1, "2001:db8:5::3/64");
    assert_eq!(net.resolve("2001:db8::fe").unwrap().source, Some(ip("2001:db8:5::3")));
}

#[test]
fn a_link_local_source_only_for_a_link_local_destination() {
    let mut net = Builder::new();
    net.neighbour(1, "fe80::9", 9);
    assert_eq!(net.resolve("fe80::9").unwrap().source, Some(ip("fe80::1")));
    net.route("2001:db8:9::/48", 0, &[hop(1, Some("fe80::9"))]);
    assert_eq!(net.resolve("2001:db8:9::1").unwrap().source, Some(ip("2001:db8::1")));
}
