//! From an address to the device, MACs and tags that its packets leave with.
//!
//! Follows what the kernel's own lookup would do with the tables `local` and `main`, down to the device that transmits:
//! XDP sends below VLAN sub-interfaces and bonds, so their part (tag, choice of port) is done here.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::abi::VlanTag;
use siphasher::sip::SipHasher13;

use super::network::{
    Action, Address, BondPort, Hop, Kind, Link, LinkState, Medium, Neighbour, NeighbourKey, NeighbourState,
    Network, Preference, Route, Scope, Table,
};
use super::{NextHop, Unreachable};

/// Most tags that a backend entry holds.
const MAX_TAGS: usize = 2;
/// Deepest stack of devices that is followed; the kernel allows eight.
const MAX_DEPTH: usize = 8;

pub(super) fn resolve(network: &Network, destination: IpAddr) -> Result<NextHop, Unreachable> {
    let (route, hops) = forwarding(network, destination)?;
    let (hop, neighbour) = choose(network, &hops, destination)?;
    let top = network.link(hop.ifindex).ok_or(Unreachable::NoRoute(destination))?;
    let mac = neighbour.mac.ok_or_else(|| no_neighbour(hop, destination, top))?;
    let device = descend(network, top, destination)?;
    let gateway = hop.gateway.filter(|&gateway| gateway != destination);
    Ok(NextHop {
        ifindex: device.link.ifindex,
        interface: device.link.name.clone(),
        destination_mac: mac,
        source_mac: top.mac.or(device.link.mac).unwrap_or_default(),
        tags: device.tags,
        mtu: route.mtu.map_or(device.mtu, |mtu| mtu.min(device.mtu)),
        source: route
            .source
            .or_else(|| source(network, top.ifindex, destination, gateway.unwrap_or(destination))),
        gateway,
        stale: neighbour.state == NeighbourState::Unconfirmed,
    })
}

pub(super) fn next_hops(network: &Network, destination: IpAddr) -> Vec<NeighbourKey> {
    let Ok((_, hops)) = forwarding(network, destination) else { return Vec::new() };
    hops.into_iter().map(|hop| key(hop, destination)).collect()
}

/// The best route, and those of its hops that can be used.
fn forwarding(network: &Network, destination: IpAddr) -> Result<(&Route, Vec<&Hop>), Unreachable> {
    if network.addresses().iter().any(|address| address.net.addr() == destination) {
        return Err(Unreachable::ThisHost(destination));
    }
    let mut refusal = Unreachable::NoRoute(destination);
    for table in [Table::Local, Table::Main] {
        let routes = network.routes(destination).lookup(table, destination).unwrap_or_default();
        for route in routes {
            match &route.action {
                Action::Deliver => return Err(Unreachable::ThisHost(destination)),
                Action::Reject => return Err(Unreachable::Rejected(destination)),
                Action::Throw => break,
                Action::Forward(hops) => match usable(network, hops, destination) {
                    Ok(hops) => return Ok((route, hops)),
                    // Like the kernel, go on to the next metric of the same prefix; the best route's complaint stays.
                    Err(complaint) if matches!(refusal, Unreachable::NoRoute(_)) => refusal = complaint,
                    Err(_) => {}
                },
            }
        }
    }
    Err(refusal)
}

/// The hops whose device is up and can carry our frames; if there is none, what is wrong with the first.
fn usable<'a>(
    network: &'a Network,
    hops: &'a [Hop],
    destination: IpAddr,
) -> Result<Vec<&'a Hop>, Unreachable> {
    let mut refusal = None;
    let mut good = Vec::with_capacity(hops.len());
    for hop in hops {
        match check(network, hop, destination) {
            Ok(()) => good.push(hop),
            Err(complaint) => refusal = refusal.or(Some(complaint)),
        }
    }
    if good.is_empty() { Err(refusal.unwrap_or(Unreachable::NoRoute(destination))) } else { Ok(good) }
}

fn check(network: &Network, hop: &Hop, destination: IpAddr) -> Result<(), Unreachable> {
    let link = network.link(hop.ifindex).ok_or(Unreachable::NoRoute(destination))?;
    if let Some(encapsulation) = &hop.encapsulation {
        return Err(Unreachable::NotEthernet {
            address: destination,
            interface: link.name.clone(),
            kind: format!("a route with {encapsulation} encapsulation"),
        });
    }
    descend(network, link, destination).map(drop)
}

/// Picks one of the usable hops: of those with a neighbour, the one that scores highest for this destination. The
/// choice stays while that hop stays, whatever happens to the others.
fn choose<'a>(
    network: &'a Network,
    hops: &[&'a Hop],
    destination: IpAddr,
) -> Result<(&'a Hop, &'a Neighbour), Unreachable> {
    let best = hops
        .iter()
        .filter_map(|&hop| {
            let neighbour = network.neighbour(key(hop, destination)).filter(|found| found.mac.is_some())?;
            Some((hop, neighbour))
        })
        .max_by_key(|(hop, _)| score(network, hop, destination));
    best.ok_or_else(|| {
        hops.iter()
            .max_by_key(|hop| score(network, hop, destination))
            .and_then(|hop| Some(no_neighbour(hop, destination, network.link(hop.ifindex)?)))
            .unwrap_or(Unreachable::NoRoute(destination))
    })
}

/// Highest random weight: a hop of weight n draws n times. Names instead of interface numbers, so that a reboot does
/// not shuffle.
fn score(network: &Network, hop: &Hop, destination: IpAddr) -> u64 {
    let name = network.link(hop.ifindex).map(|link| link.name.as_str());
    (0..hop.weight.max(1))
        .map(|draw| {
            let mut hash = SipHasher13::new_with_keys(0, 0);
            (destination, hop.gateway, name, draw).hash(&mut hash);
            hash.finish()
        })
        .max()
        .unwrap_or_default()
}

fn key(hop: &Hop, destination: IpAddr) -> NeighbourKey {
    (hop.ifindex, hop.gateway.unwrap_or(destination))
}

fn no_neighbour(hop: &Hop, destination: IpAddr, link: &Link) -> Unreachable {
    Unreachable::NoNeighbour { next_hop: hop.gateway.unwrap_or(destination), interface: link.name.clone() }
}

/// The device that transmits, and what is added on the way down to it.
struct Device<'a> {
    link: &'a Link,
    tags: Vec<VlanTag>,
    mtu: u32,
}

fn descend<'a>(network: &'a Network, top: &'a Link, destination: IpAddr) -> Result<Device<'a>, Unreachable> {
    let mut device = Device { link: top, tags: Vec::new(), mtu: top.mtu };
    for _ in 0..MAX_DEPTH {
        let link = device.link;
        device.mtu = device.mtu.min(link.mtu);
        if link.medium != Medium::Ethernet {
            return Err(Unreachable::NotEthernet {
                address: destination,
                interface: link.name.clone(),
                kind: link.kind_name().to_owned(),
            });
        }
        // Before its state: an operator who brings it up would be told this next.
        if let Kind::Other(kind) = &link.kind {
            return Err(cannot_transmit(link, destination, kind));
        }
        if link.state == LinkState::Down {
            return Err(Unreachable::InterfaceDown { address: destination, interface: link.name.clone() });
        }
        device.link = match &link.kind {
            Kind::Plain | Kind::Veth(_) | Kind::Tun | Kind::Other(_) => return finish(device, destination),
            Kind::Vlan(lower, tag) => {
                // The device nearest to the wire writes the outermost tag.
                device.tags.insert(0, *tag);
                lower.and_then(|lower| network.link(lower)).ok_or_else(|| {
                    cannot_transmit(link, destination, "vlan on a device in another network namespace")
                })?
            }
            Kind::Bond(active) => port(network, link, *active, destination)?,
        };
    }
    Err(cannot_transmit(top, destination, "stack of more than eight devices"))
}

fn finish(device: Device<'_>, destination: IpAddr) -> Result<Device<'_>, Unreachable> {
    if device.tags.len() > MAX_TAGS { Err(Unreachable::TooManyTags(destination)) } else { Ok(device) }
}

/// The port by which a bond transmits to a destination: the active one where the mode has one, else spread over the
/// ports that are up.
fn port<'a>(
    network: &'a Network,
    bond: &Link,
    active: Option<u32>,
    destination: IpAddr,
) -> Result<&'a Link, Unreachable> {
    let up = |link: &&Link| link.master == Some(bond.ifindex) && link.state == LinkState::Up;
    let chosen = active.and_then(|active| network.link(active)).filter(up).or_else(|| {
        network.links().filter(up).filter(|link| link.port != Some(BondPort::Backup)).max_by_key(|link| {
            let mut hash = SipHasher13::new_with_keys(0, 0);
            (destination, link.name.as_str()).hash(&mut hash);
            hash.finish()
        })
    });
    chosen.ok_or_else(|| Unreachable::InterfaceDown { address: destination, interface: bond.name.clone() })
}

fn cannot_transmit(link: &Link, destination: IpAddr, kind: &str) -> Unreachable {
    Unreachable::CannotTransmit { address: destination, interface: link.name.clone(), kind: kind.to_owned() }
}

/// The address this host would send from: of the egress interface before others, of the next hop's subnet before
/// others, in the kernel's order. A link-local source only for a link-local destination.
fn source(network: &Network, ifindex: u32, destination: IpAddr, next_hop: IpAddr) -> Option<IpAddr> {
    let candidates = network.addresses().iter().filter(|address| {
        address.net.addr().is_ipv4() == destination.is_ipv4()
            && address.preference != Preference::Unusable
            && match address.scope {
                Scope::Global => true,
                Scope::Link => {
                    let near =
                        is_link_local(destination) || next_hop.is_ipv4() && address.net.contains(&next_hop);
                    near && address.ifindex == ifindex
                }
                Scope::Host => false,
            }
    });
    let rank = |address: &&Address| {
        let elsewhere = address.ifindex != ifindex;
        let scope = (address.scope == Scope::Link) != is_link_local(destination);
        let subnet = !address.net.contains(&next_hop);
        (elsewhere, address.preference, scope, subnet, u32::MAX - common_bits(address.net, destination))
    };
    candidates.min_by_key(rank).map(|address| address.net.addr())
}

/// Leading bits that an IPv6 source shares with the destination (RFC 6724, rule 8). IPv4 has no such rule.
fn common_bits(net: IpNet, destination: IpAddr) -> u32 {
    match (net, destination) {
        (IpNet::V6(net), IpAddr::V6(to)) => {
            (net.addr().to_bits() ^ to.to_bits()).leading_zeros().min(u32::from(net.prefix_len()))
        }
        (IpNet::V4(_), _) | (_, IpAddr::V4(_)) => 0,
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests;
