//! A frame described by what it means, and its bytes.
//!
//! Headers and checksums are etherparse's. What etherparse refuses to build, tests make by changing bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use etherparse::{
    IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header, TcpHeader,
    UdpHeader,
};

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
    const fn number(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Destination(_) => 60,
            Self::Routing { .. } => 43,
            Self::Fragment { .. } => 44,
        }
    }

    fn to_bytes(self, next: u8) -> Vec<u8> {
        match self {
            Self::HopByHop(bytes) | Self::Destination(bytes) => {
                let mut header = sized(next, bytes);
                // One PadN option fills it (up to its longest; PadN with zeros behind are Pad1).
                header[2] = 1;
                header[3] = u8::try_from(bytes - 4).unwrap_or(0);
                header
            }
            Self::Routing { bytes, segments_left } => {
                let mut header = sized(next, bytes);
                header[2] = 4;
                header[3] = segments_left;
                header
            }
            Self::Fragment { offset, more } => {
                let field = (offset << 3 | u16::from(more)).to_be_bytes();
                vec![next, 0, field[0], field[1], 0xca, 0xfe, 0xf0, 0x0d]
            }
        }
    }
}

fn sized(next: u8, bytes: usize) -> Vec<u8> {
    assert!((8..=2048).contains(&bytes) && bytes.is_multiple_of(8), "no extension header has {bytes} bytes");
    let mut header = vec![0; bytes];
    header[0] = next;
    header[1] = u8::try_from(bytes / 8 - 1).expect("checked above");
    header
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

    /// The IP packet, without padding.
    pub fn ip_bytes(&self) -> Vec<u8> {
        let mut rest = self.transport_bytes();
        rest.extend(std::iter::repeat_n(0xee, self.surplus));
        let (source, destination) = (self.source.ip(), self.destination.ip());
        match (&self.ip, source, destination) {
            (Ip::V4 { options, id, offset, more }, IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    identification: *id,
                    dont_fragment: *offset == 0 && !more,
                    more_fragments: *more,
                    fragment_offset: IpFragOffset::try_new(*offset).expect("13 bits"),
                    options: Ipv4Options::try_from(options.as_slice()).expect("whole words"),
                    ..ipv4(self.tos, self.ttl, self.protocol(), source, destination)
                };
                with_ipv4(header, &rest)
            }
            (Ip::V6 { label, extensions }, IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut chain = Vec::new();
                let numbers = extensions.iter().map(|header| header.number()).chain([self.protocol()]);
                let numbers: Vec<u8> = numbers.collect();
                for (header, next) in extensions.iter().zip(&numbers[1..]) {
                    chain.extend(header.to_bytes(*next));
                }
                chain.extend(rest);
                let mut header = ipv6(self.tos, *label, self.ttl, numbers[0], source, destination);
                header.set_payload_length(chain.len()).expect("fits 16 bits");
                [&header.to_bytes()[..], &chain].concat()
            }
            (Ip::Other(_), ..) => self.payload.clone(),
            mixed => panic!("mixed families: {mixed:?}"),
        }
    }

    /// The whole frame.
    pub fn bytes(&self) -> Vec<u8> {
        let ether_type = match self.ip {
            Ip::V4 { .. } => 0x0800,
            Ip::V6 { .. } => 0x86dd,
            Ip::Other(ether_type) => ether_type,
        };
        let mut bytes = link(self.destination_mac, self.source_mac, &self.tags, ether_type);
        bytes.extend(self.ip_bytes());
        bytes.extend(std::iter::repeat_n(0xaa, self.padding));
        bytes
    }

    /// Where the IP header starts.
    pub fn link_length(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    /// Where the transport header starts.
    pub fn transport_at(&self) -> usize {
        let behind = self.transport_bytes().len() + self.surplus;
        self.link_length() + self.ip_bytes().len() - behind
    }

    fn protocol(&self) -> u8 {
        match self.transport {
            Transport::Tcp { .. } => 6,
            Transport::Udp | Transport::UdpUnchecked => 17,
            Transport::Other(number) => number,
        }
    }

    fn transport_bytes(&self) -> Vec<u8> {
        let header = match self.transport {
            Transport::Tcp { flags, options } => self.tcp_header(flags, options),
            Transport::Udp => {
                let mut header = self.udp_header();
                header.checksum = match (self.source.ip(), self.destination.ip()) {
                    (IpAddr::V4(a), IpAddr::V4(b)) => {
                        header.calc_checksum_ipv4_raw(a.octets(), b.octets(), &self.payload)
                    }
                    (IpAddr::V6(a), IpAddr::V6(b)) => {
                        header.calc_checksum_ipv6_raw(a.octets(), b.octets(), &self.payload)
                    }
                    mixed => panic!("mixed families: {mixed:?}"),
                }
                .expect("short enough");
                header.to_bytes().to_vec()
            }
            Transport::UdpUnchecked => self.udp_header().to_bytes().to_vec(),
            Transport::Other(_) => vec![],
        };
        [header, self.payload.clone()].concat()
    }

    fn udp_header(&self) -> UdpHeader {
        UdpHeader {
            source_port: self.source.port(),
            destination_port: self.destination.port(),
            length: u16::try_from(8 + self.payload.len()).expect("short enough"),
            checksum: 0,
        }
    }

    fn tcp_header(&self, flags: u8, options: usize) -> Vec<u8> {
        let bit = |number: u32| flags >> number & 1 == 1;
        let mut header = TcpHeader::new(self.source.port(), self.destination.port(), 0x0102_0304, 4096);
        header.acknowledgment_number = 0x0a0b_0c0d;
        (header.fin, header.syn, header.rst, header.psh) = (bit(0), bit(1), bit(2), bit(3));
        (header.ack, header.urg, header.ece, header.cwr) = (bit(4), bit(5), bit(6), bit(7));
        header.set_options_raw(&vec![1; options]).expect("whole words");
        header.checksum = match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                header.calc_checksum_ipv4_raw(a.octets(), b.octets(), &self.payload)
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                header.calc_checksum_ipv6_raw(a.octets(), b.octets(), &self.payload)
            }
            mixed => panic!("mixed families: {mixed:?}"),
        }
        .expect("short enough");
        header.to_bytes().to_vec()
    }
}

/// An Ethernet header with its tags.
pub fn link(destination: [u8; 6], source: [u8; 6], tags: &[Tag], ether_type: u16) -> Vec<u8> {
    let mut bytes = [destination, source].concat();
    for tag in tags {
        bytes.extend(tag.tpid.to_be_bytes());
        bytes.extend(tag.tci.to_be_bytes());
    }
    bytes.extend(ether_type.to_be_bytes());
    bytes
}

/// An IPv4 header without options; lengths and checksum are [`with_ipv4`]'s.
pub fn ipv4(tos: u8, ttl: u8, protocol: u8, source: Ipv4Addr, destination: Ipv4Addr) -> Ipv4Header {
    Ipv4Header {
        dscp: IpDscp::try_new(tos >> 2).expect("6 bits"),
        ecn: IpEcn::try_new(tos & 3).expect("2 bits"),
        dont_fragment: true,
        time_to_live: ttl,
        protocol: IpNumber(protocol),
        source: source.octets(),
        destination: destination.octets(),
        ..Ipv4Header::default()
    }
}

/// The packet of an IPv4 header and what it carries: length and checksum are computed.
pub fn with_ipv4(mut header: Ipv4Header, carried: &[u8]) -> Vec<u8> {
    header.set_payload_len(carried.len()).expect("fits 16 bits");
    header.header_checksum = header.calc_header_checksum();
    [&header.to_bytes()[..], carried].concat()
}

/// An IPv6 header but for its payload length.
pub fn ipv6(
    class: u8,
    label: u32,
    hops: u8,
    next: u8,
    source: Ipv6Addr,
    destination: Ipv6Addr,
) -> Ipv6Header {
    Ipv6Header {
        traffic_class: class,
        flow_label: Ipv6FlowLabel::try_new(label).expect("20 bits"),
        payload_length: 0,
        next_header: IpNumber(next),
        hop_limit: hops,
        source: source.octets(),
        destination: destination.octets(),
    }
}

/// The Internet checksum of some bytes: zero over anything that holds a right one.
pub fn internet_checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
