//! Publishing and reading back tables.
//!
//! A table is replaced, never rewritten: a new inner map is filled where no packet sees it, and one pointer swap in the
//! outer map makes it the table. All tables of a step are swapped by one system call.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use aya::maps::MapData;
use lb_common::abi::{SLOTS, Slot};

use super::{Error, bpf, loader, maps};
use crate::table::Table;

/// Swaps tables in, or takes them out (with `None`). Either all of it happens or nothing.
pub fn publish(outer: &MapData, tables: &[(u32, Option<Arc<Table>>)]) -> Result<(), Error> {
    let definition = loader::table_definition()?;
    let new: Vec<(u32, MapData)> = tables
        .iter()
        .filter_map(|(index, table)| Some((*index, table.as_deref()?)))
        .map(|(index, table)| Ok((index, filled(&definition, index, table)?)))
        .collect::<Result<_, Error>>()?;
    let taken_out = tables.iter().filter(|(_, table)| table.is_none()).map(|(index, _)| *index);
    // Holds on to the tables that go, so that they can come back.
    let old = inner_maps(outer, |index| tables.iter().any(|(named, _)| *named == index))?;
    let undo = |indices: &mut dyn Iterator<Item = u32>| {
        for index in indices {
            let back = match old.get(&index) {
                Some(table) => bpf::set_inner(outer, index, maps::fd_of(table)),
                None => bpf::clear_inner(outer, index),
            };
            if let Err(error) = back {
                tracing::error!("table {index} could not be put back: {error}");
            }
        }
    };
    if let Err(failure) = swap_in(outer, &new) {
        undo(&mut new.iter().map(|(index, _)| *index).take(failure.written));
        return Err(failed("swapping tables".into(), failure.error));
    }
    for (done, index) in taken_out.clone().enumerate() {
        if let Err(error) = bpf::clear_inner(outer, index) {
            undo(&mut taken_out.take(done).chain(new.iter().map(|(index, _)| *index)));
            return Err(failed(format!("taking table {index} out"), error));
        }
    }
    Ok(())
}

/// Every table that the outer map holds.
pub fn read(outer: &MapData) -> Result<BTreeMap<u32, Arc<Table>>, Error> {
    let mut tables = BTreeMap::new();
    for (index, inner) in inner_maps(outer, |_| true)? {
        let mut slots = Vec::new();
        bpf::each_value_bytes(&inner, |bytes| {
            slots = bpf::pods::<Slot>(bytes);
        })
        .map_err(|e| failed(format!("reading table {index}"), e))?;
        let table = Table::from_slots(&slots).ok_or_else(|| {
            failed(format!("reading table {index}"), io::Error::other("it names backends that cannot be"))
        })?;
        tables.insert(index, Arc::new(table));
    }
    Ok(tables)
}

/// The inner maps at the wanted indices.
fn inner_maps(outer: &MapData, wanted: impl Fn(u32) -> bool) -> Result<BTreeMap<u32, MapData>, Error> {
    let mut ids = Vec::new();
    bpf::each_entry(outer, |index: u32, id: u32| ids.push((index, id)))
        .map_err(|e| failed("reading which tables there are".into(), e))?;
    ids.into_iter()
        .filter(|(index, id)| *id != 0 && wanted(*index))
        .map(|(index, id)| {
            let inner =
                MapData::from_id(id).map_err(|e| maps::failed(format!("opening table {index}"), e))?;
            Ok((index, inner))
        })
        .collect()
}

/// A new inner map that holds `table`.
fn filled(definition: &aya_obj::Map, index: u32, table: &Table) -> Result<MapData, Error> {
    let what = || format!("filling table {index}");
    let inner = MapData::create(definition.clone(), &format!("table.{index}"), None)
        .map_err(|e| maps::failed(what(), e))?;
    bpf::set::<[Slot; SLOTS]>(&inner, 0, &table.to_slots()).map_err(|e| failed(what(), e))?;
    Ok(inner)
}

fn swap_in(outer: &MapData, new: &[(u32, MapData)]) -> Result<(), bpf::BatchFailure> {
    if new.is_empty() {
        return Ok(());
    }
    let indices: Vec<u32> = new.iter().map(|(index, _)| *index).collect();
    let inner: Vec<RawFd> = new.iter().map(|(_, map)| maps::fd_of(map).as_raw_fd()).collect();
    match bpf::set_inner_batch(outer, &indices, &inner) {
        // Before Linux 5.19 there are no batches on a map of maps.
        Err(failure)
            if failure.written == 0
                && matches!(failure.error.raw_os_error(), Some(bpf::ENOTSUPP | libc::EINVAL)) =>
        {
            for (written, (index, map)) in new.iter().enumerate() {
                bpf::set_inner(outer, *index, maps::fd_of(map))
                    .map_err(|error| bpf::BatchFailure { written, error })?;
            }
            Ok(())
        }
        other => other,
    }
}

fn failed(what: String, source: io::Error) -> Error {
    Error::Kernel { what, source }
}
