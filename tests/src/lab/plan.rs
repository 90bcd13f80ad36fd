//! What the lab looks like: who is where, under which address.
//!
//! ```text
//! client ── router ──────── balancer (lb0)          client ── router ── lb0 balancer lb1
//!             ├── web-1                                         │                     │
//!             ├── web-2   one NIC, routed                       └──── switch ─────────┘   two NICs, on-link
//!             └── web-3                                             web-1 web-2 web-3
//! ```
//!
//! Service addresses are routed to the balancer and stand on every backend's `lo`; answers go straight from the
//! backend through the router to the client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

/// The service address of the backends, IPv4.
pub const SERVICE4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
/// The service address of the backends, IPv6.
pub const SERVICE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
/// A service address that stands on the balancer itself, for `forward = "local"`.
pub const LOCAL4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 20);
/// A service address that stands on the balancer itself, IPv6.
pub const LOCAL6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x20);

/// How many interfaces the balancer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nics {
    /// Packets leave by the interface they came in by.
    One,
    /// Clients are behind `lb0`, backends behind `lb1`.
    Two,
}

/// Where backends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Placement {
    /// Each behind the router in a net of its own: the next hop is the router.
    Routed,
    /// On one switch with the balancer: the next hop is the backend.
    OnLink,
}

/// IP's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The service address of this family.
    pub fn service(self) -> IpAddr {
        match self {
            Self::V4 => SERVICE4.into(),
            Self::V6 => SERVICE6.into(),
        }
    }

    /// The service address on the balancer itself.
    pub fn local_service(self) -> IpAddr {
        match self {
            Self::V4 => LOCAL4.into(),
            Self::V6 => LOCAL6.into(),
        }
    }

    /// The service address with a port.
    pub fn target(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.service(), port)
    }
}

impl std::fmt::Display for Family {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// What to build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The balancer's interfaces.
    pub nics: Nics,
    /// Where backends are.
    pub placement: Placement,
    /// How many backends there are: `web-1`, `web-2` and so on.
    pub backends: u8,
    /// MTU of the client's link.
    pub client_mtu: u32,
    /// MTU of every other link: what tunnels add must fit.
    pub infrastructure_mtu: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            nics: Nics::One,
            placement: Placement::Routed,
            backends: 3,
            client_mtu: 1500,
            infrastructure_mtu: 1600,
        }
    }
}

impl Plan {
    /// The interface of the balancer behind which backends are.
    pub fn backend_side(&self) -> &'static str {
        match self.nics {
            Nics::One => "lb0",
            Nics::Two => "lb1",
        }
    }

    /// The balancer's interfaces.
    pub fn balancer_interfaces(&self) -> &'static [&'static str] {
        match self.nics {
            Nics::One => &["lb0"],
            Nics::Two => &["lb0", "lb1"],
        }
    }

    /// The net, by [`host`]'s numbers, that backend `number` (from 1) is in.
    pub(super) fn backend_net(&self, number: u8) -> u8 {
        match (self.placement, self.nics) {
            (Placement::Routed, _) => 100 + number,
            (Placement::OnLink, Nics::One) => BALANCER_NET,
            (Placement::OnLink, Nics::Two) => BACKEND_SIDE_NET,
        }
    }

    /// The address of backend `number` (from 1).
    pub fn backend_address(&self, number: u8, family: Family) -> IpAddr {
        host(self.backend_net(number), 100 + number, family).addr()
    }

    /// The balancer's address on `lb0`.
    pub fn balancer_address(&self, family: Family) -> IpAddr {
        host(BALANCER_NET, 2, family).addr()
    }

    /// The nets from which the balancer's outer headers come, for the agents.
    pub fn balancer_nets(&self) -> Vec<IpNet> {
        [BALANCER_NET, BACKEND_SIDE_NET]
            .iter()
            .flat_map(|&net| Family::ALL.map(|family| host(net, 0, family).trunc()))
            .collect()
    }
}

/// Number of the client's net.
pub(super) const CLIENT_NET: u8 = 1;
/// Number of the net on the balancer's `lb0`.
pub(super) const BALANCER_NET: u8 = 2;
/// Number of the net on the balancer's `lb1`.
pub(super) const BACKEND_SIDE_NET: u8 = 3;

/// Host `number` of net `net`, with the net's prefix length. Host 1 is the router.
pub(super) fn host(net: u8, number: u8, family: Family) -> IpNet {
    let (address, length) = match family {
        Family::V4 => (IpAddr::from([10, 77, net, number]), 24),
        Family::V6 => (IpAddr::from([0xfd77, u16::from(net), 0, 0, 0, 0, 0, u16::from(number)]), 64),
    };
    IpNet::new(address, length).expect("the lengths are in range")
}

/// The net of every address of `family`.
pub(super) fn everywhere(family: Family) -> IpNet {
    match family {
        Family::V4 => IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        Family::V6 => IpNet::new(Ipv6Addr::UNSPECIFIED.into(), 0),
    }
    .expect("zero is in range")
}
