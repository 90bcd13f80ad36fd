//! Counters, summed over CPUs.

use std::collections::BTreeMap;

use aya::maps::MapData;
use lb_common::abi::{BackendId, Counter, map};

use super::bpffs::PinDir;
use super::{Counters, Error, bpf, maps};

/// All of the balancer's counters.
pub fn read(pins: &PinDir) -> Result<Counters, Error> {
    let backends = sums(pins, map::BACKEND_COUNTERS)?;
    Ok(Counters {
        services: sums(pins, map::SERVICE_COUNTERS)?,
        backends: backends.into_iter().filter_map(|(id, sum)| Some((BackendId::new(id)?, sum))).collect(),
        reasons: reasons(pins)?,
    })
}

/// By the number of the reason, those that never happened included.
pub fn reasons(pins: &PinDir) -> Result<Vec<Counter>, Error> {
    reasons_in(&maps::open(pins, map::REASONS)?)
}

/// The same from the map itself.
pub fn reasons_in(reasons: &MapData) -> Result<Vec<Counter>, Error> {
    let counted = sums_in(reasons, map::REASONS)?;
    Ok((0..lb_common::reason::REASONS)
        .map(|reason| counted.get(&reason).copied().unwrap_or_default())
        .collect())
}

/// The sum of each counter that has counted anything.
fn sums(pins: &PinDir, name: &str) -> Result<BTreeMap<u32, Counter>, Error> {
    sums_in(&maps::open(pins, name)?, name)
}

fn sums_in(map: &MapData, name: &str) -> Result<BTreeMap<u32, Counter>, Error> {
    let mut sums: BTreeMap<u32, Counter> = BTreeMap::new();
    bpf::each_entry(map, |index: u32, one: Counter| {
        if one.packets != 0 {
            let sum = sums.entry(index).or_default();
            sum.packets = sum.packets.wrapping_add(one.packets);
            sum.bytes = sum.bytes.wrapping_add(one.bytes);
        }
    })
    .map_err(|source| Error::Kernel { what: format!("reading {name}"), source })?;
    Ok(sums)
}
