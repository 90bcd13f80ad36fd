//! Counters that go on where they were.
//!
//! The kernel counts by id and never resets; people read by name. A record says where the counter of its id stood when
//! its owner got it, and what the owner's name had counted before. So a name's count only goes up, whichever ids it has
//! had, and a daemon that starts anew finds everything in the pinned records.

use lb_common::abi::{BackendRecord, Counter, Name, PoolRecord};

use super::desired::OWNED;
use crate::dataplane::{Counters, Image};

/// What a name has counted, from its record and the raw counter of its id.
pub fn total(base: Counter, carried: Counter, raw: Counter) -> Counter {
    let one = |base: u64, carried: u64, raw: u64| raw.saturating_sub(base).saturating_add(carried);
    Counter {
        packets: one(base.packets, carried.packets, raw.packets),
        bytes: one(base.bytes, carried.bytes, raw.bytes),
    }
}

/// Whether [`settle`] has anything to do, that is whether counters must be read.
pub fn is_needed(image: &Image, previous: &Image) -> bool {
    image.backend_records.iter().any(|(id, record)| begins(record, previous.backend_records.get(id)))
        || image.service_records.keys().any(|id| !previous.service_records.contains_key(id))
}

/// Writes into the records of `image` where the counters of new owners begin.
pub fn settle(image: &mut Image, previous: &Image, counters: &Counters) {
    let raw = |id| counters.backends.get(id).copied().unwrap_or_default();
    for (id, record) in &mut image.backend_records {
        if !begins(record, previous.backend_records.get(id)) {
            continue;
        }
        // An index may have been another pool's before: that one's backends are no namesakes.
        let same_pool = pool_name(previous.pool_records.get(&record.table))
            == pool_name(image.pool_records.get(&record.table));
        let namesakes = previous
            .backend_records
            .iter()
            .filter(|(_, before)| same_pool && (before.table, before.name) == (record.table, record.name));
        record.carried = namesakes
            .map(|(id, before)| total(before.base, before.carried, raw(id)))
            .fold(Counter::default(), most);
        record.base = raw(id);
    }
    for (id, record) in &mut image.service_records {
        if !previous.service_records.contains_key(id) {
            record.base = counters.services.get(id).copied().unwrap_or_default();
        }
    }
}

/// Whether a record says something new about who is counted by its id.
fn begins(record: &BackendRecord, before: Option<&BackendRecord>) -> bool {
    let who = |record: &BackendRecord| (record.state, record.table, record.address, record.port, record.name);
    record.state == OWNED && before.is_none_or(|before| who(before) != who(record))
}

fn pool_name(record: Option<&PoolRecord>) -> Option<Name> {
    record.map(|record| record.name)
}

fn most(a: Counter, b: Counter) -> Counter {
    Counter { packets: a.packets.max(b.packets), bytes: a.bytes.max(b.bytes) }
}
