//! Steps on images: what a step makes of an image, and which step takes it back.

use std::collections::BTreeMap;

use super::{Image, Presence, Step};

impl Image {
    /// Does a step to this image, as a data plane does it to the kernel.
    pub fn apply(&mut self, step: &Step) {
        match step {
            Step::Backend(id, egress) => put(&mut self.backends, *id, *egress),
            Step::Tables(tables) => {
                for (index, table) in tables {
                    put(&mut self.tables, *index, table.clone());
                }
            }
            Step::Service4(key, service) => put(&mut self.services4, *key, *service),
            Step::Service6(key, service) => put(&mut self.services6, *key, *service),
            Step::Prefix4(key, service) => put(&mut self.prefixes4, *key, *service),
            Step::Prefix6(key, service) => put(&mut self.prefixes6, *key, *service),
            Step::BackendRecord(id, record) => put(&mut self.backend_records, *id, *record),
            Step::PoolRecord(index, record) => put(&mut self.pool_records, *index, *record),
            Step::ServiceRecord(id, record) => put(&mut self.service_records, *id, *record),
            Step::Device(ifindex, Presence::Present) => {
                self.devices.insert(*ifindex);
            }
            Step::Device(ifindex, Presence::Absent) => {
                self.devices.remove(ifindex);
            }
            Step::Variant(variant) => self.variant = *variant,
            Step::GracePeriod => {}
            Step::Generation(generation) => self.generation = *generation,
        }
    }

    /// The step that makes of this image with `step` done to it this image again.
    #[must_use]
    pub fn inverse(&self, step: &Step) -> Step {
        match step {
            Step::Backend(id, _) => Step::Backend(*id, self.backends.get(id).copied()),
            Step::Tables(tables) => {
                let before = |(index, _): &(u32, _)| (*index, self.tables.get(index).cloned());
                Step::Tables(tables.iter().map(before).collect())
            }
            Step::Service4(key, _) => Step::Service4(*key, self.services4.get(key).copied()),
            Step::Service6(key, _) => Step::Service6(*key, self.services6.get(key).copied()),
            Step::Prefix4(key, _) => Step::Prefix4(*key, self.prefixes4.get(key).copied()),
            Step::Prefix6(key, _) => Step::Prefix6(*key, self.prefixes6.get(key).copied()),
            Step::BackendRecord(id, _) => Step::BackendRecord(*id, self.backend_records.get(id).copied()),
            Step::PoolRecord(index, _) => Step::PoolRecord(*index, self.pool_records.get(index).copied()),
            Step::ServiceRecord(id, _) => Step::ServiceRecord(*id, self.service_records.get(id).copied()),
            Step::Device(ifindex, _) => Step::Device(*ifindex, self.presence(*ifindex)),
            Step::Variant(_) => Step::Variant(self.variant),
            Step::GracePeriod => Step::GracePeriod,
            Step::Generation(_) => Step::Generation(self.generation),
        }
    }

    fn presence(&self, ifindex: u32) -> Presence {
        if self.devices.contains(&ifindex) { Presence::Present } else { Presence::Absent }
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => {
            map.insert(key, value);
        }
        None => {
            map.remove(&key);
        }
    }
}
