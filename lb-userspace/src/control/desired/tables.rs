//! Which backends share a pool's table.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Input;
use super::ids::Ids;
use crate::dataplane::Image;
use crate::table::{Member, Table, maglev, rebalance};

/// The members that each table was made for, by table index.
pub type Members = BTreeMap<u32, Vec<Member>>;

/// Fills the image's tables. Backends without an egress entry get no slots.
pub(super) fn tables(input: &Input<'_>, ids: &Ids, image: &mut Image, warnings: &mut Vec<String>) -> Members {
    let mut all = Members::new();
    for (name, pool) in &input.config.pools {
        let index = ids.pools[name];
        let members: Vec<Member> = pool
            .backends
            .iter()
            .map(|(backend, settings)| Member {
                id: ids.backends[&(name.clone(), backend.clone())],
                address: settings.address,
                port: settings.port.unwrap_or(0),
                weight: u32::from(settings.weight),
            })
            .filter(|member| image.backends.contains_key(&member.id))
            .collect();
        if members.iter().all(|member| member.weight == 0) {
            warnings
                .push(format!("pool `{name}` has no usable backend: its packets are dropped (no_backend)"));
        }
        let running = input.previous.tables.get(&index);
        let table = match running {
            Some(running) if input.members.get(&index) == Some(&members) => running.clone(),
            Some(running) if pool.stable => keep(running, rebalance(running, &members)),
            Some(running) => keep(running, maglev(&members)),
            None => Arc::new(maglev(&members)),
        };
        image.tables.insert(index, table);
        all.insert(index, members);
    }
    all
}

/// An equal table is the same table: nothing to write.
fn keep(running: &Arc<Table>, next: Table) -> Arc<Table> {
    if **running == next { running.clone() } else { Arc::new(next) }
}
