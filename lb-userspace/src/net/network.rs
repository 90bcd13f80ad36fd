//! A snapshot of this host's network: links, addresses, routes and neighbours, as one value.
//!
//! Resolution and its tests work on this value alone. Each section is shared: publishing a change of one neighbour
//! does not copy a routing table.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use lb_common::abi::VlanTag;

use super::{InterfaceFacts, NextHop, Resolve, Unreachable, resolve};

/// Links, addresses, routes and neighbours at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    links: Arc<BTreeMap<u32, Link>>,
    addresses: Arc<Vec<Address>>,
    routes4: Arc<Routes>,
    routes6: Arc<Routes>,
    neighbours: Arc<BTreeMap<NeighbourKey, Neighbour>>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number for it.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Whether packets can leave by it.
    pub state: LinkState,
    /// What its frames look like.
    pub medium: Medium,
    /// What it is.
    pub kind: Kind,
    /// The bond or bridge that it is a port of.
    pub master: Option<u32>,
    /// Its part in a bond, where it is a port of one.
    pub port: Option<BondPort>,
}

/// Whether packets can leave by a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// Administratively up and with a carrier.
    Up,
    /// One of the two is missing.
    Down,
}

/// What a link's frames look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Ethernet.
    Ethernet,
    /// Something else, in the kernel's words (`loopback`, `none`, `ppp`).
    Other(String),
}

/// What a link is, as far as it decides how packets leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel names no kind: a NIC, or `lo`.
    Plain,
    /// One end of a veth pair; the other end where that is in this network namespace.
    Veth(Option<u32>),
    /// A tun or tap device.
    Tun,
    /// A VLAN sub-interface: the device below, where that is in this network namespace, and the tag it writes.
    Vlan(Option<u32>, VlanTag),
    /// A bond; its active port where its mode has one.
    Bond(Option<u32>),
    /// Anything else, in the kernel's words (`bridge`, `macvlan`, `wireguard`).
    Other(String),
}

/// A port's part in its bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondPort {
    /// The bond transmits by it.
    Active,
    /// It waits.
    Backup,
}

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface that carries it.
    pub ifindex: u32,
    /// The address with its prefix length.
    pub net: IpNet,
    /// Where it is valid.
    pub scope: Scope,
    /// Whether new connections may use it as their source.
    pub preference: Preference,
}

/// Where an address is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere.
    Global,
    /// On its link.
    Link,
    /// On this host.
    Host,
}

/// Whether an address is one to send from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Preference {
    /// It is.
    Primary,
    /// Only for want of a better one: secondary or deprecated.
    Secondary,
    /// No: tentative, or found to be a duplicate.
    Unusable,
}

/// The routes of one address family: tables `local` and `main`, by prefix length and network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes {
    local: BTreeMap<u8, BTreeMap<IpAddr, Vec<Route>>>,
    main: BTreeMap<u8, BTreeMap<IpAddr, Vec<Route>>>,
}

/// A routing table. Tables that only policy rules lead to are not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// This host's own addresses; asked first.
    Local,
    /// Everything else.
    Main,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where it is listed.
    pub table: Table,
    /// What it covers.
    pub prefix: IpNet,
    /// Lowest is best.
    pub metric: u32,
    /// What is done with packets.
    pub action: Action,
    /// Source address that it prefers.
    pub source: Option<IpAddr>,
    /// Largest IP packet in bytes, where the route sets one.
    pub mtu: Option<u32>,
}

/// What a route does with packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends them by one of these.
    Forward(Vec<Hop>),
    /// Delivers them here.
    Deliver,
    /// Refuses or drops them, or they cannot be unicast (broadcast, multicast).
    Reject,
    /// Ends the search in this table.
    Throw,
}

/// One way of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The egress interface.
    pub ifindex: u32,
    /// The router, of either family; `None` on-link.
    pub gateway: Option<IpAddr>,
    /// Share of the flows relative to the route's other hops, 1 or more.
    pub weight: u16,
    /// A lightweight tunnel that the route puts packets in, in the kernel's words.
    pub encapsulation: Option<String>,
}

/// Which neighbour: egress interface and address.
pub type NeighbourKey = (u32, IpAddr);

/// A neighbour entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its Ethernet address, while the kernel holds one for it.
    pub mac: Option<[u8; 6]>,
    /// What the kernel knows of it.
    pub state: NeighbourState,
    /// Who keeps it resolved.
    pub upkeep: Upkeep,
    /// Who made it, as a routing protocol number; 0 if nobody says.
    pub origin: u8,
}

/// What the kernel knows of a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourState {
    /// It answered lately.
    Reachable,
    /// It answered once; not confirmed at present (stale, delay, probe).
    Unconfirmed,
    /// It does not answer, or has not yet.
    Unresolved,
    /// The entry does not change by itself (permanent, noarp).
    Fixed,
}

/// Who keeps a neighbour resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upkeep {
    /// The kernel, on demand of traffic.
    Traffic,
    /// The kernel by itself (`managed`).
    Managed,
}

impl Network {
    /// A link by its number.
    pub fn link(&self, ifindex: u32) -> Option<&Link> {
        self.links.get(&ifindex)
    }

    /// All links, by number.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The addresses of this host, as the kernel lists them.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// A neighbour entry.
    pub fn neighbour(&self, key: NeighbourKey) -> Option<&Neighbour> {
        self.neighbours.get(&key)
    }

    /// All neighbour entries.
    pub fn neighbours(&self) -> impl Iterator<Item = (&NeighbourKey, &Neighbour)> {
        self.neighbours.iter()
    }

    /// The neighbours that packets to an address may be handed to: every router of its route, or itself. None where it
    /// is not forwarded, or every way is down.
    pub fn next_hops(&self, destination: IpAddr) -> Vec<NeighbourKey> {
        resolve::next_hops(self, destination)
    }

    /// All routes of the tables that are followed, the shortest prefixes first.
    pub fn all_routes(&self) -> impl Iterator<Item = &Route> {
        [&self.routes4, &self.routes6]
            .into_iter()
            .flat_map(|routes| [&routes.local, &routes.main])
            .flat_map(|table| table.values().flat_map(BTreeMap::values).flatten())
    }

    pub(super) fn routes(&self, destination: IpAddr) -> &Routes {
        match destination {
            IpAddr::V4(_) => &self.routes4,
            IpAddr::V6(_) => &self.routes6,
        }
    }
}

/// Changes, as the watcher and tests make them.
impl Network {
    /// Adds or replaces a link.
    pub fn put_link(&mut self, link: Link) {
        if self.links.get(&link.ifindex) != Some(&link) {
            Arc::make_mut(&mut self.links).insert(link.ifindex, link);
        }
    }

    /// Removes a link with what hangs on it; routes are left to the next dump.
    pub fn remove_link(&mut self, ifindex: u32) {
        if self.links.contains_key(&ifindex) {
            Arc::make_mut(&mut self.links).remove(&ifindex);
            Arc::make_mut(&mut self.addresses).retain(|address| address.ifindex != ifindex);
            Arc::make_mut(&mut self.neighbours).retain(|key, _| key.0 != ifindex);
        }
    }

    /// Adds or replaces an address; the order of arrival is kept.
    pub fn put_address(&mut self, address: Address) {
        match self.addresses.iter().position(|old| old.same(&address)) {
            Some(at) if self.addresses[at] == address => {}
            Some(at) => Arc::make_mut(&mut self.addresses)[at] = address,
            None => Arc::make_mut(&mut self.addresses).push(address),
        }
    }

    /// Removes an address.
    pub fn remove_address(&mut self, address: &Address) {
        if self.addresses.iter().any(|old| old.same(address)) {
            Arc::make_mut(&mut self.addresses).retain(|old| !old.same(address));
        }
    }

    /// Adds or replaces a neighbour entry.
    pub fn put_neighbour(&mut self, key: NeighbourKey, neighbour: Neighbour) {
        if self.neighbours.get(&key) != Some(&neighbour) {
            Arc::make_mut(&mut self.neighbours).insert(key, neighbour);
        }
    }

    /// Removes a neighbour entry.
    pub fn remove_neighbour(&mut self, key: NeighbourKey) {
        if self.neighbours.contains_key(&key) {
            Arc::make_mut(&mut self.neighbours).remove(&key);
        }
    }

    /// Replaces the routes on IPv4.
    pub fn set_routes4(&mut self, routes: Routes) {
        if *self.routes4 != routes {
            self.routes4 = Arc::new(routes);
        }
    }

    /// Replaces the routes on IPv6.
    pub fn set_routes6(&mut self, routes: Routes) {
        if *self.routes6 != routes {
            self.routes6 = Arc::new(routes);
        }
    }
}

impl Resolve for Network {
    fn resolve(&self, address: IpAddr) -> Result<NextHop, Unreachable> {
        resolve::resolve(self, address)
    }

    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        self.links().find(|link| link.name == name).map(|link| InterfaceFacts {
            ifindex: link.ifindex,
            name: link.name.clone(),
            mtu: link.mtu,
            up: link.state == LinkState::Up,
            mac: link.mac,
            kind: link.kind_name().to_owned(),
            veth_peer: match link.kind {
                Kind::Veth(peer) => peer,
                Kind::Plain | Kind::Tun | Kind::Vlan(..) | Kind::Bond(_) | Kind::Other(_) => None,
            },
        })
    }

    fn interface_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.links().map(|link| link.name.clone()).collect();
        names.sort_unstable();
        names
    }
}

impl Link {
    /// What it is, in the kernel's words.
    pub fn kind_name(&self) -> &str {
        match (&self.kind, &self.medium) {
            (Kind::Plain, Medium::Ethernet) => "ethernet",
            (Kind::Plain, Medium::Other(medium)) => medium,
            (Kind::Veth(_), _) => "veth",
            (Kind::Tun, Medium::Ethernet) => "tap",
            (Kind::Tun, Medium::Other(_)) => "tun",
            (Kind::Vlan(..), _) => "vlan",
            (Kind::Bond(_), _) => "bond",
            (Kind::Other(kind), _) => kind,
        }
    }
}

impl Address {
    fn same(&self, other: &Self) -> bool {
        self.ifindex == other.ifindex && self.net == other.net
    }
}

impl Routes {
    /// The routes of the longest prefix in a table that covers an address, lowest metric first.
    pub fn lookup(&self, table: Table, destination: IpAddr) -> Option<&[Route]> {
        self.table(table).iter().rev().find_map(|(&length, networks)| {
            let network = IpNet::new(destination, length).ok()?.network();
            networks.get(&network).map(Vec::as_slice)
        })
    }

    fn table(&self, table: Table) -> &BTreeMap<u8, BTreeMap<IpAddr, Vec<Route>>> {
        match table {
            Table::Local => &self.local,
            Table::Main => &self.main,
        }
    }
}

impl FromIterator<Route> for Routes {
    fn from_iter<I: IntoIterator<Item = Route>>(routes: I) -> Self {
        let mut all = Self::default();
        for route in routes {
            let table = match route.table {
                Table::Local => &mut all.local,
                Table::Main => &mut all.main,
            };
            let networks = table.entry(route.prefix.prefix_len()).or_default();
            let same = networks.entry(route.prefix.network()).or_default();
            // Among equal metrics the order of the dump is the kernel's order of preference.
            let at = same.partition_point(|other| other.metric <= route.metric);
            same.insert(at, route);
        }
        all
    }
}
