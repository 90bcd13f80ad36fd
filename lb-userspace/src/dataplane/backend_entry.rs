//! Writing a backend entry so that no packet sees half of it.
//!
//! An entry holds two copies and says which one is live. The idle copy is written first, in one system call that leaves
//! the live copy's bytes as they are, and a second call changes only the selector. A packet that read the old selector
//! may still be copying the old copy; before that copy is filled again, a grace period must have passed. So an entry
//! that is written once costs no wait, and any number of entries that are written again share one.

use std::collections::BTreeMap;
use std::sync::atomic::{Ordering, fence};

use aya::maps::{Array, MapData};
use lb_common::abi::{Backend, BackendId, Egress};

use super::grace::Grace;
use super::{Error, maps};

/// When each entry was last flipped, in grace periods of this process.
#[derive(Debug, Default)]
pub struct Flips(BTreeMap<BackendId, u64>);

impl Flips {
    /// Makes `egress` what packets to the backend get; the default entry, which has no mode, clears it.
    pub fn write(
        &mut self,
        entries: &mut Array<MapData, Backend>,
        grace: &mut Grace,
        id: BackendId,
        egress: Egress,
    ) -> Result<(), Error> {
        let failed = |doing: &str, error| maps::failed(format!("{doing} backend entry {}", id.get()), error);
        let mut entry = entries.get(&id.get(), 0).map_err(|e| failed("reading", e))?;
        if live(&entry) == egress {
            return Ok(());
        }
        // An entry that this process never flipped may have been flipped by the one before it just now.
        if self.0.get(&id).copied().unwrap_or(0) >= grace.periods() {
            grace.wait()?;
        }
        let idle = 1 - entry.live % 2;
        if is_clear(&live(&entry)) {
            entry.epoch = entry.epoch.wrapping_add(1);
        }
        entry.copies[idle as usize] = egress;
        entries.set(id.get(), entry, 0).map_err(|e| failed("writing", e))?;
        // Nothing in the two calls orders their stores for another CPU.
        fence(Ordering::SeqCst);
        entry.live = idle;
        entries.set(id.get(), entry, 0).map_err(|e| failed("flipping", e))?;
        self.0.insert(id, grace.periods());
        Ok(())
    }
}

/// The copy of an entry that counts.
pub fn live(entry: &Backend) -> Egress {
    entry.copies[entry.live as usize % 2]
}

/// Whether an egress entry is none.
pub fn is_clear(egress: &Egress) -> bool {
    *egress == Egress::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selector_picks_the_copy() {
        let first = Egress { ifindex: 1, ..Egress::default() };
        let second = Egress { ifindex: 2, ..Egress::default() };
        let mut entry = Backend { live: 0, epoch: 0, copies: [first, second] };
        assert_eq!(live(&entry), first);
        entry.live = 1;
        assert_eq!(live(&entry), second);
    }
}
