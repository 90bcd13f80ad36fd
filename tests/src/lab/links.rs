//! Links, addresses and routes of one namespace, by netlink and without a process per command.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use anyhow::{Context, Result, anyhow};
use futures_util::TryStreamExt;
use ipnet::IpNet;
use netlink_packet_route::link::{InfoData, InfoVeth, LinkAttribute, LinkMessage, LinkXdp, XdpAttached};
use netlink_packet_route::neighbour::NeighbourState;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};
use tokio::runtime::Runtime;

/// As many queues as XDP on the far end may want to send with.
const QUEUES: u32 = 2;

/// One end of a veth pair to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The interface's name.
    pub name: String,
    /// Its MTU.
    pub mtu: u32,
    /// Its MAC address.
    pub mac: [u8; 6],
}

/// The network of the namespace that the calling thread is in.
#[derive(Debug)]
pub struct Links {
    runtime: Runtime,
    handle: Handle,
}

impl Links {
    /// Opens a netlink socket in the calling thread's namespace.
    pub fn open() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let (connection, handle, _) = rtnetlink::new_connection().context("cannot open a netlink socket")?;
        runtime.spawn(connection);
        drop(entered);
        Ok(Self { runtime, handle })
    }

    /// Makes a veth pair: `near` here, `far` in the namespace `away`; both are left down.
    pub fn add_veth(&self, near: &End, far: &End, away: BorrowedFd<'_>) -> Result<()> {
        let mut peer = LinkMessage::default();
        peer.attributes = attributes(far);
        peer.attributes.push(LinkAttribute::NetNsFd(away.as_raw_fd()));
        let mut message =
            LinkVeth::new(&near.name, &far.name).set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
        for attribute in attributes(near) {
            message = message.append_extra_attribute(attribute);
        }
        self.runtime
            .block_on(self.handle.link().add(message.build()).execute())
            .with_context(|| format!("cannot make the veth pair {} and {}", near.name, far.name))
    }

    /// Makes a bridge, up.
    pub fn add_bridge(&self, bridge: &End) -> Result<()> {
        let message = LinkBridge::new(&bridge.name).mtu(bridge.mtu).address(bridge.mac.to_vec()).build();
        self.runtime
            .block_on(self.handle.link().add(message).execute())
            .with_context(|| format!("cannot make the bridge {}", bridge.name))
    }

    /// Removes an interface.
    pub fn remove(&self, interface: &str) -> Result<()> {
        let index = self.index(interface)?;
        self.runtime
            .block_on(self.handle.link().del(index).execute())
            .with_context(|| format!("cannot remove {interface}"))
    }

    /// The ifindex of an interface.
    pub fn index(&self, interface: &str) -> Result<u32> {
        Ok(self.find(interface)?.header.index)
    }

    /// The names of all interfaces.
    pub fn names(&self) -> Result<Vec<String>> {
        let links: Vec<LinkMessage> = self
            .runtime
            .block_on(self.handle.link().get().execute().try_collect())
            .context("cannot list the interfaces")?;
        let name = |attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        };
        Ok(links.into_iter().flat_map(|link| link.attributes).filter_map(name).collect())
    }

    /// Whether an XDP program is attached to an interface.
    pub fn has_xdp(&self, interface: &str) -> Result<bool> {
        let link = self.find(interface)?;
        let attached = |xdp: &LinkXdp| matches!(xdp, LinkXdp::Attached(kind) if *kind != XdpAttached::None);
        let xdp = link.attributes.iter().filter_map(|attribute| match attribute {
            LinkAttribute::Xdp(xdp) => Some(xdp),
            _ => None,
        });
        Ok(xdp.flatten().any(attached))
    }

    /// Takes an interface up.
    pub fn up(&self, interface: &str) -> Result<()> {
        self.set(interface, LinkUnspec::new_with_name(interface).up().build())
    }

    /// Takes an interface down.
    pub fn down(&self, interface: &str) -> Result<()> {
        self.set(interface, LinkUnspec::new_with_name(interface).down().build())
    }

    /// Makes an interface a port of a bridge.
    pub fn enslave(&self, interface: &str, bridge: &str) -> Result<()> {
        let bridge = self.index(bridge)?;
        self.set(interface, LinkUnspec::new_with_name(interface).controller(bridge).build())
    }

    /// Gives an interface another MAC address.
    pub fn set_mac(&self, interface: &str, mac: [u8; 6]) -> Result<()> {
        self.set(interface, LinkUnspec::new_with_name(interface).address(mac.to_vec()).build())
    }

    /// Gives an interface an address.
    pub fn address(&self, interface: &str, address: IpNet) -> Result<()> {
        let request =
            self.handle.address().add(self.index(interface)?, address.addr(), address.prefix_len()).replace();
        self.runtime
            .block_on(request.execute())
            .with_context(|| format!("cannot give {interface} the address {address}"))
    }

    /// Routes `to` by `gateway`, in place of an earlier route to the same net.
    pub fn route(&self, to: IpNet, gateway: IpAddr) -> Result<()> {
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(to.addr(), to.prefix_len())?
            .gateway(gateway)?
            .build();
        self.runtime
            .block_on(self.handle.route().add(route).replace().execute())
            .with_context(|| format!("cannot route {to} by {gateway}"))
    }

    /// Writes a neighbour that needs no asking.
    pub fn neighbour(&self, interface: &str, address: IpAddr, mac: [u8; 6]) -> Result<()> {
        let request = self
            .handle
            .neighbours()
            .add(self.index(interface)?, address)
            .link_layer_address(&mac)
            .state(NeighbourState::Permanent)
            .replace();
        self.runtime
            .block_on(request.execute())
            .with_context(|| format!("cannot set the neighbour {address} on {interface}"))
    }

    fn find(&self, interface: &str) -> Result<LinkMessage> {
        let mut found = self.handle.link().get().match_name(interface.to_owned()).execute();
        let link =
            self.runtime.block_on(found.try_next()).with_context(|| format!("cannot find {interface}"))?;
        link.ok_or_else(|| anyhow!("there is no interface {interface}"))
    }

    fn set(&self, interface: &str, message: LinkMessage) -> Result<()> {
        self.runtime
            .block_on(self.handle.link().set(message).execute())
            .with_context(|| format!("cannot change {interface}"))
    }
}

fn attributes(end: &End) -> Vec<LinkAttribute> {
    vec![
        LinkAttribute::IfName(end.name.clone()),
        LinkAttribute::Mtu(end.mtu),
        LinkAttribute::Address(end.mac.to_vec()),
        LinkAttribute::NumTxQueues(QUEUES),
        LinkAttribute::NumRxQueues(QUEUES),
    ]
}
