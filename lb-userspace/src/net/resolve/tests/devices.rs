//! From the route's device down to the one that transmits.

use super::*;

#[test]
fn a_vlan_resolves_to_the_device_below_and_its_tag() {
    let mut net = Builder::new();
    net.link_of(2, "eth0.100", Kind::Vlan(Some(1), tag(0x8100, 100)), |link| {
        link.mac = Some(mac(0x22));
        link.mtu = 1400;
    });
    net.address(2, "10.2.0.1/24").route("10.2.0.0/24", 0, &[hop(2, None)]).neighbour(2, "10.2.0.7", 7);
    let next = net.resolve("10.2.0.7").unwrap();
    assert_eq!((next.ifindex, next.interface.as_str()), (1, "eth0"));
    assert_eq!(next.tags, [tag(0x8100, 100)]);
    assert_eq!((next.source_mac, next.destination_mac), (mac(0x22), mac(7)));
    assert_eq!((next.mtu, next.source), (1400, Some(ip("10.2.0.1"))));
}

#[test]
fn stacked_vlans_write_the_outermost_tag_first_and_two_at_most() {
    let mut net = Builder::new();
    net.link(2, "eth0.7", Kind::Vlan(Some(1), tag(0x88a8, 7)))
        .link(3, "eth0.7.8", Kind::Vlan(Some(2), tag(0x8100, 8)))
        .link(4, "eth0.7.8.9", Kind::Vlan(Some(3), tag(0x8100, 9)));
    net.route("10.3.0.0/24", 0, &[hop(3, None)]).neighbour(3, "10.3.0.7", 7);
    net.route("10.4.0.0/24", 0, &[hop(4, None)]).neighbour(4, "10.4.0.7", 7);
    let next = net.resolve("10.3.0.7").unwrap();
    assert_eq!((next.ifindex, next.tags), (1, vec![tag(0x88a8, 7), tag(0x8100, 8)]));
    assert_eq!(net.resolve("10.4.0.7"), Err(Unreachable::TooManyTags(ip("10.4.0.7"))));
}

#[test]
fn a_vlan_is_down_with_the_device_below() {
    let mut net = Builder::new();
    net.link_of(1, "eth0", Kind::Plain, down).link(2, "eth0.100", Kind::Vlan(Some(1), tag(0x8100, 100)));
    net.route("10.2.0.0/24", 0, &[hop(2, None)]).neighbour(2, "10.2.0.7", 7);
    assert_eq!(
        net.resolve("10.2.0.7"),
        Err(Unreachable::InterfaceDown { address: ip("10.2.0.7"), interface: "eth0".to_owned() })
    );
}

#[test]
fn a_vlan_whose_lower_device_is_out_of_sight_is_refused() {
    let mut net = Builder::new();
    net.link(2, "eth0.100", Kind::Vlan(None, tag(0x8100, 100)));
    net.route("10.2.0.0/24", 0, &[hop(2, None)]).neighbour(2, "10.2.0.7", 7);
    let error = net.resolve("10.2.0.7").unwrap_err();
    assert!(error.to_string().contains("another network namespace"), "{error}");
}

fn bonded(active: Option<u32>) -> Builder {
    let mut net = Builder::new();
    net.link(10, "bond0", Kind::Bond(active));
    for (ifindex, name) in [(11, "eth1"), (12, "eth2")] {
        net.link_of(ifindex, name, Kind::Plain, |link| link.master = Some(10));
    }
    net.route("198.18.0.0/15", 0, &[hop(10, Some("10.9.0.254"))]).neighbour(10, "10.9.0.254", 0x99);
    net
}

#[test]
fn a_bond_resolves_to_its_active_port_with_its_own_mac() {
    let net = bonded(Some(12));
    for last in 0..20 {
        let next = net.resolve(&format!("198.18.0.{last}")).unwrap();
        assert_eq!((next.interface.as_str(), next.source_mac), ("eth2", mac(10)));
    }
}

#[test]
fn a_bond_without_an_active_port_spreads_over_those_that_transmit() {
    let mut net = bonded(None);
    let ports = |net: &Builder| {
        let port = |last| net.resolve(&format!("198.18.0.{last}")).unwrap().interface;
        (0..50).map(port).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(ports(&net).len(), 2);
    net.link_of(11, "eth1", Kind::Plain, |link| {
        link.master = Some(10);
        link.port = Some(BondPort::Backup);
    });
    assert_eq!(ports(&net).into_iter().collect::<Vec<_>>(), ["eth2"]);
}

#[test]
fn a_bond_falls_back_from_an_active_port_that_is_down() {
    let mut net = bonded(Some(12));
    net.link_of(12, "eth2", Kind::Plain, |link| {
        link.master = Some(10);
        down(link);
    });
    assert_eq!(net.resolve("198.18.0.1").unwrap().interface, "eth1");
    net.link_of(11, "eth1", Kind::Plain, |link| {
        link.master = Some(10);
        down(link);
    });
    assert_eq!(
        net.resolve("198.18.0.1"),
        Err(Unreachable::InterfaceDown { address: ip("198.18.0.1"), interface: "bond0".to_owned() })
    );
}

#[test]
fn a_vlan_on_a_bond_is_both() {
    let mut net = bonded(Some(11));
    net.link(20, "bond0.5", Kind::Vlan(Some(10), tag(0x8100, 5)));
    net.route("10.5.0.0/24", 0, &[hop(20, None)]).neighbour(20, "10.5.0.7", 7);
    let next = net.resolve("10.5.0.7").unwrap();
    assert_eq!((next.interface.as_str(), next.tags), ("eth1", vec![tag(0x8100, 5)]));
}

#[test]
fn what_is_not_ethernet_is_refused_by_name() {
    for (kind, medium, word) in [
        (Kind::Tun, "none", "tun"),
        (Kind::Other("wireguard".to_owned()), "none", "wireguard"),
        (Kind::Plain, "ppp", "ppp"),
        (Kind::Plain, "loopback", "loopback"),
    ] {
        let mut net = Builder::new();
        net.link_of(2, "odd0", kind, |link| link.medium = Medium::Other(medium.to_owned()));
        net.route("10.2.0.0/24", 0, &[hop(2, None)]);
        assert_eq!(
            net.resolve("10.2.0.7"),
            Err(Unreachable::NotEthernet {
                address: ip("10.2.0.7"),
                interface: "odd0".to_owned(),
                kind: word.to_owned()
            })
        );
    }
}

#[test]
fn ethernet_that_xdp_cannot_transmit_by_is_refused_by_name() {
    for kind in ["bridge", "macvlan", "vxlan", "team", "something-new"] {
        let mut net = Builder::new();
        net.link(2, "odd0", Kind::Other(kind.to_owned()));
        net.route("10.2.0.0/24", 0, &[hop(2, None)]).neighbour(2, "10.2.0.7", 7);
        assert_eq!(
            net.resolve("10.2.0.7"),
            Err(Unreachable::CannotTransmit {
                address: ip("10.2.0.7"),
                interface: "odd0".to_owned(),
                kind: kind.to_owned()
            })
        );
    }
}

#[test]
fn a_route_into_a_tunnel_is_refused_by_name() {
    let mut net = Builder::new();
    let tunnel = Hop { encapsulation: Some("mpls".to_owned()), ..hop(1, Some("10.0.0.254")) };
    net.route("192.0.2.0/24", 0, &[tunnel]);
    let error = net.resolve("192.0.2.1").unwrap_err();
    assert!(error.to_string().contains("mpls"), "{error}");
}

#[test]
fn veth_and_tap_transmit() {
    for kind in [Kind::Veth(None), Kind::Tun] {
        let mut net = Builder::new();
        net.link(2, "v0", kind).route("10.2.0.0/24", 0, &[hop(2, None)]).neighbour(2, "10.2.0.7", 7);
        assert_eq!(net.resolve("10.2.0.7").unwrap().ifindex, 2);
    }
}

#[test]
fn the_smallest_mtu_on_the_way_counts() {
    let mut net = Builder::new();
    net.route_of("192.0.2.0/24", 0, Action::Forward(vec![hop(1, Some("10.0.0.254"))]), |route| {
        route.mtu = Some(1300);
    });
    net.route_of("198.51.100.0/24", 0, Action::Forward(vec![hop(1, Some("10.0.0.254"))]), |route| {
        route.mtu = Some(9000);
    });
    assert_eq!(net.resolve("192.0.2.1").unwrap().mtu, 1300);
    assert_eq!(net.resolve("198.51.100.1").unwrap().mtu, 1500);
    net.link_of(1, "eth0", Kind::Plain, |link| link.mtu = 1280);
    assert_eq!(net.resolve("198.51.100.1").unwrap().mtu, 1280);
}

#[test]
fn a_stack_without_an_end_ends() {
    let mut net = Builder::new();
    net.link(2, "a", Kind::Bond(Some(3))).link_of(3, "b", Kind::Bond(Some(2)), |link| link.master = Some(2));
    net.link_of(2, "a", Kind::Bond(Some(3)), |link| link.master = Some(3));
    net.route("10.2.0.0/24", 0, &[hop(2, None)]).neighbour(2, "10.2.0.7", 7);
    assert!(matches!(net.resolve("10.2.0.7"), Err(Unreachable::CannotTransmit { .. })));
}

#[test]
fn interface_facts_name_what_it_is() {
    let mut net = Builder::new();
    net.link(5, "v0", Kind::Veth(Some(6)));
    let network = net.network();
    assert_eq!(network.interface_names(), ["eth0", "v0"]);
    let facts = network.interface("v0").unwrap();
    assert_eq!(
        (facts.ifindex, facts.mtu, facts.up, facts.mac, facts.kind.as_str(), facts.veth_peer),
        (5, 1500, true, Some(mac(5)), "veth", Some(6))
    );
    assert_eq!(network.interface("eth0").unwrap().kind, "ethernet");
    assert_eq!(network.interface("eth9"), None);
}
