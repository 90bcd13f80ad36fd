//! A network in namespaces: a client, a router, a balancer and backends.
//!
//! Built by netlink in one process in a few dozen milliseconds. It lives in threads and descriptors of this process
//! alone, so it ends with it: after a panic, a signal or `kill -9` nothing is left but a small folder, which the next
//! lab removes.

mod folder;
mod links;
mod namespace;
mod offload;
mod plan;

use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::{Context, Result};
use ipnet::IpNet;

pub use links::{End, Links};
pub use namespace::Namespace;
pub use offload::turn_off as turn_offloads_off;
use plan::{BACKEND_SIDE_NET, BALANCER_NET, CLIENT_NET, everywhere, host};
pub use plan::{Family, LOCAL4, LOCAL6, Nics, Placement, Plan, SERVICE4, SERVICE6};

/// The network.
///
/// Fields end in the order in which they stand: namespaces before the folder that their doors are in.
#[derive(Debug)]
pub struct Lab {
    /// Where clients are.
    pub client: Namespace,
    /// Between all the others.
    pub router: Namespace,
    /// Where `xlb` runs.
    pub balancer: Namespace,
    /// `web-1` and so on.
    pub backends: Vec<Namespace>,
    plan: Plan,
    folder: folder::Folder,
}

impl Lab {
    /// Builds the network of `plan`. Backends and services answer only once something serves there.
    pub fn new(plan: Plan) -> Result<Self> {
        let folder = folder::Folder::new()?;
        let lab = Self {
            client: Namespace::new("client")?,
            router: Namespace::new("router")?,
            balancer: Namespace::new("balancer")?,
            backends: (1..=plan.backends)
                .map(|i| Namespace::new(&format!("web-{i}")))
                .collect::<Result<_>>()?,
            plan,
            folder,
        };
        lab.wire().context("cannot wire the lab")?;
        Ok(lab)
    }

    /// What was built.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The lab's folder: for configuration, logs and sockets.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The backend called `name`.
    pub fn backend(&self, name: &str) -> Option<&Namespace> {
        self.backends.iter().find(|backend| backend.name() == name)
    }

    /// Routes the backends' service addresses to `gateway4` and `gateway6`.
    pub fn route_services(&self, gateway4: IpAddr, gateway6: IpAddr) -> Result<()> {
        self.router.run(move || {
            let links = Links::open()?;
            links.route(IpNet::from(IpAddr::from(SERVICE4)), gateway4)?;
            links.route(IpNet::from(IpAddr::from(SERVICE6)), gateway6)
        })
    }

    /// Routes the backends' service addresses past the balancer to one backend (from 1): plain kernel forwarding.
    pub fn bypass_balancer(&self, backend: u8) -> Result<()> {
        let [v4, v6] = Family::ALL.map(|family| self.plan.backend_address(backend, family));
        self.route_services(v4, v6)
    }

    /// Takes the balancer's `lb0` away, as when a driver is reloaded.
    pub fn unplug(&self) -> Result<()> {
        self.balancer.run(|| Links::open()?.remove("lb0"))
    }

    /// Makes the balancer's `lb0` anew, with the addresses and routes that it had.
    pub fn plug(&self) -> Result<()> {
        self.join(&self.balancer, "lb0", "to-lb0", self.plan.infrastructure_mtu)?;
        let port = match (self.plan.placement, self.plan.nics) {
            (Placement::OnLink, Nics::One) => {
                self.router.run(|| Links::open()?.enslave("to-lb0", "switch"))?;
                "switch"
            }
            (Placement::OnLink, Nics::Two) | (Placement::Routed, Nics::One | Nics::Two) => "to-lb0",
        };
        self.connect(&self.balancer, "lb0", port, BALANCER_NET, 2)?;
        self.route_to_balancer()
    }

    /// Gives the router another MAC address towards the balancer and has it tell its neighbours, as routers do that
    /// take over from another.
    pub fn replace_router(&self, mac: [u8; 6]) -> Result<()> {
        self.router.sysctl("net/ipv4/conf/to-lb0/arp_notify", "1")?;
        self.router.sysctl("net/ipv6/conf/to-lb0/ndisc_notify", "1")?;
        self.router.run(move || Links::open()?.set_mac("to-lb0", mac))
    }

    /// All namespaces.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        [&self.client, &self.router, &self.balancer].into_iter().chain(&self.backends)
    }

    fn wire(&self) -> Result<()> {
        for namespace in self.namespaces() {
            prepare(namespace)?;
            let [net, mount] = namespace.paths();
            self.folder.door("net", namespace.name(), &net)?;
            self.folder.door("mount", namespace.name(), &mount)?;
        }
        for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
            self.router.sysctl(key, "1")?;
        }
        let Plan { nics, placement, client_mtu, infrastructure_mtu: mtu, .. } = self.plan;
        self.join(&self.client, "eth0", "to-client", client_mtu)?;
        self.connect(&self.client, "eth0", "to-client", CLIENT_NET, 2)?;
        self.join(&self.balancer, "lb0", "to-lb0", mtu)?;
        if nics == Nics::Two {
            self.join(&self.balancer, "lb1", "to-lb1", mtu)?;
        }
        for backend in &self.backends {
            self.join(backend, "eth0", &format!("to-{}", backend.name()), mtu)?;
        }
        let (lb0, lb1) = match (placement, nics) {
            (Placement::Routed, _) => ("to-lb0", "to-lb1"),
            (Placement::OnLink, Nics::One) => (self.switch("to-lb0")?, ""),
            (Placement::OnLink, Nics::Two) => ("to-lb0", self.switch("to-lb1")?),
        };
        self.connect(&self.balancer, "lb0", lb0, BALANCER_NET, 2)?;
        if nics == Nics::Two {
            self.connect(&self.balancer, "lb1", lb1, BACKEND_SIDE_NET, 2)?;
        }
        for number in 1..=self.plan.backends {
            self.connect_backend(number)?;
        }
        self.route_past_default()?;
        self.route_to_balancer()?;
        stand_on_lo(&self.balancer, [LOCAL4.into(), LOCAL6.into()])
    }

    /// The router sends what is for a service address to the balancer.
    fn route_to_balancer(&self) -> Result<()> {
        let [v4, v6] = Family::ALL.map(|family| self.plan.balancer_address(family));
        self.route_services(v4, v6)?;
        self.router.run(move || {
            let links = Links::open()?;
            links.route(IpNet::from(IpAddr::from(LOCAL4)), v4)?;
            links.route(IpNet::from(IpAddr::from(LOCAL6)), v6)
        })
    }

    /// A veth from `interface` in `namespace` to `port` in the router, both up and without offloads.
    fn join(&self, namespace: &Namespace, interface: &str, port: &str, mtu: u32) -> Result<()> {
        let near = End { name: interface.to_owned(), mtu, mac: mac(namespace.name(), interface) };
        let far = End { name: port.to_owned(), mtu, mac: mac("router", port) };
        let (name, port) = (interface.to_owned(), port.to_owned());
        let router = self.router.as_fd().try_clone_to_owned()?;
        namespace.run(move || {
            let links = Links::open()?;
            links.add_veth(&near, &far, router.as_fd())?;
            offload::turn_off(&name)?;
            links.up(&name)
        })?;
        self.router.run(move || {
            offload::turn_off(&port)?;
            Links::open()?.up(&port)
        })
    }

    /// Addresses on both ends of a link, and the default route by the router.
    fn connect(&self, namespace: &Namespace, interface: &str, port: &str, net: u8, number: u8) -> Result<()> {
        let (interface, port) = (interface.to_owned(), port.to_owned());
        self.router.run(move || {
            let links = Links::open()?;
            Family::ALL.into_iter().try_for_each(|family| links.address(&port, host(net, 1, family)))
        })?;
        namespace.run(move || {
            let links = Links::open()?;
            for family in Family::ALL {
                links.address(&interface, host(net, number, family))?;
                if interface != "lb1" {
                    links.route(everywhere(family), host(net, 1, family).addr())?;
                }
            }
            Ok(())
        })
    }

    fn connect_backend(&self, number: u8) -> Result<()> {
        let backend = &self.backends[usize::from(number) - 1];
        let port = match self.plan.placement {
            Placement::Routed => format!("to-{}", backend.name()),
            Placement::OnLink => "switch".to_owned(),
        };
        self.connect(backend, "eth0", &port, self.plan.backend_net(number), 100 + number)?;
        stand_on_lo(backend, [SERVICE4.into(), SERVICE6.into()])
    }

    /// A bridge in the router with the port to the balancer and those to the backends.
    fn switch(&self, balancer_port: &str) -> Result<&'static str> {
        let bridge = End {
            name: "switch".to_owned(),
            mtu: self.plan.infrastructure_mtu,
            mac: mac("router", "switch"),
        };
        let mut ports = vec![balancer_port.to_owned()];
        ports.extend(self.backends.iter().map(|backend| format!("to-{}", backend.name())));
        self.router.run(move || {
            let links = Links::open()?;
            links.add_bridge(&bridge)?;
            ports.iter().try_for_each(|port| links.enslave(port, "switch"))
        })?;
        Ok("switch")
    }

    /// With two NICs and routed backends, the balancer reaches them by `lb1`.
    fn route_past_default(&self) -> Result<()> {
        if (self.plan.nics, self.plan.placement) != (Nics::Two, Placement::Routed) {
            return Ok(());
        }
        let nets: Vec<u8> = (1..=self.plan.backends).map(|number| self.plan.backend_net(number)).collect();
        self.balancer.run(move || {
            let links = Links::open()?;
            for (net, family) in nets.into_iter().flat_map(|net| Family::ALL.map(|family| (net, family))) {
                links.route(host(net, 0, family).trunc(), host(BACKEND_SIDE_NET, 1, family).addr())?;
            }
            Ok(())
        })
    }
}

/// A MAC address made from names: stable from run to run, different for every interface.
pub fn mac(namespace: &str, interface: &str) -> [u8; 6] {
    let hash = namespace
        .bytes()
        .chain([b'/'])
        .chain(interface.bytes())
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [0x02, 0x58, a, b, c, d]
}

/// What holds for every namespace, before it has interfaces: no reverse-path filter (answers come another way than
/// requests went), no waiting for duplicate addresses, and ARP only for what an interface itself has.
fn prepare(namespace: &Namespace) -> Result<()> {
    for scope in ["all", "default"] {
        namespace.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
        namespace.sysctl(&format!("net/ipv4/conf/{scope}/arp_ignore"), "1")?;
        namespace.sysctl(&format!("net/ipv4/conf/{scope}/arp_announce"), "2")?;
        namespace.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
        namespace.sysctl(&format!("net/ipv6/conf/{scope}/accept_ra"), "0")?;
    }
    namespace.run(|| Links::open()?.up("lo"))
}

fn stand_on_lo(namespace: &Namespace, addresses: [IpAddr; 2]) -> Result<()> {
    namespace.run(move || {
        let links = Links::open()?;
        addresses.into_iter().try_for_each(|address| links.address("lo", IpNet::from(address)))
    })
}
