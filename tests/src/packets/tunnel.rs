//! A tunnelled packet as an agent gets it.

use std::net::{IpAddr, SocketAddr};

use etherparse::{Ipv4Options, UdpHeader};

use super::bytes::{ipv4, ipv6, link, with_ipv4};
use super::frame::{Frame, Ip};

/// An outer header.
#[must_use = "it is only a description"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// Outer source.
    pub source: IpAddr,
    /// Outer destination.
    pub destination: IpAddr,
    /// GUE's ports, source first; without them it is IPIP.
    pub ports: Option<(u16, u16)>,
    /// Whether the outer UDP datagram has a checksum.
    pub checksum: Checksum,
    /// Outer `ToS` or traffic class.
    pub tos: u8,
    /// Outer TTL or hop limit.
    pub ttl: u8,
    /// Outer IPv4 options.
    pub options: Vec<u8>,
}

/// What stands in the outer UDP checksum's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    /// The datagram's checksum.
    Computed,
    /// Zero: there is none.
    Zero,
}

impl Tunnel {
    /// IPIP.
    pub const fn ipip(source: IpAddr, destination: IpAddr) -> Self {
        let options = Vec::new();
        Self { source, destination, ports: None, checksum: Checksum::Zero, tos: 0, ttl: 64, options }
    }

    /// GUE, with a checksum.
    pub fn gue(source: SocketAddr, destination: SocketAddr) -> Self {
        let ports = Some((source.port(), destination.port()));
        let plain = Self::ipip(source.ip(), destination.ip());
        Self { ports, checksum: Checksum::Computed, ..plain }
    }

    /// With zero in place of the outer UDP checksum.
    pub fn without_checksum(mut self) -> Self {
        self.checksum = Checksum::Zero;
        self
    }

    /// From another address.
    pub fn from(mut self, source: IpAddr) -> Self {
        self.source = source;
        self
    }

    /// To another address.
    pub fn to(mut self, destination: IpAddr) -> Self {
        self.destination = destination;
        self
    }

    /// To another GUE port.
    pub fn to_port(mut self, port: u16) -> Self {
        self.ports = self.ports.map(|(source, _)| (source, port));
        self
    }

    /// GUE's destination port.
    pub fn port(&self) -> Option<u16> {
        self.ports.map(|(_, port)| port)
    }

    /// Whether the outer header is IPv4.
    pub const fn is_v4(&self) -> bool {
        self.destination.is_ipv4()
    }

    /// The tunnelled frame: the link header of `frame`, and its packet behind the outer headers.
    pub fn around(&self, frame: &Frame) -> Vec<u8> {
        let inner = frame.ip_bytes();
        let number = if matches!(frame.ip, Ip::V4 { .. }) { 4 } else { 41 };
        let (protocol, carried) = match self.ports {
            None => (number, inner),
            Some(ports) => (17, self.datagram(ports, number, &inner)),
        };
        let ether_type = if self.is_v4() { 0x0800 } else { 0x86dd };
        let mut bytes = link(frame.destination_mac, frame.source_mac, &frame.tags, ether_type);
        bytes.extend(self.packet(protocol, &carried));
        bytes
    }

    fn packet(&self, protocol: u8, carried: &[u8]) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut header = ipv4(self.tos, self.ttl, protocol, source, destination);
                header.options = Ipv4Options::try_from(&self.options[..]).expect("whole words");
                with_ipv4(header, carried)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut header = ipv6(self.tos, 0xabcde, self.ttl, protocol, source, destination);
                header.set_payload_length(carried.len()).expect("fits 16 bits");
                [&header.to_bytes()[..], carried].concat()
            }
            mixed => panic!("mixed families: {mixed:?}"),
        }
    }

    fn datagram(&self, (source_port, destination_port): (u16, u16), number: u8, inner: &[u8]) -> Vec<u8> {
        let payload = [&[0, number, 0, 0], inner].concat();
        let length = u16::try_from(8 + payload.len()).expect("fits 16 bits");
        let mut header = UdpHeader { source_port, destination_port, length, checksum: 0 };
        if self.checksum == Checksum::Computed {
            header.checksum = match (self.source, self.destination) {
                (IpAddr::V4(a), IpAddr::V4(b)) => {
                    header.calc_checksum_ipv4_raw(a.octets(), b.octets(), &payload)
                }
                (IpAddr::V6(a), IpAddr::V6(b)) => {
                    header.calc_checksum_ipv6_raw(a.octets(), b.octets(), &payload)
                }
                mixed => panic!("mixed families: {mixed:?}"),
            }
            .expect("short enough");
        }
        [&header.to_bytes()[..], &payload].concat()
    }
}
