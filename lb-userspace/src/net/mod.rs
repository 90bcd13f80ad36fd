//! Next hops: the only room that speaks netlink.
//!
//! The packet path never asks the kernel's FIB or neighbour table; this room follows both and says what an egress
//! entry must hold.

mod decode;
mod events;
mod keep;
pub mod network;
mod requests;
mod resolve;
mod watcher;

use std::io;
use std::net::IpAddr;

use lb_common::abi::VlanTag;

pub use network::Network;
pub use watcher::{Settings, Watcher};

/// What can go wrong between the daemon and the kernel's view of the network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The kernel refuses a request.
    #[error("the kernel refuses a netlink request about {what}: {source}")]
    Refused {
        /// What it was about.
        what: &'static str,
        /// The kernel's words.
        source: io::Error,
    },
    /// An answer ended in the middle.
    #[error("the kernel's answer about {what} ended in the middle")]
    Cut {
        /// What it was about.
        what: &'static str,
    },
    /// Links, addresses, routes and neighbours can no longer be followed.
    #[error("the network can no longer be followed over netlink, after {tries} tries: {source}; restart xlb")]
    Lost {
        /// How often it was tried.
        tries: u32,
        /// What happened at the last try.
        source: Box<Error>,
    },
}

/// How a packet for an address leaves this host: resolved down to the device that transmits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// The device that transmits: below VLAN sub-interfaces and bonds.
    pub ifindex: u32,
    /// Its name.
    pub interface: String,
    /// The next hop's MAC address.
    pub destination_mac: [u8; 6],
    /// The device's MAC address (of the VLAN sub-interface where that differs).
    pub source_mac: [u8; 6],
    /// Tags that VLAN sub-interfaces on the way would write, outermost first; at most two.
    pub tags: Vec<VlanTag>,
    /// Largest IP packet, in bytes, that the way takes: the smallest of the route's and the devices' MTUs.
    pub mtu: u32,
    /// The source address that this host would use towards the address.
    pub source: Option<IpAddr>,
    /// The gateway; `None` when the address is on-link.
    pub gateway: Option<IpAddr>,
    /// The neighbour entry is not confirmed at present (stale, probing or lost); its last MAC stays in use.
    pub stale: bool,
}

/// What other rooms ask of the network; a value, so that they are tested without a kernel.
pub trait Resolve: Send + Sync {
    /// How a packet for an address leaves this host.
    fn resolve(&self, address: IpAddr) -> Result<NextHop, Unreachable>;
    /// An interface by its name; `None` while there is no such interface.
    fn interface(&self, name: &str) -> Option<InterfaceFacts>;
    /// The names of all interfaces, sorted.
    fn interface_names(&self) -> Vec<String>;
}

/// What there is to know of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceFacts {
    /// The kernel's number for it. Another one under the same name is another interface.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// Administratively up and with a carrier.
    pub up: bool,
    /// Its Ethernet address; `None` where it is not Ethernet.
    pub mac: Option<[u8; 6]>,
    /// What it is, in the kernel's words (`veth`, `bridge`, `tun`); `ethernet` for a NIC, `loopback` for `lo`.
    pub kind: String,
    /// The other end of a veth pair, where that is in the same network namespace.
    pub veth_peer: Option<u32>,
}

/// Why an address has no usable next hop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// No route covers it.
    #[error("no route to {0}: add one, or bring its interface up")]
    NoRoute(IpAddr),
    /// The route says unreachable, prohibit or blackhole.
    #[error("the route to {0} rejects packets (unreachable, prohibit or blackhole)")]
    Rejected(IpAddr),
    /// The interface on the way is down.
    #[error("interface {interface} on the way to {address} is down")]
    InterfaceDown {
        /// The backend.
        address: IpAddr,
        /// The interface.
        interface: String,
    },
    /// Nobody answered for the gateway or, on-link, for the address itself.
    #[error("no neighbour answers for {next_hop} on {interface}: check the cable, the VLAN and the address")]
    NoNeighbour {
        /// The gateway, or the address itself.
        next_hop: IpAddr,
        /// The interface asked on.
        interface: String,
    },
    /// The way goes out by something that is not Ethernet.
    #[error("{interface} on the way to {address} is not Ethernet but {kind}: xlb cannot send by it")]
    NotEthernet {
        /// The backend.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// What it is, in the kernel's words (`tun`, `wireguard`, `ppp`).
        kind: String,
    },
    /// The way goes out by an Ethernet device that XDP cannot transmit by.
    #[error(
        "{interface} on the way to {address} is a {kind}, which XDP cannot transmit by: route the backend by a NIC, \
         or by a VLAN or bond on NICs"
    )]
    CannotTransmit {
        /// The backend.
        address: IpAddr,
        /// The interface.
        interface: String,
        /// What it is, in the kernel's words (`bridge`, `macvlan`, `vxlan`).
        kind: String,
    },
    /// More VLAN tags than a backend entry holds.
    #[error("the way to {0} adds more than two VLAN tags")]
    TooManyTags(IpAddr),
    /// The address is one of this host's.
    #[error("{0} is this host's own address: use forward = \"local\"")]
    ThisHost(IpAddr),
}
