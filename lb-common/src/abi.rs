//! Everything that stands in a BPF map or a read-only global.
//!
//! Types are `repr(C)` with explicit padding and hold no bool, enum or `Option`; sizes are asserted below. A change
//! to any layout or to the meaning of a field raises [`ABI_VERSION`]: the daemon adopts pinned maps only when the
//! version it finds in them is its own.

#![expect(
    clippy::pub_underscore_fields,
    reason = "explicit padding must be written by whoever makes the value"
)]

use crate::wire::{Address, Be16, Be32};

/// Version of every layout in this module.
pub const ABI_VERSION: u32 = 1;

/// Slots in a pool's table. A power of two: `hash & (SLOTS - 1)` picks one and the verifier can follow it.
pub const SLOTS: usize = 65_536;
/// Tables, and so pools, that fit the outer map.
pub const MAX_POOLS: u32 = 1_024;
/// Backend entries. Ids are 15 bits wide in a [`Slot`]; id 0 is [`BackendId::NONE`] and is never given out.
pub const MAX_BACKENDS: u32 = 8_192;
/// Keys in each exact-match service map; a port range takes one key per port.
pub const MAX_SERVICE_KEYS: u32 = 65_536;
/// Keys in each prefix service map.
pub const MAX_PREFIX_KEYS: u32 = 4_096;
/// Services, each with one counter.
pub const MAX_SERVICES: u32 = 4_096;
/// Interfaces that the devmap can redirect to.
pub const MAX_INTERFACES: u32 = 256;
/// Balancer prefixes that an agent accepts tunnelled packets from, per family.
pub const MAX_AGENT_PREFIXES: u32 = 256;
/// Addresses of a host that its agent takes tunnelled packets on.
pub const MAX_AGENT_ADDRESSES: u32 = 256;

/// Names of the maps, as they stand in the object file and under the pin directory.
pub mod map {
    /// `HASH<ServiceKey4, Service>`: exact and any-port services, and address markers.
    pub const SERVICES4: &str = "SERVICES4";
    /// `HASH<ServiceKey6, Service>`.
    pub const SERVICES6: &str = "SERVICES6";
    /// `LPM_TRIE<PrefixKey4, Service>`: services on a prefix of addresses.
    pub const PREFIXES4: &str = "PREFIXES4";
    /// `LPM_TRIE<PrefixKey6, Service>`.
    pub const PREFIXES6: &str = "PREFIXES6";
    /// `ARRAY_OF_MAPS<ARRAY<[Slot; SLOTS], 1>>`, indexed by [`super::Service::table`].
    pub const TABLES: &str = "TABLES";
    /// `ARRAY<Backend>`, indexed by [`super::BackendId`].
    pub const BACKENDS: &str = "BACKENDS";
    /// `DEVMAP_HASH<u32, u32>`: ifindex to itself.
    pub const DEVICES: &str = "DEVICES";
    /// `PERCPU_ARRAY<Counter>`, indexed by [`super::Service::id`].
    pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
    /// `PERCPU_ARRAY<Counter>`, indexed by [`super::BackendId`].
    pub const BACKEND_COUNTERS: &str = "BACKEND_COUNTERS";
    /// `PERCPU_ARRAY<Counter>`, indexed by [`crate::Reason`].
    pub const REASONS: &str = "REASONS";
    /// `ARRAY<State, 1>`: what the daemon must know about the maps before it adopts them.
    pub const STATE: &str = "STATE";
    /// `ARRAY<BackendRecord>`, indexed by [`super::BackendId`]: who owns which id.
    pub const BACKEND_RECORDS: &str = "BACKEND_RECORDS";
    /// `ARRAY<PoolRecord>`, indexed by [`super::Service::table`].
    pub const POOL_RECORDS: &str = "POOL_RECORDS";
    /// `ARRAY<ServiceRecord>`, indexed by [`super::Service::id`].
    pub const SERVICE_RECORDS: &str = "SERVICE_RECORDS";
    /// `LPM_TRIE<AgentKey4, u32>`: outer sources the agent accepts.
    pub const AGENT_SOURCES4: &str = "AGENT_SOURCES4";
    /// `LPM_TRIE<AgentKey6, u32>`.
    pub const AGENT_SOURCES6: &str = "AGENT_SOURCES6";
    /// `HASH<Address, u32>`: this host's addresses, which outer packets must be addressed to (IPv4 in word 0; the
    /// value is the family, 4 or 6).
    pub const AGENT_ADDRESSES: &str = "AGENT_ADDRESSES";
}

/// Names of the programs in the object file.
pub mod program {
    /// The balancer.
    pub const BALANCER: &str = "balancer";
    /// The balancer with a log line per decision (`xlb log-packets`).
    pub const BALANCER_LOG: &str = "balancer_log";
    /// The agent on a backend.
    pub const AGENT: &str = "agent";
    /// `XDP_PASS` and nothing else: the far end of a veth needs a program for `XDP_TX` to deliver.
    pub const PASS: &str = "pass";
}

/// Names and bits of the read-only globals, set before load. What a configuration does not use is a cleared bit, and
/// the verifier removes the code behind it.
///
/// In the object they must not start as zero, unless nothing else is a constant zero of that type: LLVM makes equal
/// constants one, and setting the global would then set a promoted `&0` elsewhere too (seen: a lookup by `&0` that
/// failed because `FEATURES` was its key).
pub mod global {
    /// `u64`: the key of the flow hash, equal on every balancer.
    pub const SEED: &str = "SEED";
    /// `u32`: the bits below.
    pub const FEATURES: &str = "FEATURES";
    /// `u32`: with [`super::program::BALANCER_LOG`], the service id whose packets are logged; `u32::MAX` for all.
    pub const LOG_SERVICE: &str = "LOG_SERVICE";
    /// `u32`: most log lines per second and CPU.
    pub const LOG_RATE: &str = "LOG_RATE";
    /// `u16`: the UDP port on which the agent takes GUE, host order.
    pub const AGENT_GUE_PORT: &str = "AGENT_GUE_PORT";

    /// There are services on IPv4 addresses.
    pub const IPV4: u32 = 1 << 0;
    /// There are services on IPv6 addresses.
    pub const IPV6: u32 = 1 << 1;
    /// There are any-port services.
    pub const ANY_PORT: u32 = 1 << 2;
    /// There are services on a prefix.
    pub const PREFIX: u32 = 1 << 3;
    /// There are services on a prefix with any port.
    pub const PREFIX_ANY_PORT: u32 = 1 << 4;
    /// A pool forwards with IPIP.
    pub const IPIP: u32 = 1 << 5;
    /// A pool forwards with GUE.
    pub const GUE: u32 = 1 << 6;
    /// A pool forwards by MAC rewrite.
    pub const L2: u32 = 1 << 7;
    /// A backend is this host.
    pub const LOCAL: u32 = 1 << 8;
    /// A backend's outer header is IPv4.
    pub const OUTER4: u32 = 1 << 9;
    /// A backend's outer header is IPv6.
    pub const OUTER6: u32 = 1 << 10;
    /// A backend may be behind another interface than the packet came in by.
    pub const REDIRECT: u32 = 1 << 11;
    /// A backend entry writes VLAN tags.
    pub const EGRESS_VLAN: u32 = 1 << 12;
    /// An outer source is drawn from a prefix.
    pub const DRAWN_SOURCE: u32 = 1 << 13;
    /// Every bit above: nothing is compiled out.
    pub const ALL: u32 = (1 << 14) - 1;
}

/// IANA protocol numbers that the packet path compares with.
pub mod protocol {
    /// IPv6 hop-by-hop options (RFC 8200, 4.3).
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP for IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP (RFC 2003).
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP (RFC 2473, RFC 4213).
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// ICMP for IPv6.
    pub const ICMPV6: u8 = 58;
    /// IPv6 destination options.
    pub const DESTINATION_OPTIONS: u8 = 60;
}

/// What an entry of a service map is for ([`ServiceKey4::kind`]).
pub mod key_kind {
    /// A service on one port, or, with port 0, on every port.
    pub const SERVICE: u8 = 0;
    /// "Some service of this protocol has this address": tells later fragments, which carry no port, from traffic
    /// that is none of ours. The port is 0; of the value only [`super::Service::id`] is meaningful (any one of them).
    pub const ADDRESS: u8 = 1;
}

/// Key of [`map::SERVICES4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey4 {
    /// The service's address.
    pub address: Be32,
    /// The port; 0 for an any-port service.
    pub port: Be16,
    /// [`protocol::TCP`] or [`protocol::UDP`].
    pub protocol: u8,
    /// One of [`key_kind`].
    pub kind: u8,
}

/// Key of [`map::SERVICES6`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey6 {
    /// The service's address.
    pub address: Address,
    /// The port; 0 for an any-port service.
    pub port: Be16,
    /// [`protocol::TCP`] or [`protocol::UDP`].
    pub protocol: u8,
    /// One of [`key_kind`].
    pub kind: u8,
}

/// Bits of a prefix key before the address: protocol, kind and port always match whole.
pub const PREFIX_KEY_HEAD_BITS: u32 = 32;

/// Data of [`map::PREFIXES4`]'s key; `prefix_len` counts [`PREFIX_KEY_HEAD_BITS`] and the prefix's own bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixKey4 {
    /// Bits that must match, host order, as `struct bpf_lpm_trie_key` has it.
    pub prefix_len: u32,
    /// [`protocol::TCP`] or [`protocol::UDP`].
    pub protocol: u8,
    /// One of [`key_kind`].
    pub kind: u8,
    /// The port; 0 for an any-port service.
    pub port: Be16,
    /// The prefix's first address.
    pub address: Be32,
}

/// Data of [`map::PREFIXES6`]'s key.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixKey6 {
    /// Bits that must match, host order.
    pub prefix_len: u32,
    /// [`protocol::TCP`] or [`protocol::UDP`].
    pub protocol: u8,
    /// One of [`key_kind`].
    pub kind: u8,
    /// The port; 0 for an any-port service.
    pub port: Be16,
    /// The prefix's first address.
    pub address: Address,
}

/// Value of the service maps.
///
/// The hash key of a service is a pair of masks, so that five-tuple, source address and source prefix are one path
/// without a branch: the flow hash covers `source & source_mask` and, under `tuple_mask`, everything else.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Index of the counter and of the record, below [`MAX_SERVICES`].
    pub id: u32,
    /// Index into [`map::TABLES`], below [`MAX_POOLS`].
    pub table: u32,
    /// Which bits of the client's address are hashed, in wire order; all ones for a five-tuple.
    pub source_mask: Address,
    /// All ones: destination address, both ports and the protocol are hashed too. Zero: they are not.
    pub tuple_mask: u32,
    /// None defined yet; zero.
    pub flags: u32,
}

/// A backend's id: an index into [`map::BACKENDS`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(u16);

impl BackendId {
    /// No backend: the slot's packets are dropped as [`crate::Reason::NoBackend`].
    pub const NONE: Self = Self(0);

    /// The id `id`, or `None` when it is not below [`MAX_BACKENDS`].
    #[inline(always)]
    pub const fn new(id: u32) -> Option<Self> {
        if id < MAX_BACKENDS {
            #[expect(clippy::cast_possible_truncation, reason = "below MAX_BACKENDS, which fits 15 bits")]
            Some(Self(id as u16))
        } else {
            None
        }
    }

    /// The index.
    #[inline(always)]
    pub const fn get(self) -> u32 {
        self.0 as u32
    }
}

/// One entry of a table: the current owner in bits 0-14, the one before in bits 15-29, and flags above.
///
/// A settled slot repeats `current` in `previous`.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slot(u32);

impl Slot {
    /// In place of an id: the slot belongs to no backend. The number of [`BackendId::NONE`].
    pub const NOBODY: u32 = BackendId::NONE.get();

    const ID_BITS: u32 = 15;
    const ID_MASK: u32 = (1 << Self::ID_BITS) - 1;

    /// A slot that belongs to `owner` and does not move.
    #[inline(always)]
    pub const fn settled(owner: BackendId) -> Self {
        Self(owner.get() | owner.get() << Self::ID_BITS)
    }

    /// The id of the backend that new flows go to.
    #[inline(always)]
    pub const fn current(self) -> u32 {
        self.0 & Self::ID_MASK
    }

    /// The id of the backend that owned the slot before.
    #[inline(always)]
    pub const fn previous(self) -> u32 {
        self.0 >> Self::ID_BITS & Self::ID_MASK
    }
}

impl core::fmt::Debug for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.current(), self.previous())
    }
}

/// How a packet reaches a backend ([`Egress::mode`]): the pool's forward mode and the family of the outer header.
pub mod mode {
    /// No usable backend: [`crate::Reason::NoBackend`].
    pub const NONE: u8 = 0;
    /// IPIP with an outer IPv4 header (RFC 2003, RFC 4213).
    pub const IPIP4: u8 = 1;
    /// IPIP with an outer IPv6 header (RFC 2473).
    pub const IPIP6: u8 = 2;
    /// GUE variant 0, no private data, in UDP over IPv4 (draft-ietf-intarea-gue).
    pub const GUE4: u8 = 3;
    /// GUE in UDP over IPv6.
    pub const GUE6: u8 = 4;
    /// The packet as it is, to the backend's MAC address.
    pub const L2: u8 = 5;
    /// This host is the backend: the packet as it is, to the local stack.
    pub const LOCAL: u8 = 6;
}

/// Bits of [`Egress::flags`].
pub mod egress_flag {
    /// GUE over IPv6: where the inner packet has no checksum to derive the outer one from, send zero (RFC 6935).
    pub const ZERO_CHECKSUM: u8 = 1 << 0;
}

/// A VLAN tag as it is written.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct VlanTag {
    /// Tag protocol id: 0x8100 (802.1Q) or 0x88a8 (802.1ad).
    pub tpid: Be16,
    /// Priority, drop eligibility and VLAN id.
    pub tci: Be16,
}

/// Everything that forwarding to one backend writes. Userspace resolves it; the packet path only copies.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Egress {
    /// The device that transmits: `XDP_TX` when it is the one the packet came in by, else `XDP_REDIRECT`.
    pub ifindex: u32,
    /// One of [`mode`].
    pub mode: u8,
    /// How many of `tags` are written, outermost first: 0 to 2.
    pub tag_count: u8,
    /// Bits of [`egress_flag`].
    pub flags: u8,
    /// How many low bits of `outer_source` are drawn by the flow's hash: 0 to 32.
    pub source_bits: u8,
    /// Largest IP packet, in bytes, outer header included, that the way to the backend takes.
    pub mtu: u16,
    /// GUE's destination port.
    pub gue_port: Be16,
    /// Next hop's MAC address.
    pub destination_mac: [u8; 6],
    /// The transmitting device's MAC address.
    pub source_mac: [u8; 6],
    /// Tags to write, outermost first.
    pub tags: [VlanTag; 2],
    /// Outer source address; IPv4 in word 0.
    pub outer_source: Address,
    /// Outer destination address, the backend's; IPv4 in word 0.
    pub outer_destination: Address,
    /// With an outer IPv4 header: the one's-complement sum, not folded, of every 16-bit word of it that does not
    /// differ from packet to packet (version, IHL, flags, TTL, source without drawn bits, destination), as the CPU
    /// loads them. [`Egress::outer4_sum`] computes it; zero with an outer IPv6 header.
    pub checksum: u32,
}

/// Entry of [`map::BACKENDS`].
///
/// Two copies and the index of the live one: an array value rewritten in place is read half old and half new. The
/// writer fills the idle copy, then flips `live`; before it fills that copy again a grace period passes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Backend {
    /// 0 or 1: which of `copies` counts. Written with one aligned store.
    pub live: u32,
    /// Goes up each time the id gets a new owner.
    pub epoch: u32,
    /// The live copy and the one before or to come.
    pub copies: [Egress; 2],
}

/// A counter of packets and of bytes (whole frames as they came in).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counter {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// [`map::STATE`]: what a daemon checks before it adopts pinned maps.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct State {
    /// [`ABI_VERSION`] of the writer.
    pub abi_version: u32,
    /// Bits of [`global`] that the program was loaded with.
    pub features: u32,
    /// Number of the applied configuration.
    pub generation: u64,
    /// Seed of the flow hash that the tables were used with.
    pub seed: u64,
}

/// Longest name of a pool, service or backend, in bytes.
pub const MAX_NAME: usize = 64;

/// A name, padded with zero bytes.
pub type Name = [u8; MAX_NAME];

/// [`map::BACKEND_RECORDS`]: who owns a backend id, and where its counter stood when it got it.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackendRecord {
    /// 0: the id is free. 1: it has an owner. 2: its owner is gone, the id rests until nothing names it.
    pub state: u32,
    /// The pool's table index.
    pub table: u32,
    /// The backend's address; IPv4 in word 0.
    pub address: Address,
    /// 4 or 6.
    pub family: u32,
    /// The backend's port; 0 where it is the service's.
    pub port: u32,
    /// The counter at the time the owner got the id: what it shows is the counter less this.
    pub base: Counter,
    /// What the owner had counted under earlier ids.
    pub carried: Counter,
    /// The backend's name.
    pub name: Name,
}

/// [`map::POOL_RECORDS`]: which pool has which table.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolRecord {
    /// 0: free. 1: in use.
    pub state: u32,
    /// Zero.
    pub _reserved: u32,
    /// The pool's name.
    pub name: Name,
}

/// [`map::SERVICE_RECORDS`]: which service has which id.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceRecord {
    /// 0: free. 1: in use.
    pub state: u32,
    /// Zero.
    pub _reserved: u32,
    /// The counter at the time the owner got the id.
    pub base: Counter,
    /// What the owner had counted under earlier ids.
    pub carried: Counter,
    /// The service's name.
    pub name: Name,
}

/// Key of [`map::AGENT_SOURCES4`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey4 {
    /// Bits that must match, host order.
    pub prefix_len: u32,
    /// The prefix's first address.
    pub address: Be32,
}

/// Key of [`map::AGENT_SOURCES6`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey6 {
    /// Bits that must match, host order.
    pub prefix_len: u32,
    /// The prefix's first address.
    pub address: Address,
}

const _: () = {
    assert!(size_of::<ServiceKey4>() == 8 && align_of::<ServiceKey4>() == 4);
    assert!(size_of::<ServiceKey6>() == 20);
    assert!(size_of::<PrefixKey4>() == 12);
    assert!(size_of::<PrefixKey6>() == 24);
    assert!(size_of::<Service>() == 32);
    assert!(size_of::<Slot>() == 4);
    assert!(size_of::<Egress>() == 68 && align_of::<Egress>() == 4);
    assert!(size_of::<Backend>() == 144);
    assert!(size_of::<Counter>() == 16);
    assert!(size_of::<State>() == 24);
    assert!(size_of::<BackendRecord>() == 128);
    assert!(size_of::<PoolRecord>() == 72);
    assert!(size_of::<ServiceRecord>() == 104);
    assert!(size_of::<AgentKey4>() == 8);
    assert!(size_of::<AgentKey6>() == 20);
    assert!(MAX_BACKENDS <= 1 << 15);
};

#[cfg(feature = "user")]
mod pod {
    use super::{
        AgentKey4, AgentKey6, Backend, BackendRecord, Counter, Egress, PoolRecord, PrefixKey4, PrefixKey6,
        Service, ServiceKey4, ServiceKey6, ServiceRecord, Slot, State,
    };
    use crate::wire::{Be16, Be32};

    macro_rules! pod {
        ($($name:ty),* $(,)?) => {
            $(
                // SAFETY: `repr(C)` or transparent over integers, without implicit padding (sizes asserted above).
                unsafe impl aya::Pod for $name {}
            )*
        };
    }

    pod!(
        AgentKey4,
        AgentKey6,
        Backend,
        BackendRecord,
        Be16,
        Be32,
        Counter,
        Egress,
        PoolRecord,
        PrefixKey4,
        PrefixKey6,
        Service,
        ServiceKey4,
        ServiceKey6,
        ServiceRecord,
        Slot,
        State,
    );
}
