//! From netlink messages to the snapshot's types.
//!
//! Attributes that decide nothing are not looked at. A message about something the snapshot does not hold (other
//! families, other tables, proxies) decodes to `None`.

use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::abi::VlanTag;
use lb_common::wire::Be16;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    BondPortState, InfoBond, InfoBondPort, InfoData, InfoKind, InfoPortData, InfoVlan, LinkAttribute,
    LinkFlags, LinkInfo, LinkLayerType, LinkMessage, VlanQosMapping,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
    NeighbourState as State,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteType, RouteVia,
};

use super::network::{
    Action, Address, BondPort, Hop, Kind, Link, LinkState, Medium, Neighbour, NeighbourKey, NeighbourState,
    Preference, Route, Scope, Table, Upkeep,
};

const TABLE_LOCAL: u32 = 255;
const TABLE_MAIN: u32 = 254;

pub(super) fn link(message: &LinkMessage) -> Option<Link> {
    // Bridges report their ports in messages of their own family.
    if message.header.interface_family != AddressFamily::Unspec {
        return None;
    }
    let flags = message.header.flags;
    let mut raw = RawLink::default();
    for attribute in &message.attributes {
        raw.take(attribute);
    }
    Some(Link {
        ifindex: message.header.index,
        state: if flags.contains(LinkFlags::Up | LinkFlags::Running | LinkFlags::LowerUp) {
            LinkState::Up
        } else {
            LinkState::Down
        },
        medium: medium(message.header.link_layer_type),
        kind: raw.kind(),
        name: raw.name?,
        mac: raw.mac.filter(|_| message.header.link_layer_type == LinkLayerType::Ether),
        mtu: raw.mtu,
        master: raw.master,
        port: raw.port,
    })
}

pub(super) fn address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut peer, mut flags) = (None, None, AddressFlags::from_bits_retain(0));
    flags |= AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => peer = Some(*address),
            AddressAttribute::Flags(all) => flags |= *all,
            _ => {}
        }
    }
    // On IPv4 "address" is the other end of a point-to-point link, and equal to "local" elsewhere.
    let net = IpNet::new(local.or(peer)?, message.header.prefix_len).ok()?;
    let duplicate = flags.contains(AddressFlags::Dadfailed);
    let tentative = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    Some(Address {
        ifindex: message.header.index,
        net,
        scope: match message.header.scope {
            AddressScope::Link => Scope::Link,
            AddressScope::Host | AddressScope::Nowhere => Scope::Host,
            _ => Scope::Global,
        },
        preference: if duplicate || tentative {
            Preference::Unusable
        } else if flags.intersects(AddressFlags::Secondary | AddressFlags::Deprecated) {
            Preference::Secondary
        } else {
            Preference::Primary
        },
    })
}

/// The table that a route message is about, where the snapshot follows it.
pub(super) fn table(message: &RouteMessage) -> Option<Table> {
    let wide = message.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Table(table) => Some(*table),
        _ => None,
    });
    match wide.unwrap_or_else(|| u32::from(message.header.table)) {
        TABLE_LOCAL => Some(Table::Local),
        TABLE_MAIN => Some(Table::Main),
        _ => None,
    }
}

pub(super) fn route(message: &RouteMessage) -> Option<Route> {
    // Cloned entries are what the kernel learned about single destinations; type of service is not ours to choose.
    if message.header.flags.contains(RouteFlags::Cloned) || message.header.tos != 0 {
        return None;
    }
    let mut raw = RawRoute::default();
    for attribute in &message.attributes {
        raw.take(attribute);
    }
    let any = match message.header.address_family {
        AddressFamily::Inet => IpAddr::from([0_u8; 4]),
        AddressFamily::Inet6 => IpAddr::from([0_u8; 16]),
        _ => return None,
    };
    // A route for certain sources only says nothing about others.
    if message.header.source_prefix_length != 0 {
        return None;
    }
    let prefix = IpNet::new(raw.destination.unwrap_or(any), message.header.destination_prefix_length).ok()?;
    Some(Route {
        table: table(message)?,
        prefix,
        metric: raw.metric,
        source: raw.source,
        mtu: raw.mtu,
        action: match message.header.kind {
            RouteType::Unicast => Action::Forward(raw.hops()),
            RouteType::Local | RouteType::Anycast => Action::Deliver,
            RouteType::Throw => Action::Throw,
            _ => Action::Reject,
        },
    })
}

pub(super) fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Neighbour)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut address, mut mac, mut upkeep, mut origin) = (None, None, Upkeep::Traffic, 0);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::V4(*v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::V6(*v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = ethernet(bytes),
            NeighbourAttribute::ExtFlags(flags) if flags.contains(NeighbourExtFlags::Managed) => {
                upkeep = Upkeep::Managed;
            }
            NeighbourAttribute::Protocol(protocol) => origin = u8::from(*protocol),
            _ => {}
        }
    }
    let state = match message.header.state {
        State::Reachable => NeighbourState::Reachable,
        State::Stale | State::Delay | State::Probe => NeighbourState::Unconfirmed,
        State::Permanent | State::Noarp => NeighbourState::Fixed,
        _ => NeighbourState::Unresolved,
    };
    let mac = mac.filter(|_| state != NeighbourState::Unresolved);
    Some(((message.header.ifindex, address?), Neighbour { mac, state, upkeep, origin }))
}

/// What is gathered from a link's attributes, in whatever order they come.
#[derive(Default)]
struct RawLink {
    name: Option<String>,
    mac: Option<[u8; 6]>,
    mtu: u32,
    lower: Option<u32>,
    elsewhere: Option<i32>,
    master: Option<u32>,
    kind: Option<InfoKind>,
    tag: Option<VlanTag>,
    active: Option<u32>,
    port: Option<BondPort>,
}

impl RawLink {
    fn take(&mut self, attribute: &LinkAttribute) {
        match attribute {
            LinkAttribute::IfName(name) => self.name = Some(name.clone()),
            LinkAttribute::Address(bytes) => self.mac = ethernet(bytes),
            LinkAttribute::Mtu(mtu) => self.mtu = *mtu,
            LinkAttribute::Link(lower) => self.lower = Some(*lower).filter(|&lower| lower != 0),
            LinkAttribute::LinkNetNsId(id) => self.elsewhere = Some(*id),
            LinkAttribute::Controller(master) => self.master = Some(*master).filter(|&master| master != 0),
            LinkAttribute::LinkInfo(infos) => infos.iter().for_each(|info| self.take_info(info)),
            _ => {}
        }
    }

    fn take_info(&mut self, info: &LinkInfo) {
        match info {
            LinkInfo::Kind(kind) => self.kind = Some(kind.clone()),
            LinkInfo::Data(InfoData::Vlan(vlan)) => self.tag = Some(tag(vlan)),
            LinkInfo::Data(InfoData::Bond(bond)) => {
                self.active = bond.iter().find_map(|info| match info {
                    InfoBond::ActivePort(port) => Some(*port).filter(|&port| port != 0),
                    _ => None,
                });
            }
            LinkInfo::PortData(InfoPortData::BondPort(port)) => {
                self.port = port.iter().find_map(|info| match info {
                    InfoBondPort::BondPortState(BondPortState::Active) => Some(BondPort::Active),
                    InfoBondPort::BondPortState(BondPortState::Backup) => Some(BondPort::Backup),
                    _ => None,
                });
            }
            _ => {}
        }
    }

    fn kind(&self) -> Kind {
        // The number of a device in another network namespace would name a stranger in this one.
        let lower = if self.elsewhere.is_some() { None } else { self.lower };
        match &self.kind {
            None => Kind::Plain,
            Some(InfoKind::Veth) => Kind::Veth(lower),
            Some(InfoKind::Tun) => Kind::Tun,
            Some(InfoKind::Vlan) => Kind::Vlan(lower, self.tag.unwrap_or_default()),
            Some(InfoKind::Bond) => Kind::Bond(self.active),
            Some(other) => Kind::Other(other.to_string()),
        }
    }
}

fn tag(vlan: &[InfoVlan]) -> VlanTag {
    let (mut tpid, mut id, mut priority) = (0x8100, 0, 0);
    for info in vlan {
        match info {
            InfoVlan::Id(vid) => id = vid & 0xfff,
            InfoVlan::Protocol(protocol) => tpid = u16::from(*protocol),
            // Forwarded packets carry no socket priority: the mapping of 0 is the one that counts.
            InfoVlan::EgressQos(mappings) => {
                for mapping in mappings {
                    if let VlanQosMapping::Mapping(0, to) = mapping {
                        priority = u16::try_from(to & 7).unwrap_or_default();
                    }
                }
            }
            _ => {}
        }
    }
    VlanTag { tpid: Be16::new(tpid), tci: Be16::new(priority << 13 | id) }
}

#[derive(Default)]
struct RawRoute {
    destination: Option<IpAddr>,
    metric: u32,
    source: Option<IpAddr>,
    mtu: Option<u32>,
    single: RawHop,
    multiple: Vec<Hop>,
}

impl RawRoute {
    fn take(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Destination(address) => self.destination = ip(address),
            RouteAttribute::Priority(metric) => self.metric = *metric,
            RouteAttribute::PrefSource(address) => self.source = ip(address),
            RouteAttribute::Metrics(metrics) => {
                self.mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu).filter(|&mtu| mtu != 0),
                    _ => None,
                });
            }
            RouteAttribute::MultiPath(hops) => self.multiple = hops.iter().map(multipath).collect(),
            other => self.single.take(other),
        }
    }

    fn hops(self) -> Vec<Hop> {
        match self.single.ifindex {
            Some(ifindex) if self.multiple.is_empty() => vec![self.single.hop(ifindex, 1)],
            _ => self.multiple,
        }
    }
}

#[derive(Default)]
struct RawHop {
    ifindex: Option<u32>,
    gateway: Option<IpAddr>,
    encapsulation: Option<String>,
}

impl RawHop {
    fn take(&mut self, attribute: &RouteAttribute) {
        match attribute {
            RouteAttribute::Oif(ifindex) => self.ifindex = Some(*ifindex),
            RouteAttribute::Gateway(address) => self.gateway = ip(address),
            RouteAttribute::Via(RouteVia::Inet(v4)) => self.gateway = Some(IpAddr::V4(*v4)),
            RouteAttribute::Via(RouteVia::Inet6(v6)) => self.gateway = Some(IpAddr::V6(*v6)),
            RouteAttribute::EncapType(kind) => self.encapsulation = Some(kind.to_string()),
            _ => {}
        }
    }

    fn hop(self, ifindex: u32, weight: u16) -> Hop {
        let gateway = self.gateway.filter(|gateway| !gateway.is_unspecified());
        Hop { ifindex, gateway, weight, encapsulation: self.encapsulation }
    }
}

fn multipath(next: &RouteNextHop) -> Hop {
    let mut raw = RawHop::default();
    for attribute in &next.attributes {
        raw.take(attribute);
    }
    raw.hop(next.interface_index, u16::from(next.hops) + 1)
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn medium(kind: LinkLayerType) -> Medium {
    match kind {
        LinkLayerType::Ether => Medium::Ethernet,
        other => Medium::Other(other.to_string().to_ascii_lowercase()),
    }
}

fn ethernet(bytes: &[u8]) -> Option<[u8; 6]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests;
