//! A frame described by what it means.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::hash::Flow;

/// The balancer's MAC address, where frames come in.
pub const BALANCER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0xb0, 0x01];
/// The router's MAC address, where frames come from.
pub const ROUTER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0xa0, 0x01];

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// 0x8100 or 0x88a8.
    pub tpid: u16,
    /// Priority, drop eligibility and VLAN id.
    pub tci: u16,
}

impl Tag {
    /// An 802.1Q tag.
    pub const fn customer(vid: u16) -> Self {
        Self { tpid: 0x8100, tci: vid }
    }

    /// An 802.1ad tag.
    pub const fn service(vid: u16) -> Self {
        Self { tpid: 0x88a8, tci: vid }
    }
}

/// An IPv6 extension header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Hop-by-hop options of this many bytes: 8 to 2048.
    HopByHop(usize),
    /// Destination options of this many bytes: 8 to 2048.
    Destination(usize),
    /// A routing header of this many bytes.
    Routing {
        /// 8 to 2048.
        bytes: usize,
        /// Stops still to be visited.
        segments_left: u8,
    },
    /// A fragment header.
    Fragment {
        /// Offset in units of eight bytes.
        offset: u16,
        /// More follow.
        more: bool,
    },
}

impl Extension {
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Destination(_) => 60,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
        }
    }
}

/// The IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ip {
    /// IPv4.
    V4 {
        /// Options, a multiple of four bytes.
        options: Vec<u8>,
        /// Identification.
        id: u16,
        /// Offset in units of eight bytes.
        offset: u16,
        /// More fragments follow.
        more: bool,
    },
    /// IPv6.
    V6 {
        /// Flow label.
        label: u32,
        /// Extension headers.
        extensions: Vec<Extension>,
    },
    /// Something else: the ethertype. The frame is link header and payload.
    Other(u16),
}

/// What is behind the IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, with the flags byte and this many bytes of options.
    Tcp {
        /// CWR to FIN.
        flags: u8,
        /// 0 to 40, a multiple of four.
        options: usize,
    },
    /// UDP with its checksum.
    Udp,
    /// UDP whose checksum is zero.
    UdpUnchecked,
    /// Another protocol: the payload is all there is.
    Other(u8),
}

/// A frame.
#[must_use = "it is only a description"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Link destination.
    pub destination_mac: [u8; 6],
    /// Link source.
    pub source_mac: [u8; 6],
    /// VLAN tags, outermost first.
    pub tags: Vec<Tag>,
    /// The IP header.
    pub ip: Ip,
    /// Source; the port is 0 where there is none.
    pub source: SocketAddr,
    /// Destination; the port is 0 where there is none.
    pub destination: SocketAddr,
    /// `ToS` or traffic class.
    pub tos: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// What is behind the IP header.
    pub transport: Transport,
    /// What is behind the transport header.
    pub payload: Vec<u8>,
    /// Bytes behind the UDP datagram, inside the IP packet.
    pub surplus: usize,
    /// Bytes behind the IP packet.
    pub padding: usize,
}

impl Frame {
    /// A frame from the usual client to `destination`, sixteen bytes of payload in it.
    pub fn new(destination: SocketAddr, transport: Transport) -> Self {
        let (ip, source): (_, IpAddr) = match destination {
            SocketAddr::V4(_) => (
                Ip::V4 { options: vec![], id: 0x1234, offset: 0, more: false },
                Ipv4Addr::new(203, 0, 113, 7).into(),
            ),
            SocketAddr::V6(_) => (
                Ip::V6 { label: 0x0005_4321, extensions: vec![] },
                Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, 7).into(),
            ),
        };
        Self {
            destination_mac: BALANCER_MAC,
            source_mac: ROUTER_MAC,
            tags: vec![],
            ip,
            source: (source, 40_001).into(),
            destination,
            tos: 0,
            ttl: 61,
            transport,
            payload: (1..=16).collect(),
            surplus: 0,
            padding: 0,
        }
    }

    /// A TCP segment with ACK and PSH.
    pub fn tcp(destination: SocketAddr) -> Self {
        Self::new(destination, Transport::Tcp { flags: 0x18, options: 0 })
    }

    /// A UDP datagram.
    pub fn udp(destination: SocketAddr) -> Self {
        Self::new(destination, Transport::Udp)
    }

    /// Another source, address and port.
    pub fn from(mut self, source: SocketAddr) -> Self {
        self.source = source;
        self
    }

    /// Another source port.
    pub fn from_port(mut self, port: u16) -> Self {
        self.source.set_port(port);
        self
    }

    /// Another VLAN tag, inside those that are there.
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(tag);
        self
    }

    /// Another `ToS` or traffic class.
    pub fn tos(mut self, tos: u8) -> Self {
        self.tos = tos;
        self
    }

    /// Another TTL or hop limit.
    pub fn ttl(mut self, ttl: u8) -> Self {
        self.ttl = ttl;
        self
    }

    /// Another transport header.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// A payload of this many bytes.
    pub fn payload(mut self, bytes: usize) -> Self {
        self.payload = (0..bytes).map(|n| u8::try_from(n * 7 % 251).expect("below 251")).collect();
        self
    }

    /// A payload such that the IP packet has this many bytes.
    pub fn ip_length(self, bytes: usize) -> Self {
        let empty = self.clone().payload(0).ip_bytes().len();
        self.payload(bytes.checked_sub(empty).expect("headers alone are longer"))
    }

    /// Bytes behind the UDP datagram, inside the IP packet (RFC 9868).
    pub fn surplus(mut self, bytes: usize) -> Self {
        self.surplus = bytes;
        self
    }

    /// Padded at the end to this many bytes.
    pub fn padded_to(mut self, bytes: usize) -> Self {
        self.padding = 0;
        self.padding = bytes.saturating_sub(self.bytes().len());
        self
    }

    /// IPv4 options, a multiple of four bytes.
    pub fn options(mut self, bytes: &[u8]) -> Self {
        let Ip::V4 { options, .. } = &mut self.ip else { panic!("no IPv4 header in {self:?}") };
        *options = bytes.to_vec();
        self
    }

    /// A part of an IPv4 packet.
    pub fn fragment(mut self, at: u16, and_more: bool) -> Self {
        let Ip::V4 { offset, more, .. } = &mut self.ip else { panic!("no IPv4 header in {self:?}") };
        (*offset, *more) = (at, and_more);
        self
    }

    /// Another IPv6 extension header behind those that are there.
    pub fn extension(mut self, header: Extension) -> Self {
        let Ip::V6 { extensions, .. } = &mut self.ip else { panic!("no IPv6 header in {self:?}") };
        extensions.push(header);
        self
    }

    /// What the flow hash covers.
    pub fn flow(&self) -> Flow {
        Flow {
            source: self.source.ip(),
            destination: self.destination.ip(),
            source_port: self.source.port(),
            destination_port: self.destination.port(),
            protocol: self.protocol(),
        }
    }
}
