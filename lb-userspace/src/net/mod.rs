//! Next hops: the only room that speaks netlink.
//!
//! The packet path never asks the kernel's FIB or neighbour table; this room follows both and says what an egress
//! entry must hold.

use std::net::IpAddr;

use lb_common::abi::VlanTag;

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
    /// More VLAN tags than a backend entry holds.
    #[error("the way to {0} adds more than two VLAN tags")]
    TooManyTags(IpAddr),
    /// The address is one of this host's.
    #[error("{0} is this host's own address: use forward = \"local\"")]
    ThisHost(IpAddr),
}
