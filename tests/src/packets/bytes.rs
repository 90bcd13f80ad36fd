//! The bytes of a frame.
//!
//! Headers and checksums are etherparse's. What etherparse refuses to build, tests make by changing bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{
    IpDscp, IpEcn, IpFragOffset, IpNumber, Ipv4Header, Ipv4Options, Ipv6FlowLabel, Ipv6Header, TcpHeader,
    UdpHeader,
};

use super::frame::{Extension, Frame, Ip, Tag, Transport};

impl Frame {
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

    pub(super) fn protocol(&self) -> u8 {
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

impl Extension {
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

fn sized(next: u8, bytes: usize) -> Vec<u8> {
    assert!((8..=2048).contains(&bytes) && bytes.is_multiple_of(8), "no extension header has {bytes} bytes");
    let mut header = vec![0; bytes];
    header[0] = next;
    header[1] = u8::try_from(bytes / 8 - 1).expect("checked above");
    header
}
