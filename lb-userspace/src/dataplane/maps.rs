//! The pinned maps with their types, and the check that they have the shape this build expects.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use aya::maps::xdp::DevMapHash;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapError, MapInfo};
use aya_obj::generated::bpf_map_type;
use lb_common::abi::{
    ABI_VERSION, Backend, BackendRecord, PoolRecord, Service, ServiceKey4, ServiceKey6, ServiceRecord, State,
    map,
};

use super::bpffs::PinDir;
use super::{Error, bpf, loader};

/// Data of an IPv4 prefix key after its length.
pub type PrefixData4 = [u8; 8];
/// Data of an IPv6 prefix key after its length.
pub type PrefixData6 = [u8; 20];

/// The balancer's maps.
pub struct Maps {
    pub services4: HashMap<MapData, ServiceKey4, Service>,
    pub services6: HashMap<MapData, ServiceKey6, Service>,
    pub prefixes4: LpmTrie<MapData, PrefixData4, Service>,
    pub prefixes6: LpmTrie<MapData, PrefixData6, Service>,
    pub tables: MapData,
    pub backends: Array<MapData, Backend>,
    pub devices: DevMapHash<MapData>,
    pub state: Array<MapData, State>,
    pub backend_records: Array<MapData, BackendRecord>,
    pub pool_records: Array<MapData, PoolRecord>,
    pub service_records: Array<MapData, ServiceRecord>,
}

impl Maps {
    /// Opens what is pinned.
    pub fn open(pins: &PinDir) -> Result<Self, Error> {
        Ok(Self {
            services4: typed(Map::HashMap(open(pins, map::SERVICES4)?), map::SERVICES4)?,
            services6: typed(Map::HashMap(open(pins, map::SERVICES6)?), map::SERVICES6)?,
            prefixes4: typed(Map::LpmTrie(open(pins, map::PREFIXES4)?), map::PREFIXES4)?,
            prefixes6: typed(Map::LpmTrie(open(pins, map::PREFIXES6)?), map::PREFIXES6)?,
            tables: open(pins, map::TABLES)?,
            backends: typed(Map::Array(open(pins, map::BACKENDS)?), map::BACKENDS)?,
            devices: typed(Map::DevMapHash(open(pins, map::DEVICES)?), map::DEVICES)?,
            state: typed(Map::Array(open(pins, map::STATE)?), map::STATE)?,
            backend_records: typed(Map::Array(open(pins, map::BACKEND_RECORDS)?), map::BACKEND_RECORDS)?,
            pool_records: typed(Map::Array(open(pins, map::POOL_RECORDS)?), map::POOL_RECORDS)?,
            service_records: typed(Map::Array(open(pins, map::SERVICE_RECORDS)?), map::SERVICE_RECORDS)?,
        })
    }
}

/// What two maps must have in common for one to stand in for the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

impl Shape {
    /// What the object asks for.
    pub fn wanted(map: &aya_obj::Map) -> Self {
        Self {
            kind: map.map_type(),
            key_size: map.key_size(),
            value_size: map.value_size(),
            max_entries: map.max_entries(),
            flags: map.map_flags(),
        }
        .without_kernel_choices()
    }

    /// What a pinned map has.
    fn found(info: &MapInfo) -> Result<Self, MapError> {
        Ok(Self {
            kind: info.map_type()? as u32,
            key_size: info.key_size(),
            value_size: info.value_size(),
            max_entries: info.max_entries(),
            flags: info.map_flags(),
        }
        .without_kernel_choices())
    }

    /// A devmap's value is 4 bytes, or 8 where the kernel knows devmap programs, and the kernel sets
    /// `BPF_F_RDONLY_PROG` on it: neither is the object's choice.
    fn without_kernel_choices(mut self) -> Self {
        if self.kind == bpf_map_type::BPF_MAP_TYPE_DEVMAP_HASH as u32 {
            self.value_size = 8;
            self.flags &= !RDONLY_PROG;
        }
        self
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, key_size, value_size, max_entries, flags } = self;
        write!(
            f,
            "type {kind}, key {key_size} B, value {value_size} B, {max_entries} entries, flags {flags:#x}"
        )
    }
}

/// What is pinned, as far as it matters before a program is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// No map, or the maps of a start that did not get as far as saying whose they are: they are empty.
    Nothing,
    /// Maps of this ABI, all in the right shape.
    Adoptable(State),
}

/// Compares what is pinned with what this build wants. aya opens a pinned map of any type and size as if it were the
/// right one.
pub fn check(pins: &PinDir, names: &[&str]) -> Result<Pinned, Error> {
    let state = if pins.map(map::STATE).exists() { abi_version(pins)? } else { 0 };
    if state != 0 && state != ABI_VERSION {
        let pin_dir = pins.path().display().to_string();
        return Err(Error::AbiMismatch { pin_dir, found: state, wanted: ABI_VERSION });
    }
    let wanted = loader::shapes()?;
    let mut missing = None;
    for name in names {
        if !pins.map(name).exists() {
            missing = Some(*name);
            continue;
        }
        let info = open(pins, name)?.info();
        let found =
            info.and_then(|info| Shape::found(&info)).map_err(|e| failed(format!("looking at {name}"), e))?;
        if let Some(wanted) = wanted.get(*name).filter(|wanted| **wanted != found) {
            return Err(Error::Shape {
                map: pins.map(name).display().to_string(),
                found: found.to_string(),
                wanted: wanted.to_string(),
            });
        }
    }
    match missing {
        // Every map is pinned before the first link is: this did not happen by itself.
        Some(name) if state != 0 && !pins.links()?.is_empty() => {
            Err(Error::Missing { map: pins.map(name).display().to_string() })
        }
        _ if state == 0 => Ok(Pinned::Nothing),
        Some(_) | None => {
            let states: Array<_, State> = typed(Map::Array(open(pins, map::STATE)?), map::STATE)?;
            states.get(&0, 0).map(Pinned::Adoptable).map_err(|e| failed("reading STATE".into(), e))
        }
    }
}

/// Opens a pinned map.
pub fn open(pins: &PinDir, name: &str) -> Result<MapData, Error> {
    MapData::from_pin(pins.map(name)).map_err(|e| failed(format!("opening {}", pins.map(name).display()), e))
}

/// A map as one of aya's types.
pub fn typed<T: TryFrom<Map, Error = MapError>>(map: Map, name: &str) -> Result<T, Error> {
    T::try_from(map).map_err(|e| failed(format!("the map {name}"), e))
}

/// Our error from aya's.
pub fn failed(what: String, error: MapError) -> Error {
    Error::Kernel { what, source: io_error(error) }
}

/// The kernel's answer in an error of aya's.
pub fn io_error(error: MapError) -> io::Error {
    match error {
        MapError::SyscallError(error) => error.io_error,
        MapError::CreateError { io_error, .. } | MapError::IoError(io_error) => io_error,
        other => io::Error::other(other),
    }
}

/// What came of writing `key`.
pub fn done(result: Result<(), MapError>, key: &impl std::fmt::Debug) -> Result<(), Error> {
    result.map_err(|e| failed(format!("writing {key:?}"), e))
}

/// What came of removing `key`. Removing what is not there has reached what was wanted.
pub fn gone(result: Result<(), MapError>, key: &impl std::fmt::Debug) -> Result<(), Error> {
    match result.map_err(io_error) {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => {
            Err(Error::Kernel { what: format!("removing {key:?}"), source: error })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A map's descriptor.
pub fn fd_of(map: &MapData) -> BorrowedFd<'_> {
    map.fd().as_fd()
}

const RDONLY_PROG: u32 = 1 << 7;

/// The version in a pinned STATE of any size: it is its first field in every ABI.
fn abi_version(pins: &PinDir) -> Result<u32, Error> {
    let mut version = 0;
    bpf::each_value_bytes(&open(pins, map::STATE)?, |bytes| {
        if bytes.len() >= size_of::<u32>() {
            version = bpf::pod(bytes);
        }
    })
    .map_err(|source| Error::Kernel {
        what: format!("reading {}", pins.map(map::STATE).display()),
        source,
    })?;
    Ok(version)
}
