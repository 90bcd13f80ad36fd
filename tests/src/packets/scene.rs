//! Services, pools and backends by name, and the map entries that stand for them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::abi::{
    BackendId, Egress, PREFIX_KEY_HEAD_BITS, PrefixKey4, PrefixKey6, SLOTS, ServiceKey4, ServiceKey6, Slot,
    VlanTag, egress_flag, key_kind, mode,
};
use lb_common::host::HostTables;
use lb_common::wire::{Address, Be16, Be32, address4, address6};

use super::frame::Tag;

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Protocol {
    /// 6.
    Tcp = 6,
    /// 17.
    Udp = 17,
}

/// What a service listens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// One port of an address.
    Port(IpAddr, Protocol, u16),
    /// Ports of an address, both ends included.
    Range(IpAddr, Protocol, u16, u16),
    /// Every port of an address.
    AnyPort(IpAddr, Protocol),
    /// One port of every address in a prefix.
    Prefix(IpNet, Protocol, u16),
    /// Every port of every address in a prefix.
    PrefixAnyPort(IpNet, Protocol),
}

/// What of a packet is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// Addresses, ports, protocol.
    FiveTuple,
    /// The client's address.
    Source,
    /// The client's address without its last bits.
    SourcePrefix {
        /// Bits kept of an IPv4 address.
        v4_bits: u32,
        /// Bits kept of an IPv6 address.
        v6_bits: u32,
    },
}

impl HashKey {
    fn masks(self, family: &IpAddr) -> (Address, u32) {
        let bits = match self {
            Self::FiveTuple => return ([Be32::from_raw(u32::MAX); 4], u32::MAX),
            Self::Source => 128,
            Self::SourcePrefix { v4_bits, .. } if family.is_ipv4() => v4_bits,
            Self::SourcePrefix { v6_bits, .. } => v6_bits,
        };
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        (address6(mask.to_be_bytes()), 0)
    }
}

/// A service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Index of its counter.
    pub id: u32,
    /// What it listens on. All of one family.
    pub matches: Vec<Match>,
    /// What is hashed.
    pub key: HashKey,
    /// Its pool.
    pub pool: String,
}

/// How a pool's slots are given out.
#[derive(Clone, Debug)]
pub enum Slots {
    /// All to one backend.
    All(String),
    /// Slot `n` to the backend `n % len`.
    Spread(Vec<String>),
    /// None to anybody.
    Nobody,
    /// There is no table.
    Missing,
}

/// A pool.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Index of its table.
    pub table: u32,
    /// Its slots.
    pub slots: Slots,
}

/// The outer header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Outer source; drawn bits in it are zero.
    pub source: IpAddr,
    /// How many of its low bits are drawn by the hash.
    pub drawn_bits: u8,
    /// Outer destination.
    pub destination: IpAddr,
}

/// A forward mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// No next hop was ever known.
    None,
    /// IPIP.
    Ipip(Wire),
    /// GUE.
    Gue {
        /// The outer IP header.
        wire: Wire,
        /// Destination port.
        port: u16,
        /// RFC 6935's zero where the inner packet has no checksum.
        zero_allowed: ZeroChecksum,
    },
    /// MAC rewrite.
    L2,
    /// This host.
    Local,
}

/// What goes into GUE over IPv6 where the inner packet has no checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroChecksum {
    /// Zero.
    Send,
    /// A checksum all the same.
    Compute,
}

/// A backend.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its id.
    pub id: u32,
    /// How packets get there.
    pub forward: Forward,
    /// Behind which interface: 1 is the one that packets come in by.
    pub interface: u32,
    /// Tags to write.
    pub tags: Vec<Tag>,
    /// Longest IP packet.
    pub mtu: u16,
    /// Next hop's MAC address.
    pub next_hop: [u8; 6],
    /// The transmitting interface's MAC address.
    pub own_mac: [u8; 6],
}

/// Everything that a balancer knows.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// Services.
    pub services: Vec<Service>,
    /// Pools by name.
    pub pools: BTreeMap<String, Pool>,
    /// Backends by name.
    pub backends: BTreeMap<String, Backend>,
    /// Interfaces that the devmap has.
    pub devices: Vec<u32>,
    /// The hash's key.
    pub seed: u64,
}

/// Owner of the half of each slot that must not be looked at in a settled table.
const DECOY: u32 = 8_000;

impl Scene {
    /// The service with this name.
    pub fn service(&self, name: &str) -> &Service {
        self.services.iter().find(|s| s.name == name).unwrap_or_else(|| panic!("no service {name}"))
    }

    /// The name of the backend that a hash picks for a service, if the slot has an owner.
    pub fn owner(&self, service: &Service, hash: u32) -> Option<&str> {
        match &self.pools[&service.pool].slots {
            Slots::All(backend) => Some(backend),
            Slots::Spread(backends) => Some(&backends[(hash & 0xffff) as usize % backends.len()]),
            Slots::Nobody | Slots::Missing => None,
        }
    }

    /// The maps.
    pub fn tables(&self) -> HostTables {
        let mut tables = HostTables::default();
        for service in &self.services {
            self.enter(service, &mut tables);
        }
        for pool in self.pools.values() {
            if let Some(slots) = self.slots(pool) {
                tables.tables.insert(pool.table, slots);
            }
        }
        for backend in self.backends.values() {
            tables.backends.insert(backend.id, backend.egress());
        }
        tables.devices = self.devices.iter().copied().collect();
        tables
    }

    fn slots(&self, pool: &Pool) -> Option<Vec<Slot>> {
        let id = |name: &String| self.backends[name].id;
        let owner = |number: usize| match &pool.slots {
            Slots::All(backend) => id(backend),
            Slots::Spread(backends) => id(&backends[number % backends.len()]),
            Slots::Nobody | Slots::Missing => BackendId::NONE.get(),
        };
        if matches!(pool.slots, Slots::Missing) {
            return None;
        }
        Some((0..SLOTS).map(|number| slot(owner(number), DECOY)).collect())
    }

    fn enter(&self, service: &Service, tables: &mut HostTables) {
        for listening in &service.matches {
            let family = listening.family();
            let (source_mask, tuple_mask) = service.key.masks(&family);
            let table = self.pools[&service.pool].table;
            let value = lb_common::abi::Service { id: service.id, table, source_mask, tuple_mask, flags: 0 };
            match *listening {
                Match::Port(address, protocol, port) => {
                    enter_exact(tables, address, protocol, port..=port, value);
                }
                Match::Range(address, protocol, from, to) => {
                    enter_exact(tables, address, protocol, from..=to, value);
                }
                Match::AnyPort(address, protocol) => enter_exact(tables, address, protocol, 0..=0, value),
                Match::Prefix(prefix, protocol, port) => enter_prefix(tables, prefix, protocol, port, value),
                Match::PrefixAnyPort(prefix, protocol) => enter_prefix(tables, prefix, protocol, 0, value),
            }
        }
    }
}

impl Match {
    /// Some address of the family.
    fn family(&self) -> IpAddr {
        match self {
            Self::Port(address, ..) | Self::Range(address, ..) | Self::AnyPort(address, ..) => *address,
            Self::Prefix(prefix, ..) | Self::PrefixAnyPort(prefix, ..) => prefix.addr(),
        }
    }
}

impl Backend {
    /// Draws no bits of the outer source any more.
    pub fn draw_nothing(&mut self) {
        match &mut self.forward {
            Forward::Ipip(wire) | Forward::Gue { wire, .. } => wire.drawn_bits = 0,
            Forward::None | Forward::L2 | Forward::Local => {}
        }
    }

    fn egress(&self) -> Egress {
        let mut egress = Egress {
            ifindex: self.interface,
            tag_count: u8::try_from(self.tags.len()).expect("two at most"),
            mtu: self.mtu,
            destination_mac: self.next_hop,
            source_mac: self.own_mac,
            ..Egress::default()
        };
        for (ours, tag) in egress.tags.iter_mut().zip(&self.tags) {
            *ours = VlanTag { tpid: Be16::new(tag.tpid), tci: Be16::new(tag.tci) };
        }
        match self.forward {
            Forward::None => egress.mode = mode::NONE,
            Forward::L2 => egress.mode = mode::L2,
            Forward::Local => egress.mode = mode::LOCAL,
            Forward::Ipip(wire) => {
                egress.mode = if wire.destination.is_ipv4() { mode::IPIP4 } else { mode::IPIP6 };
                wire.fill(&mut egress);
            }
            Forward::Gue { wire, port, zero_allowed } => {
                egress.mode = if wire.destination.is_ipv4() { mode::GUE4 } else { mode::GUE6 };
                egress.gue_port = Be16::new(port);
                if zero_allowed == ZeroChecksum::Send {
                    egress.flags = egress_flag::ZERO_CHECKSUM;
                }
                wire.fill(&mut egress);
            }
        }
        egress.checksum = egress.outer4_sum();
        egress
    }
}

impl Wire {
    fn fill(&self, egress: &mut Egress) {
        egress.outer_source = address(self.source);
        egress.outer_destination = address(self.destination);
        egress.source_bits = self.drawn_bits;
    }
}

/// An address as the maps have it.
pub fn address(address: IpAddr) -> Address {
    match address {
        IpAddr::V4(v4) => address4(v4.octets()),
        IpAddr::V6(v6) => address6(v6.octets()),
    }
}

/// A slot whose two halves differ, which only tests have.
fn slot(current: u32, previous: u32) -> Slot {
    // SAFETY: `Slot` is `repr(transparent)` over `u32`, and every `u32` is one.
    unsafe { std::mem::transmute::<u32, Slot>(current | previous << 15) }
}

fn enter_exact(
    tables: &mut HostTables,
    at: IpAddr,
    protocol: Protocol,
    ports: std::ops::RangeInclusive<u16>,
    value: lb_common::abi::Service,
) {
    let protocol = protocol as u8;
    let keys = ports.map(|port| (port, key_kind::SERVICE)).chain([(0, key_kind::ADDRESS)]);
    for (port, kind) in keys {
        let port = Be16::new(port);
        if at.is_ipv4() {
            tables.services4.insert(ServiceKey4 { address: address(at)[0], port, protocol, kind }, value);
        } else {
            tables.services6.insert(ServiceKey6 { address: address(at), port, protocol, kind }, value);
        }
    }
}

fn enter_prefix(
    tables: &mut HostTables,
    prefix: IpNet,
    protocol: Protocol,
    port: u16,
    value: lb_common::abi::Service,
) {
    let protocol = protocol as u8;
    let prefix_len = PREFIX_KEY_HEAD_BITS + u32::from(prefix.prefix_len());
    let address = address(prefix.network());
    for (port, kind) in [(port, key_kind::SERVICE), (0, key_kind::ADDRESS)] {
        let port = Be16::new(port);
        if prefix.addr().is_ipv4() {
            let key = PrefixKey4 { prefix_len, protocol, kind, port, address: address[0] };
            tables.prefixes4.insert(key, value);
        } else {
            tables.prefixes6.insert(PrefixKey6 { prefix_len, protocol, kind, port, address }, value);
        }
    }
}
