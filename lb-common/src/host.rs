//! Frame and tables in ordinary memory: the packet logic runs on the host over them, as it runs in the kernel over the
//! XDP buffer and the maps.
//!
//! Tests give the same packets and the same tables to both and compare verdict, reason and bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::vec;
use std::vec::Vec;

use crate::Reason;
use crate::abi::{
    AgentKey4, AgentKey6, Egress, PREFIX_KEY_HEAD_BITS, PrefixKey4, PrefixKey6, SLOTS, Service, ServiceKey4,
    ServiceKey6, Slot,
};
use crate::checksum;
use crate::cursor::Cursor;
use crate::frame::Frame;
use crate::tables::{AgentTables, Tables};
use crate::wire::{Address, Be16, Be32};

/// What the kernel leaves in front of a frame for outer headers: 256 bytes, less what it keeps there itself.
pub const HEADROOM: usize = 256 - 40;

/// A frame with room in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFrame {
    memory: Vec<u8>,
    start: usize,
}

impl HostFrame {
    /// A frame of these bytes, with [`HEADROOM`].
    pub fn new(bytes: &[u8]) -> Self {
        Self::with_headroom(bytes, HEADROOM)
    }

    /// A frame of these bytes, with so much room in front of it.
    pub fn with_headroom(bytes: &[u8], headroom: usize) -> Self {
        let mut memory = vec![0; headroom];
        memory.extend_from_slice(bytes);
        Self { memory, start: headroom }
    }

    /// The frame as it is now.
    pub fn as_bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }
}

impl Frame for HostFrame {
    fn cursor(&mut self) -> Cursor<'_> {
        Cursor::over(&mut self.memory[self.start..])
    }

    fn bytes(&self) -> u32 {
        u32::try_from(self.memory.len() - self.start).unwrap_or(u32::MAX)
    }

    fn move_start(&mut self, bytes: i32) -> Result<(), Reason> {
        let start = self.start.checked_add_signed(bytes as isize).ok_or(Reason::NoHeadroom)?;
        if start + 14 > self.memory.len() {
            return Err(Reason::NoHeadroom);
        }
        self.start = start;
        Ok(())
    }

    fn cut_end(&mut self, bytes: u32) -> Result<(), Reason> {
        let end = self.memory.len().checked_sub(bytes as usize).ok_or(Reason::NoHeadroom)?;
        if end < self.start + 14 {
            return Err(Reason::NoHeadroom);
        }
        self.memory.truncate(end);
        Ok(())
    }

    fn sum(&mut self, offset: u32) -> Result<u16, Reason> {
        let bytes = self.as_bytes().get(offset as usize..).ok_or(Reason::BadTable)?;
        let word = |pair: &[u8]| match *pair {
            [first, second] => u64::from(u16::from_ne_bytes([first, second])),
            [first] => u64::from(u16::from_ne_bytes([first, 0])),
            _ => 0,
        };
        Ok(checksum::fold_words(bytes.chunks(2).map(word).sum()))
    }
}

/// The balancer's maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostTables {
    /// Exact and any-port services, and address markers.
    pub services4: BTreeMap<ServiceKey4, Service>,
    /// The same on IPv6.
    pub services6: BTreeMap<ServiceKey6, Service>,
    /// Services on prefixes.
    pub prefixes4: BTreeMap<PrefixKey4, Service>,
    /// The same on IPv6.
    pub prefixes6: BTreeMap<PrefixKey6, Service>,
    /// Tables of [`SLOTS`] slots, by index.
    pub tables: BTreeMap<u32, Vec<Slot>>,
    /// Live egress entries. An id that has none is an entry that was never written: mode 0.
    pub backends: BTreeMap<u32, Egress>,
    /// Devices in the devmap.
    pub devices: BTreeSet<u32>,
}

impl Tables for HostTables {
    fn service4(&self, key: &ServiceKey4) -> Option<&Service> {
        self.services4.get(key)
    }

    fn service6(&self, key: &ServiceKey6) -> Option<&Service> {
        self.services6.get(key)
    }

    fn prefix4(&self, key: &PrefixKey4) -> Option<&Service> {
        longest(&self.prefixes4, |entry| {
            let same = (entry.protocol, entry.kind, entry.port) == (key.protocol, key.kind, key.port);
            (same && covers(&[entry.address], entry.prefix_len, &[key.address])).then_some(entry.prefix_len)
        })
    }

    fn prefix6(&self, key: &PrefixKey6) -> Option<&Service> {
        longest(&self.prefixes6, |entry| {
            let same = (entry.protocol, entry.kind, entry.port) == (key.protocol, key.kind, key.port);
            (same && covers(&entry.address, entry.prefix_len, &key.address)).then_some(entry.prefix_len)
        })
    }

    fn slot(&self, table: u32, hash: u32) -> Option<Slot> {
        self.tables.get(&table)?.get(hash as usize & (SLOTS - 1)).copied()
    }

    fn egress(&self, backend: u32) -> Option<&Egress> {
        const EMPTY: Egress = Egress {
            ifindex: 0,
            mode: 0,
            tag_count: 0,
            flags: 0,
            source_bits: 0,
            mtu: 0,
            gue_port: Be16::from_raw(0),
            destination_mac: [0; 6],
            source_mac: [0; 6],
            tags: [crate::abi::VlanTag { tpid: Be16::from_raw(0), tci: Be16::from_raw(0) }; 2],
            outer_source: [Be32::from_raw(0); 4],
            outer_destination: [Be32::from_raw(0); 4],
            checksum: 0,
        };
        if backend < crate::abi::MAX_BACKENDS {
            Some(self.backends.get(&backend).unwrap_or(&EMPTY))
        } else {
            None
        }
    }

    fn redirect(&self, ifindex: u32) -> Result<(), Reason> {
        if self.devices.contains(&ifindex) { Ok(()) } else { Err(Reason::BadTable) }
    }
}

/// The agent's maps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostAgentTables {
    /// This host's addresses and their families, 4 or 6.
    pub addresses: BTreeMap<Address, u32>,
    /// Outer sources that are accepted.
    pub sources4: BTreeSet<AgentKey4>,
    /// Outer sources that are accepted.
    pub sources6: BTreeSet<AgentKey6>,
}

impl AgentTables for HostAgentTables {
    fn own_address(&self, address: &Address) -> Option<u32> {
        self.addresses.get(address).copied()
    }

    fn source4(&self, key: &AgentKey4) -> Option<()> {
        let head = PREFIX_KEY_HEAD_BITS;
        self.sources4
            .iter()
            .any(|entry| covers(&[entry.address], entry.prefix_len + head, &[key.address]))
            .then_some(())
    }

    fn source6(&self, key: &AgentKey6) -> Option<()> {
        let head = PREFIX_KEY_HEAD_BITS;
        self.sources6
            .iter()
            .any(|entry| covers(&entry.address, entry.prefix_len + head, &key.address))
            .then_some(())
    }
}

/// The value of the entry for which `length` gives the highest number.
fn longest<K, V>(entries: &BTreeMap<K, V>, length: impl Fn(&K) -> Option<u32>) -> Option<&V> {
    entries
        .iter()
        .filter_map(|(key, value)| Some((length(key)?, value)))
        .max_by_key(|(length, _)| *length)
        .map(|(_, value)| value)
}

/// Whether an address is in a prefix, whose length counts [`PREFIX_KEY_HEAD_BITS`] too.
fn covers(prefix: &[Be32], prefix_len: u32, address: &[Be32]) -> bool {
    let bits = prefix_len.saturating_sub(PREFIX_KEY_HEAD_BITS);
    prefix.iter().zip(address).zip(0..).all(|((ours, theirs), word): (_, u32)| {
        let here = bits.saturating_sub(word * 32).min(32);
        let mask = u32::MAX.checked_shl(32 - here).unwrap_or(0);
        (ours.get() ^ theirs.get()) & mask == 0
    })
}
