//! What the kernel tells unasked: a socket in the multicast groups of links, addresses, routes and neighbours.
//!
//! It never sends, so that nothing that arrives can be mistaken for an answer; requests have a socket of their own.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily as SocketFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt,
    socket, sockopt,
};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::decode;
use super::network::{Address, Link, Neighbour, NeighbourKey};

/// One thing that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Link(Link),
    LinkGone(u32),
    Address(Address),
    AddressGone(Address),
    Neighbour(NeighbourKey, Neighbour),
    NeighbourGone(NeighbourKey),
    Routes(Family),
    /// Something that cannot be read happened: everything has to be asked for again.
    Unreadable,
}

/// An address family whose routes changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
    Both,
}

/// Why the stream of events has a gap.
#[derive(Debug)]
pub(super) enum Gap {
    /// The kernel dropped messages because the socket's buffer was full.
    Overrun,
    /// The socket is of no use any more.
    Broken(io::Error),
}

pub(super) struct Events {
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

impl Events {
    /// Joins the groups in the network namespace of the calling thread.
    pub(super) fn open(receive_buffer_bytes: usize) -> io::Result<Self> {
        let socket = socket(
            SocketFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkRoute,
        )?;
        // Past the system's limit with CAP_NET_ADMIN, which the daemon has anyway; up to the limit otherwise.
        setsockopt(&socket, sockopt::RcvBufForce, &receive_buffer_bytes)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &receive_buffer_bytes))?;
        let groups = GROUPS.iter().fold(0, |bits, &group| bits | 1 << (group as u32 - 1));
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe for types whose descriptor may change; this one's cannot"
        )]
        let socket = AsyncFd::with_interest(socket, Interest::READABLE)?;
        Ok(Self { socket, buffer: vec![0; DATAGRAM_BYTES] })
    }

    /// The events of the next datagram. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Result<Vec<Event>, Gap> {
        let buffer = &mut self.buffer;
        let received = self
            .socket
            .async_io(Interest::READABLE, |socket| {
                recvfrom::<NetlinkAddr>(socket.as_raw_fd(), buffer).map_err(io::Error::from)
            })
            .await;
        match received {
            Ok((length, Some(sender))) if sender.pid() == 0 => Ok(parse(&self.buffer[..length])),
            // Only the kernel's word counts.
            Ok(_) => Ok(Vec::new()),
            Err(error) if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => Err(Gap::Overrun),
            Err(error) => Err(Gap::Broken(error)),
        }
    }
}

const GROUPS: [MulticastGroup; 7] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
    // The last group that fits the mask of `bind`.
    MulticastGroup::Nexthop,
];

/// The kernel's largest datagram is 32 KiB.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// `RTM_NEWNEXTHOP` and `RTM_DELNEXTHOP`: routes by next-hop objects change without a message of their own.
const NEXT_HOP_OBJECTS: [u16; 2] = [104, 105];

fn parse(mut datagram: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while !datagram.is_empty() {
        let Ok(message) = NetlinkBuffer::new_checked(datagram) else {
            events.push(Event::Unreadable);
            break;
        };
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX).min(datagram.len());
        if NEXT_HOP_OBJECTS.contains(&message.message_type()) {
            events.push(Event::Routes(Family::Both));
        } else {
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&datagram[..length]) {
                Ok(message) => events.extend(event(message.payload)),
                Err(error) => {
                    tracing::debug!(%error, "a netlink message cannot be read");
                    events.push(Event::Unreadable);
                }
            }
        }
        // Messages are aligned to four bytes.
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    events
}

fn event(payload: NetlinkPayload<RouteNetlinkMessage>) -> Option<Event> {
    let NetlinkPayload::InnerMessage(message) = payload else { return None };
    match message {
        RouteNetlinkMessage::NewLink(message) => decode::link(&message).map(Event::Link),
        RouteNetlinkMessage::DelLink(message) => {
            decode::link(&message).map(|link| Event::LinkGone(link.ifindex))
        }
        RouteNetlinkMessage::NewAddress(message) => decode::address(&message).map(Event::Address),
        RouteNetlinkMessage::DelAddress(message) => decode::address(&message).map(Event::AddressGone),
        RouteNetlinkMessage::NewNeighbour(message) => {
            decode::neighbour(&message).map(|(key, neighbour)| Event::Neighbour(key, neighbour))
        }
        RouteNetlinkMessage::DelNeighbour(message) => {
            decode::neighbour(&message).map(|(key, _)| Event::NeighbourGone(key))
        }
        RouteNetlinkMessage::NewRoute(message) | RouteNetlinkMessage::DelRoute(message) => {
            decode::table(&message)?;
            match message.header.address_family {
                AddressFamily::Inet => Some(Event::Routes(Family::V4)),
                AddressFamily::Inet6 => Some(Event::Routes(Family::V6)),
                _ => None,
            }
        }
        _ => None,
    }
}
