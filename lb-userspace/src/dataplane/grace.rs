//! Waiting until no packet is being looked at that was picked up before.
//!
//! An XDP program runs inside one RCU read-side section, so `synchronize_rcu()` is that wait, and userspace gets one by
//! updating a map of maps: since Linux 4.19 (1ae80cf31938) that system call returns only after a grace period, and the
//! kernel keeps it so for exactly this use. `membarrier(MEMBARRIER_CMD_GLOBAL)` would be the obvious call, but it returns
//! without waiting on a machine with one CPU and is refused where `nohz_full` is set.

use aya::maps::MapData;
use aya_obj::generated::bpf_map_type;

use super::{Error, bpf, maps};

/// A map of maps of our own, for the wait alone.
pub struct Grace {
    outer: MapData,
    inner: MapData,
    /// How many waits are over.
    periods: u64,
}

impl Grace {
    /// Makes the maps.
    pub fn new() -> Result<Self, Error> {
        let what = "making a map to wait for grace periods with";
        let array = bpf_map_type::BPF_MAP_TYPE_ARRAY as u32;
        let inner = MapData::create(aya_obj::Map::new_from_params(array, 4, 4, 1, 0), "xlb_grace", None)
            .map_err(|e| maps::failed(what.into(), e))?;
        let outer =
            bpf::create_outer(&inner).map_err(|source| Error::Kernel { what: what.into(), source })?;
        let outer = MapData::from_fd(outer).map_err(|e| maps::failed(what.into(), e))?;
        Ok(Self { outer, inner, periods: 0 })
    }

    /// Returns when every packet that was in flight at the call is done with.
    pub fn wait(&mut self) -> Result<(), Error> {
        bpf::set_inner(&self.outer, 0, maps::fd_of(&self.inner))
            .map_err(|source| Error::Kernel { what: "waiting for packets in flight".into(), source })?;
        self.periods += 1;
        Ok(())
    }

    /// How many waits are over: something done at `n` has been seen by every packet once this is more than `n`.
    pub fn periods(&self) -> u64 {
        self.periods
    }
}
