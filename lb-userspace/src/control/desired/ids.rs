//! Who has which number in the kernel.
//!
//! What has a number keeps it. What is new gets the lowest that nothing has had before in the running image: a number
//! that this very change gives up still stands in tables and in packets in flight. A backend's number rests after its
//! owner has gone, and the record remembers the owner: should it come back, it finds its number and its counter again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use lb_common::abi::{
    BackendId, BackendRecord, Counter, MAX_BACKENDS, MAX_POOLS, MAX_SERVICES, PoolRecord, ServiceRecord,
};
use lb_common::wire::{Address, address4, address6};

use super::{Error, padded, text};
use crate::config::Config;
use crate::config::model::{Backend, Name};
use crate::dataplane::Image;

/// [`BackendRecord::state`] of an owner that is there.
pub(in crate::control) const OWNED: u32 = 1;
/// [`BackendRecord::state`] of an owner that is gone.
pub(super) const RESTING: u32 = 2;

/// Everybody's number, and the records that keep them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    pub pools: BTreeMap<Name, u32>,
    pub services: BTreeMap<Name, u32>,
    pub backends: BTreeMap<(Name, Name), BackendId>,
    pub pool_records: BTreeMap<u32, PoolRecord>,
    pub service_records: BTreeMap<u32, ServiceRecord>,
    pub backend_records: BTreeMap<BackendId, BackendRecord>,
}

/// An address in the shape of the maps, and its family.
pub(super) fn wire(address: IpAddr) -> (Address, u32) {
    match address {
        IpAddr::V4(address) => (address4(address.octets()), 4),
        IpAddr::V6(address) => (address6(address.octets()), 6),
    }
}

/// Numbers everything in a configuration.
pub(super) fn assign(config: &Config, previous: &Image) -> Result<Ids, Error> {
    let mut ids = Ids::default();
    assign_pools(config, previous, &mut ids)?;
    assign_services(config, previous, &mut ids)?;
    assign_backends(config, previous, &mut ids)?;
    Ok(ids)
}

fn assign_pools(config: &Config, previous: &Image, ids: &mut Ids) -> Result<(), Error> {
    let known: BTreeMap<Name, u32> = previous
        .pool_records
        .iter()
        .filter_map(|(&index, record)| Some((text(&record.name)?, index)))
        .collect();
    // Newly taken indices are not in the previous image, so a table and its services never meet a stranger's.
    let mut free = (0..MAX_POOLS)
        .filter(|index| !previous.pool_records.contains_key(index) && !previous.tables.contains_key(index));
    for name in config.pools.keys() {
        let index = known
            .get(name)
            .copied()
            .or_else(|| free.next())
            .ok_or_else(|| Error::NoFreeId(format!("pool `{name}`")))?;
        ids.pools.insert(name.clone(), index);
        ids.pool_records.insert(index, PoolRecord { state: OWNED, _reserved: 0, name: padded(name) });
    }
    Ok(())
}

fn assign_services(config: &Config, previous: &Image, ids: &mut Ids) -> Result<(), Error> {
    let known: BTreeMap<Name, u32> =
        previous.service_records.iter().filter_map(|(&id, record)| Some((text(&record.name)?, id))).collect();
    let mut free = (0..MAX_SERVICES).filter(|id| !previous.service_records.contains_key(id));
    for name in config.services.keys() {
        let id = known
            .get(name)
            .copied()
            .or_else(|| free.next())
            .ok_or_else(|| Error::NoFreeId(format!("service `{name}`")))?;
        let fresh = ServiceRecord {
            state: OWNED,
            _reserved: 0,
            base: Counter::default(),
            carried: Counter::default(),
            name: padded(name),
        };
        ids.services.insert(name.clone(), id);
        ids.service_records.insert(id, previous.service_records.get(&id).copied().unwrap_or(fresh));
    }
    Ok(())
}

/// What makes a backend the same one: its table, address, family and port.
type Owner = (u32, Address, u32, u32);

fn owner(record: &BackendRecord) -> Owner {
    (record.table, record.address, record.family, record.port)
}

fn assign_backends(config: &Config, previous: &Image, ids: &mut Ids) -> Result<(), Error> {
    let mut known: BTreeMap<Owner, BackendId> = BTreeMap::new();
    for (&id, record) in &previous.backend_records {
        // A table index that this change gives to a new pool brings none of the old pool's owners with it.
        let same_pool = ids.pool_records.get(&record.table).map(|pool| pool.name)
            == previous.pool_records.get(&record.table).map(|pool| pool.name);
        let taken_over = ids.pool_records.contains_key(&record.table) && !same_pool;
        if taken_over {
            continue;
        }
        ids.backend_records.insert(id, BackendRecord { state: RESTING, ..*record });
        let first = !known.contains_key(&owner(record));
        if first || record.state == OWNED {
            known.insert(owner(record), id);
        }
    }

    let mut new = Vec::new();
    for (pool, name, backend) in backends(config) {
        let record = fresh(ids.pools[pool], name, backend);
        if let Some(&id) = known.get(&owner(&record)) {
            let kept = previous.backend_records[&id];
            take(ids, pool, name, id, BackendRecord { state: OWNED, name: record.name, ..kept });
        } else {
            new.push((pool, name, record));
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    let mut free = free_backends(previous, ids).into_iter();
    for (pool, name, record) in new {
        let id = free.next().ok_or_else(|| Error::NoFreeId(format!("backend `{name}` of pool `{pool}`")))?;
        take(ids, pool, name, id, record);
    }
    Ok(())
}

fn take(ids: &mut Ids, pool: &Name, name: &Name, id: BackendId, record: BackendRecord) {
    ids.backends.insert((pool.clone(), name.clone()), id);
    ids.backend_records.insert(id, record);
}

/// Numbers for new backends: first, from the lowest, those that nobody has had, then those that rest.
fn free_backends(previous: &Image, ids: &Ids) -> Vec<BackendId> {
    let named: BTreeSet<BackendId> =
        previous.tables.values().flat_map(|table| table.shares().into_keys()).collect();
    let unnamed =
        |id: &BackendId| *id != BackendId::NONE && !named.contains(id) && !previous.backends.contains_key(id);
    let all = || (0..MAX_BACKENDS).filter_map(BackendId::new).filter(unnamed);
    let never = all().filter(|id| !previous.backend_records.contains_key(id));
    let rests = |id: &BackendId| {
        previous.backend_records.get(id).is_some_and(|record| record.state == RESTING)
            && ids.backend_records.get(id).is_none_or(|record| record.state == RESTING)
    };
    never.chain(all().filter(rests)).collect()
}

fn fresh(table: u32, name: &Name, backend: &Backend) -> BackendRecord {
    let (address, family) = wire(backend.address);
    BackendRecord {
        state: OWNED,
        table,
        address,
        family,
        port: backend.port.map_or(0, u32::from),
        base: Counter::default(),
        carried: Counter::default(),
        name: padded(name),
    }
}

fn backends(config: &Config) -> impl Iterator<Item = (&Name, &Name, &Backend)> {
    config.pools.iter().flat_map(|(pool, settings)| {
        settings.backends.iter().map(move |(name, backend)| (pool, name, backend))
    })
}
