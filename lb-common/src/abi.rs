//! Everything that stands in a BPF map or a read-only global.
//!
//! Types are `repr(C)` with explicit padding and hold no bool, enum or `Option`; sizes are asserted below. A change
//! to any layout or to the meaning of a field raises [`ABI_VERSION`]: the daemon adopts pinned maps only when the
//! version it finds in them is its own.

#![expect(
    clippy::pub_underscore_fields,
    reason = "explicit padding must be written by whoever makes the value"
)]

pub mod egress_flag;
pub mod global;
pub mod key_kind;
pub mod map;
pub mod mode;
pub mod program;
pub mod protocol;

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
