//! Keeps the neighbours that packets are handed to resolved.
//!
//! XDP sends without asking the kernel's neighbour table, so no traffic of ours keeps an entry fresh or notices that a
//! MAC address changed. From 5.16 on the kernel does it for entries marked `managed`; older ones ignore the mark, and
//! the same request, repeated, serves as the probe.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Error;
use super::network::{Neighbour, NeighbourKey, NeighbourState, Network, Upkeep};
use super::requests::{Change, ORIGIN, Requests};

#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// `None` until somebody said whose next hops are to be kept.
    backends: Option<BTreeSet<IpAddr>>,
    kept: BTreeMap<NeighbourKey, Hold>,
}

/// What was done to keep a neighbour, and so what is undone afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// The entry is ours.
    Made,
    /// The entry was there; we had it marked.
    Marked,
    /// The entry keeps itself (permanent, or managed by somebody else): nothing was done.
    Left,
}

/// Whose loss a neighbour entry is that the kernel dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was kept.
    Ours,
    /// It was not.
    Other,
}

impl Keeper {
    /// Says whose next hops are to be kept.
    pub(super) fn want(&mut self, backends: BTreeSet<IpAddr>) {
        self.backends = Some(backends);
    }

    /// The kernel dropped an entry: one that was kept is asked for again by the next [`Keeper::reconcile`].
    pub(super) fn lost(&mut self, key: NeighbourKey) -> Loss {
        if self.kept.remove(&key).is_some() { Loss::Ours } else { Loss::Other }
    }

    /// Holds what is newly wanted, lets go of what is not, entries of an earlier daemon that was killed included.
    pub(super) async fn reconcile(&mut self, network: &Network, requests: &Requests) {
        let Some(backends) = &self.backends else { return };
        let wanted: BTreeSet<NeighbourKey> =
            backends.iter().flat_map(|&backend| network.next_hops(backend)).collect();
        self.take_over(network);
        let unwanted: Vec<NeighbourKey> =
            self.kept.keys().filter(|key| !wanted.contains(key)).copied().collect();
        for key in unwanted {
            self.release(key, network, requests).await;
        }
        for key in wanted {
            if !self.kept.contains_key(&key) {
                self.hold(key, network, requests).await;
            }
        }
    }

    /// Asks again for what is neither managed nor fixed by now; on kernels without managed entries this is the probe.
    pub(super) async fn renew(&mut self, network: &Network, requests: &Requests) {
        let keys: Vec<NeighbourKey> = self.kept.keys().copied().collect();
        for key in keys {
            if !network.neighbour(key).is_some_and(cared_for) {
                self.hold(key, network, requests).await;
            }
        }
    }

    /// Undoes everything.
    pub(super) async fn release_all(&mut self, network: &Network, requests: &Requests) {
        self.take_over(network);
        while let Some((&key, _)) = self.kept.first_key_value() {
            self.release(key, network, requests).await;
        }
    }

    fn take_over(&mut self, network: &Network) {
        for (&key, _) in network.neighbours().filter(|(_, found)| found.origin == ORIGIN) {
            self.kept.entry(key).or_insert(Hold::Made);
        }
    }

    async fn hold(&mut self, key: NeighbourKey, network: &Network, requests: &Requests) {
        if network.neighbour(key).is_some_and(cared_for) {
            self.kept.insert(key, Hold::Left);
            return;
        }
        let before = self.kept.get(&key).copied();
        match requests.change(key, Change::Make).await {
            Ok(()) => {
                self.kept.insert(key, Hold::Made);
            }
            Err(error) if code(&error) == Some(libc::EEXIST) => {
                match requests.change(key, Change::Keep).await {
                    Ok(()) => {
                        let hold = if before == Some(Hold::Made) { Hold::Made } else { Hold::Marked };
                        self.kept.insert(key, hold);
                    }
                    Err(error) => self.failed(key, &error),
                }
            }
            Err(error) => self.failed(key, &error),
        }
    }

    async fn release(&mut self, key: NeighbourKey, network: &Network, requests: &Requests) {
        let ours = network.neighbour(key).is_some_and(|found| found.origin == ORIGIN);
        let change = match self.kept.remove(&key) {
            Some(_) if ours => Change::Remove,
            Some(Hold::Made) => Change::Remove,
            Some(Hold::Marked) => Change::LetGo,
            Some(Hold::Left) | None => return,
        };
        if let Err(error) = requests.change(key, change).await
            // It went by itself, with its interface perhaps.
            && !matches!(code(&error), Some(libc::ENOENT | libc::ENODEV))
        {
            tracing::warn!(neighbour = %key.1, ifindex = key.0, %error, "cannot let go of a neighbour entry");
        }
    }

    fn failed(&mut self, key: NeighbourKey, error: &Error) {
        // Its interface may be going down right now; the change that says so brings us back here.
        tracing::debug!(neighbour = %key.1, ifindex = key.0, %error, "cannot keep a neighbour resolved");
        self.kept.remove(&key);
    }
}

fn cared_for(found: &Neighbour) -> bool {
    found.upkeep == Upkeep::Managed || found.state == NeighbourState::Fixed
}

fn code(error: &Error) -> Option<i32> {
    match error {
        Error::Refused { source, .. } => source.raw_os_error(),
        Error::Open(_) | Error::Cut { .. } | Error::Lost { .. } => None,
    }
}
