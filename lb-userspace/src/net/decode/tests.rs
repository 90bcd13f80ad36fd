//! Messages about devices and routes that not every kernel has, built as those that have them send them.

use netlink_packet_route::link::{InfoPortKind, VlanProtocol};
use netlink_packet_route::neighbour::NeighbourHeader;
use netlink_packet_route::route::{RouteLwEnCapType, RouteNextHopFlags, RouteProtocol};

use super::*;

fn link_message(kind: LinkLayerType, flags: LinkFlags, attributes: Vec<LinkAttribute>) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = 9;
    message.header.link_layer_type = kind;
    message.header.flags = flags;
    message.attributes = vec![LinkAttribute::IfName("x".to_owned()), LinkAttribute::Mtu(1500)];
    message.attributes.extend(attributes);
    message
}

fn up() -> LinkFlags {
    LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp
}

fn kind(infos: Vec<LinkInfo>, attributes: Vec<LinkAttribute>) -> Kind {
    let mut all = vec![LinkAttribute::LinkInfo(infos)];
    all.extend(attributes);
    link(&link_message(LinkLayerType::Ether, up(), all)).unwrap().kind
}

#[test]
fn a_vlan_has_a_lower_device_and_a_tag() {
    let infos = || {
        let data = vec![
            InfoVlan::Id(0x064),
            InfoVlan::Protocol(VlanProtocol::Ieee8021Ad),
            InfoVlan::EgressQos(vec![VlanQosMapping::Mapping(1, 2), VlanQosMapping::Mapping(0, 5)]),
        ];
        vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(data))]
    };
    let tag = VlanTag { tpid: Be16::new(0x88a8), tci: Be16::new(0xa064) };
    assert_eq!(kind(infos(), vec![LinkAttribute::Link(4)]), Kind::Vlan(Some(4), tag));
    let elsewhere = vec![LinkAttribute::Link(4), LinkAttribute::LinkNetNsId(0)];
    assert_eq!(kind(infos(), elsewhere), Kind::Vlan(None, tag));
}

#[test]
fn a_bond_has_an_active_port_where_its_mode_has_one() {
    let bond = |port| {
        let data = InfoData::Bond(vec![InfoBond::MiiMon(100), InfoBond::ActivePort(port)]);
        kind(vec![LinkInfo::Kind(InfoKind::Bond), LinkInfo::Data(data)], vec![])
    };
    assert_eq!(bond(7), Kind::Bond(Some(7)));
    assert_eq!(bond(0), Kind::Bond(None));
    assert_eq!(kind(vec![LinkInfo::Kind(InfoKind::Bond)], vec![]), Kind::Bond(None));
}

#[test]
fn a_port_of_a_bond_knows_its_part() {
    let port = |state| {
        let data = InfoPortData::BondPort(vec![InfoBondPort::BondPortState(state)]);
        let infos = vec![LinkInfo::PortKind(InfoPortKind::Bond), LinkInfo::PortData(data)];
        let attributes = vec![LinkAttribute::Controller(3), LinkAttribute::LinkInfo(infos)];
        link(&link_message(LinkLayerType::Ether, up(), attributes)).unwrap()
    };
    let active = port(BondPortState::Active);
    assert_eq!((active.kind, active.master, active.port), (Kind::Plain, Some(3), Some(BondPort::Active)));
    assert_eq!(port(BondPortState::Backup).port, Some(BondPort::Backup));
}

#[test]
fn other_kinds_keep_the_kernels_words() {
    assert_eq!(kind(vec![LinkInfo::Kind(InfoKind::Wireguard)], vec![]), Kind::Other("wireguard".to_owned()));
    let new = InfoKind::Other("brand_new".to_owned());
    assert_eq!(kind(vec![LinkInfo::Kind(new)], vec![]), Kind::Other("brand_new".to_owned()));
}

#[test]
fn a_link_is_up_with_all_three_flags_and_has_a_mac_on_ethernet_only() {
    let mac = || vec![LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1])];
    let decoded = link(&link_message(LinkLayerType::Ether, up(), mac())).unwrap();
    assert_eq!((decoded.state, decoded.mac), (LinkState::Up, Some([2, 0, 0, 0, 0, 1])));
    for missing in [LinkFlags::Up, LinkFlags::Running, LinkFlags::LowerUp] {
        let decoded = link(&link_message(LinkLayerType::Ether, up() - missing, mac())).unwrap();
        assert_eq!(decoded.state, LinkState::Down, "without {missing}");
    }
    let loopback = link(&link_message(LinkLayerType::Loopback, up(), mac())).unwrap();
    assert_eq!((loopback.mac, loopback.medium), (None, Medium::Other("loopback".to_owned())));
}

#[test]
fn a_bridges_word_about_its_ports_is_not_about_links() {
    let mut message = link_message(LinkLayerType::Ether, up(), vec![]);
    message.header.interface_family = AddressFamily::Bridge;
    assert_eq!(link(&message), None);
}

fn route_message(attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = AddressFamily::Inet;
    message.header.destination_prefix_length = 24;
    message.header.table = 254;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![RouteAttribute::Destination(RouteAddress::Inet([192, 0, 2, 0].into()))];
    message.attributes.extend(attributes);
    message
}

#[test]
fn hops_of_a_route_keep_weight_gateway_and_tunnel() {
    let mut hop = RouteNextHop::default();
    hop.interface_index = 3;
    hop.hops = 4;
    hop.flags = RouteNextHopFlags::Onlink;
    hop.attributes = vec![RouteAttribute::Via(RouteVia::Inet6("fe80::1".parse().unwrap()))];
    let mut tunnel = RouteNextHop::default();
    tunnel.interface_index = 5;
    tunnel.attributes = vec![RouteAttribute::EncapType(RouteLwEnCapType::Mpls)];
    let decoded = route(&route_message(vec![RouteAttribute::MultiPath(vec![hop, tunnel])])).unwrap();
    let Action::Forward(hops) = decoded.action else { panic!("{:?}", decoded.action) };
    let gateway = Some("fe80::1".parse().unwrap());
    assert_eq!(hops[0], Hop { ifindex: 3, gateway, weight: 5, encapsulation: None });
    assert_eq!((hops[1].weight, hops[1].encapsulation.as_deref()), (1, Some("mpls")));
}

#[test]
fn routes_for_some_packets_only_are_left_out() {
    let oif = || vec![RouteAttribute::Oif(3)];
    assert!(route(&route_message(oif())).is_some());
    let mut cloned = route_message(oif());
    cloned.header.flags = RouteFlags::Cloned;
    let mut by_service = route_message(oif());
    by_service.header.tos = 8;
    let mut by_source = route_message(oif());
    by_source.header.source_prefix_length = 64;
    let mut elsewhere = route_message(oif());
    elsewhere.header.table = 100;
    // Tables past 255 say so in an attribute, whatever the header holds.
    let far = route_message(vec![RouteAttribute::Oif(3), RouteAttribute::Table(1000)]);
    for message in [cloned, by_service, by_source, elsewhere, far] {
        assert_eq!(route(&message), None, "{message:?}");
    }
}

#[test]
fn what_a_route_does_follows_its_type() {
    for (kind, action) in [
        (RouteType::Local, Action::Deliver),
        (RouteType::Anycast, Action::Deliver),
        (RouteType::Broadcast, Action::Reject),
        (RouteType::Unreachable, Action::Reject),
        (RouteType::Prohibit, Action::Reject),
        (RouteType::BlackHole, Action::Reject),
        (RouteType::Throw, Action::Throw),
    ] {
        let mut message = route_message(vec![]);
        message.header.kind = kind;
        assert_eq!(route(&message).unwrap().action, action, "{kind:?}");
    }
}

#[test]
fn an_address_that_is_not_settled_is_no_source() {
    let preference = |flags| {
        let mut message = AddressMessage::default();
        message.header.prefix_len = 64;
        message.attributes =
            vec![AddressAttribute::Address("2001:db8::1".parse().unwrap()), AddressAttribute::Flags(flags)];
        address(&message).unwrap().preference
    };
    assert_eq!(preference(AddressFlags::Permanent), Preference::Primary);
    assert_eq!(preference(AddressFlags::Deprecated), Preference::Secondary);
    assert_eq!(preference(AddressFlags::Tentative), Preference::Unusable);
    assert_eq!(preference(AddressFlags::Tentative | AddressFlags::Optimistic), Preference::Primary);
    assert_eq!(preference(AddressFlags::Dadfailed), Preference::Unusable);
}

#[test]
fn the_local_end_of_a_point_to_point_address_is_ours() {
    let mut message = AddressMessage::default();
    message.header.prefix_len = 32;
    message.attributes = vec![
        AddressAttribute::Address("10.0.0.2".parse().unwrap()),
        AddressAttribute::Local("10.0.0.1".parse().unwrap()),
    ];
    assert_eq!(address(&message).unwrap().net.addr(), IpAddr::from([10, 0, 0, 1]));
}

#[test]
fn a_neighbour_without_an_answer_has_no_mac() {
    let message = |state, flags| {
        let mut message = NeighbourMessage::default();
        message.header = NeighbourHeader { ifindex: 2, state, flags, ..NeighbourHeader::default() };
        message.attributes = vec![
            NeighbourAttribute::Destination(NeighbourAddress::Inet([10, 0, 0, 2].into())),
            NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, 2]),
            NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed),
            NeighbourAttribute::Protocol(RouteProtocol::Other(120)),
        ];
        message
    };
    let none = NeighbourFlags::empty();
    let (key, found) = neighbour(&message(State::Stale, none)).unwrap();
    assert_eq!(key, (2, IpAddr::from([10, 0, 0, 2])));
    let mac = Some([2, 0, 0, 0, 0, 2]);
    let state = NeighbourState::Unconfirmed;
    assert_eq!(found, Neighbour { mac, state, upkeep: Upkeep::Managed, origin: 120 });
    for silent in [State::Failed, State::Incomplete, State::None] {
        assert_eq!(neighbour(&message(silent, none)).unwrap().1.mac, None, "{silent}");
    }
    assert_eq!(neighbour(&message(State::Permanent, NeighbourFlags::Proxy)), None);
}
