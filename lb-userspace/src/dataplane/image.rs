//! Reading the kernel back as an [`Image`].

use std::collections::{BTreeMap, BTreeSet};

use aya::Pod;
use lb_common::abi::{Backend, BackendId, BackendRecord, PoolRecord, ServiceRecord, State, map};

use super::bpffs::PinDir;
use super::maps::Maps;
use super::{Error, Image, Variant, backend_entry, bpf, maps, tables};

/// Everything that the pinned maps hold; what runs is the caller's to know.
pub fn read(pins: &PinDir, maps: &Maps, state: State, variant: Variant) -> Result<Image, Error> {
    let backends = occupied(pins, map::BACKENDS, |entry: &Backend| {
        !backend_entry::is_clear(&backend_entry::live(entry))
    })?;
    let backend_records = occupied(pins, map::BACKEND_RECORDS, |record: &BackendRecord| record.state != 0)?;
    Ok(Image {
        generation: state.generation,
        variant,
        services4: entries(pins, map::SERVICES4)?,
        services6: entries(pins, map::SERVICES6)?,
        prefixes4: entries(pins, map::PREFIXES4)?,
        prefixes6: entries(pins, map::PREFIXES6)?,
        tables: tables::read(&maps.tables)?,
        backends: by_id(backends, |entry| backend_entry::live(&entry)),
        backend_records: by_id(backend_records, |record| record),
        pool_records: occupied(pins, map::POOL_RECORDS, |record: &PoolRecord| record.state != 0)?,
        service_records: occupied(pins, map::SERVICE_RECORDS, |record: &ServiceRecord| record.state != 0)?,
        devices: devices(maps)?,
    })
}

/// Every entry of a map.
pub fn entries<K: Pod + Ord, V: Pod>(pins: &PinDir, name: &str) -> Result<BTreeMap<K, V>, Error> {
    let mut found = BTreeMap::new();
    bpf::each_entry(&maps::open(pins, name)?, |key, value| {
        found.insert(key, value);
    })
    .map_err(|source| Error::Kernel { what: format!("reading {name}"), source })?;
    Ok(found)
}

/// The entries of an array that hold something.
fn occupied<V: Pod>(
    pins: &PinDir,
    name: &str,
    holds: impl Fn(&V) -> bool,
) -> Result<BTreeMap<u32, V>, Error> {
    let mut found = BTreeMap::new();
    bpf::each_entry(&maps::open(pins, name)?, |index, value| {
        if holds(&value) {
            found.insert(index, value);
        }
    })
    .map_err(|source| Error::Kernel { what: format!("reading {name}"), source })?;
    Ok(found)
}

fn by_id<V, T>(entries: BTreeMap<u32, V>, value: impl Fn(V) -> T) -> BTreeMap<BackendId, T> {
    entries.into_iter().filter_map(|(id, entry)| Some((BackendId::new(id)?, value(entry)))).collect()
}

/// A devmap has no batches.
fn devices(maps: &Maps) -> Result<BTreeSet<u32>, Error> {
    maps.devices
        .keys()
        .collect::<Result<_, _>>()
        .map_err(|e| maps::failed(format!("reading {}", map::DEVICES), e))
}
