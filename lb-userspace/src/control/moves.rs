//! Which slots a change moved, by name.

use std::collections::BTreeMap;

use lb_common::abi::BackendId;

use super::desired::text;
use super::view::{Move, Moved};
use crate::config::model::Name;
use crate::dataplane::Image;

/// Slots that changed owner in the pools that both images have.
pub fn moved(from: &Image, to: &Image) -> Vec<Moved> {
    let mut all = Vec::new();
    for (index, table) in &to.tables {
        let (Some(before), Some(record)) = (from.tables.get(index), to.pool_records.get(index)) else {
            continue;
        };
        let Some(pool) = text(&record.name).filter(|_| before != table) else { continue };
        let moves: BTreeMap<_, u32> = before.moves(table);
        let named =
            |image: &Image, id: BackendId| -> Option<Name> { text(&image.backend_records.get(&id)?.name) };
        let moves: Vec<Move> = moves
            .into_iter()
            .map(|((old, new), slots)| Move { from: named(from, old), to: named(to, new), slots })
            .collect();
        all.push(Moved { pool, slots: moves.iter().map(|m| m.slots).sum(), moves });
    }
    all.sort_by(|a, b| a.pool.cmp(&b.pool));
    all
}
