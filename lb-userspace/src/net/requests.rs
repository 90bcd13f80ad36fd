//! What is asked of the kernel: dumps, and neighbour entries made, changed and removed.

use std::io;
use std::net::IpAddr;

use futures_util::StreamExt;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteMessage, RouteProtocol};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::{Handle, new_connection_with_strict_check};
use tokio::task::JoinHandle;

use super::Error;
use super::decode;
use super::network::{NeighbourKey, Network, Routes};

/// The routing protocol number on neighbour entries that xlb makes. It tells them from other people's, also after a
/// crash. Not in use by a routing daemon (`/etc/iproute2/rt_protos`).
pub(super) const ORIGIN: u8 = 120;

/// A socket for requests.
pub(super) struct Requests {
    handle: Handle,
    connection: JoinHandle<()>,
}

/// What to do with a neighbour entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Make it, to be kept resolved by the kernel; an error if it is there.
    Make,
    /// Have the kernel keep it resolved. On kernels before 5.16, which do not know the flag: probe it once.
    Keep,
    /// No longer have the kernel keep it resolved.
    LetGo,
    /// Remove it.
    Remove,
}

impl Requests {
    /// Opens the socket in the network namespace of the calling thread.
    pub(super) fn open() -> Result<Self, Error> {
        let (mut connection, handle, _) = new_connection_with_strict_check().map_err(Error::Open)?;
        // An answer that ends without one of these was cut off.
        connection.set_forward_done(true);
        connection.set_forward_ack(true);
        Ok(Self { handle, connection: tokio::spawn(connection) })
    }

    /// All of it, from nothing.
    pub(super) async fn network(&self) -> Result<Network, Error> {
        let mut network = Network::default();
        for message in self.dump("links", &RouteNetlinkMessage::GetLink(LinkMessage::default())).await? {
            if let RouteNetlinkMessage::NewLink(message) = message
                && let Some(link) = decode::link(&message)
            {
                network.put_link(link);
            }
        }
        for message in
            self.dump("addresses", &RouteNetlinkMessage::GetAddress(AddressMessage::default())).await?
        {
            if let RouteNetlinkMessage::NewAddress(message) = message
                && let Some(address) = decode::address(&message)
            {
                network.put_address(address);
            }
        }
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut ask = NeighbourMessage::default();
            ask.header.family = family;
            for message in self.dump("neighbours", &RouteNetlinkMessage::GetNeighbour(ask)).await? {
                if let RouteNetlinkMessage::NewNeighbour(message) = message
                    && let Some((key, neighbour)) = decode::neighbour(&message)
                {
                    network.put_neighbour(key, neighbour);
                }
            }
        }
        network.set_routes4(self.routes4().await?);
        network.set_routes6(self.routes6().await?);
        Ok(network)
    }

    /// Routes on IPv4.
    pub(super) async fn routes4(&self) -> Result<Routes, Error> {
        self.routes(AddressFamily::Inet).await
    }

    /// Routes on IPv6.
    pub(super) async fn routes6(&self) -> Result<Routes, Error> {
        self.routes(AddressFamily::Inet6).await
    }

    /// Changes a neighbour entry. The error is the kernel's.
    pub(super) async fn change(&self, key: NeighbourKey, change: Change) -> Result<(), Error> {
        let (ifindex, address) = key;
        let mut message = NeighbourMessage::default();
        message.header.family = match address {
            IpAddr::V4(_) => AddressFamily::Inet,
            IpAddr::V6(_) => AddressFamily::Inet6,
        };
        message.header.ifindex = ifindex;
        message.header.state = NeighbourState::None;
        message.attributes.push(NeighbourAttribute::Destination(NeighbourAddress::from(address)));
        let managed = NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed);
        let (flags, message) = match change {
            Change::Make => {
                message.header.flags = NeighbourFlags::Use;
                message.attributes.push(managed);
                message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(ORIGIN)));
                (NLM_F_CREATE | NLM_F_EXCL, RouteNetlinkMessage::NewNeighbour(message))
            }
            Change::Keep => {
                message.header.flags = NeighbourFlags::Use;
                message.attributes.push(managed);
                (0, RouteNetlinkMessage::NewNeighbour(message))
            }
            Change::LetGo => {
                message.header.flags = NeighbourFlags::Use;
                (0, RouteNetlinkMessage::NewNeighbour(message))
            }
            Change::Remove => (0, RouteNetlinkMessage::DelNeighbour(message)),
        };
        self.ask(flags | NLM_F_ACK, "neighbour", message).await.map(drop)
    }

    async fn routes(&self, family: AddressFamily) -> Result<Routes, Error> {
        let mut routes = Vec::new();
        // The kernel filters by table: what other tables hold may be large.
        for table in [libc::RT_TABLE_LOCAL, libc::RT_TABLE_MAIN] {
            let mut ask = RouteMessage::default();
            ask.header.address_family = family;
            ask.header.table = table;
            let ask = RouteNetlinkMessage::GetRoute(ask);
            let messages = match self.dump("routes", &ask).await {
                // A table that never held a route, or no IPv6 at all.
                Err(Error::Refused { source, .. }) if is_absent(&source) => Vec::new(),
                other => other?,
            };
            for message in messages {
                if let RouteNetlinkMessage::NewRoute(message) = message
                    && message.header.address_family == family
                {
                    routes.extend(decode::route(&message));
                }
            }
        }
        Ok(routes.into_iter().collect())
    }

    /// A dump that the kernel says was overtaken by changes is taken again, a few times; what then still differs, the
    /// changes' own messages put right.
    async fn dump(
        &self,
        what: &'static str,
        message: &RouteNetlinkMessage,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        let mut tries = 0;
        loop {
            tries += 1;
            let (answers, quality) = self.ask(NLM_F_DUMP, what, message.clone()).await?;
            if quality == Quality::Whole || tries == MOST_TRIES {
                return Ok(answers);
            }
        }
    }

    async fn ask(
        &self,
        flags: u16,
        what: &'static str,
        message: RouteNetlinkMessage,
    ) -> Result<(Vec<RouteNetlinkMessage>, Quality), Error> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | flags;
        let mut answers = self.handle.clone().request(request).map_err(|_| Error::Cut { what })?;
        let (mut messages, mut quality) = (Vec::new(), Quality::Whole);
        let mut ended = false;
        while let Some(answer) = answers.next().await {
            if answer.header.flags & NLM_F_DUMP_INTR != 0 {
                quality = Quality::Overtaken;
            }
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Done(done) if done.code < 0 => {
                    return Err(Error::Refused { what, source: io::Error::from_raw_os_error(-done.code) });
                }
                NetlinkPayload::Error(error) if error.code.is_some() => {
                    return Err(Error::Refused { what, source: error.to_io() });
                }
                NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => ended = true,
                _ => {}
            }
        }
        if ended { Ok((messages, quality)) } else { Err(Error::Cut { what }) }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP | libc::EAFNOSUPPORT))
}

const MOST_TRIES: u32 = 5;

/// What a dump is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    Whole,
    Overtaken,
}
