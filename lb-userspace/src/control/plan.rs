//! From one image to another, in an order in which every moment is right.
//!
//! What is added goes bottom up: records, devices, backend entries, tables, services; so nothing ever names what is
//! not there yet. What is removed goes top down, with a grace period before anything that a packet in flight may still
//! look at is taken away. The generation is written last: until then the change is not complete.

use std::collections::BTreeMap;

use lb_common::abi::BackendRecord;

use crate::dataplane::{Image, Presence, Step, Variant};

/// The steps from `from` to `to`; none when they are equal.
pub fn plan(from: &Image, to: &Image) -> Vec<Step> {
    let mut steps = Vec::new();
    // Until the last step both the old and the new entries may be met, so the program must know both.
    let both = Variant { features: from.variant.features | to.variant.features, ..to.variant };
    let widened = both.features != from.variant.features;
    if widened {
        steps.push(Step::Variant(both));
    }
    add(from, to, &mut steps);
    remove(from, to, &mut steps);
    if to.variant != if widened { both } else { from.variant } {
        steps.push(Step::Variant(to.variant));
    }
    if from.generation != to.generation {
        steps.push(Step::Generation(to.generation));
    }
    steps
}

/// The steps that take back `done`, which began at `from`; the last done is the first taken back.
pub fn undo(from: &Image, done: &[Step]) -> Vec<Step> {
    let mut image = from.clone();
    let mut inverses = Vec::with_capacity(done.len());
    for step in done {
        // In reverse order the grace period comes after the tables, before what they named is cleared.
        if matches!(step, Step::Tables(_)) {
            inverses.push(Step::GracePeriod);
        }
        inverses.push(image.inverse(step));
        image.apply(step);
    }
    inverses.reverse();
    inverses
}

/// A record of this state belongs to an owner that is gone.
const RESTING: u32 = 2;

fn add(from: &Image, to: &Image, steps: &mut Vec<Step>) {
    written(&from.pool_records, &to.pool_records, steps, Step::PoolRecord);
    written(&from.service_records, &to.service_records, steps, Step::ServiceRecord);
    let owned = to.backend_records.iter().filter(|(_, record)| record.state != RESTING);
    let owned: BTreeMap<_, BackendRecord> = owned.map(|(&id, &record)| (id, record)).collect();
    written(&from.backend_records, &owned, steps, Step::BackendRecord);
    steps.extend(to.devices.difference(&from.devices).map(|&d| Step::Device(d, Presence::Present)));
    written(&from.backends, &to.backends, steps, Step::Backend);

    let mut tables = Vec::new();
    written(&from.tables, &to.tables, &mut tables, |index, table| (index, table));
    if !tables.is_empty() {
        steps.push(Step::Tables(tables));
    }
    written(&from.services4, &to.services4, steps, Step::Service4);
    written(&from.services6, &to.services6, steps, Step::Service6);
    written(&from.prefixes4, &to.prefixes4, steps, Step::Prefix4);
    written(&from.prefixes6, &to.prefixes6, steps, Step::Prefix6);
}

fn remove(from: &Image, to: &Image, steps: &mut Vec<Step>) {
    gone(&from.prefixes6, &to.prefixes6, steps, Step::Prefix6);
    gone(&from.prefixes4, &to.prefixes4, steps, Step::Prefix4);
    gone(&from.services6, &to.services6, steps, Step::Service6);
    gone(&from.services4, &to.services4, steps, Step::Service4);
    let mut tables = Vec::new();
    gone(&from.tables, &to.tables, &mut tables, |index, table| (index, table));
    if !tables.is_empty() {
        steps.push(Step::Tables(tables));
    }

    let mut last = Vec::new();
    gone(&from.backends, &to.backends, &mut last, Step::Backend);
    last.extend(from.devices.difference(&to.devices).map(|&d| Step::Device(d, Presence::Absent)));
    let resting = to.backend_records.iter().filter(|(_, record)| record.state == RESTING);
    let resting: BTreeMap<_, BackendRecord> = resting.map(|(&id, &record)| (id, record)).collect();
    written(&from.backend_records, &resting, &mut last, Step::BackendRecord);
    gone(&from.backend_records, &to.backend_records, &mut last, Step::BackendRecord);
    gone(&from.service_records, &to.service_records, &mut last, Step::ServiceRecord);
    gone(&from.pool_records, &to.pool_records, &mut last, Step::PoolRecord);
    if !last.is_empty() {
        steps.push(Step::GracePeriod);
        steps.append(&mut last);
    }
}

/// A step for each entry of `to` that `from` has not, or has otherwise.
fn written<K: Ord + Copy, V: PartialEq + Clone, S>(
    from: &BTreeMap<K, V>,
    to: &BTreeMap<K, V>,
    steps: &mut Vec<S>,
    step: impl Fn(K, Option<V>) -> S,
) {
    let differs = to.iter().filter(|&(key, value)| from.get(key) != Some(value));
    steps.extend(differs.map(|(&key, value)| step(key, Some(value.clone()))));
}

/// A step for each entry of `from` that `to` has not.
fn gone<K: Ord + Copy, V, S>(
    from: &BTreeMap<K, V>,
    to: &BTreeMap<K, V>,
    steps: &mut Vec<S>,
    step: impl Fn(K, Option<V>) -> S,
) {
    let missing = from.keys().filter(|key| !to.contains_key(key));
    steps.extend(missing.map(|&key| step(key, None)));
}
