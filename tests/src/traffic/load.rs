//! Requests without end: what a change, a crash or a restart must not disturb.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use futures_util::future::join_all;

use super::client::{Failure, Served, who};
use crate::lab::Namespace;

/// Clients that ask one after the other, each on a new connection, until stopped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What a load has seen.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers by backend.
    pub served: BTreeMap<String, u64>,
    /// Requests that failed.
    pub failures: Vec<Failure>,
}

impl Tally {
    /// How many requests were answered.
    pub fn answered(&self) -> u64 {
        self.served.values().sum()
    }

    fn add(&mut self, outcome: Result<Served, Failure>) {
        match outcome {
            Ok(served) => *self.served.entry(served.by).or_default() += 1,
            Err(failure) => self.failures.push(failure),
        }
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    tally: Mutex<Tally>,
}

impl Load {
    /// A request that takes longer has failed.
    const WITHIN: Duration = Duration::from_secs(5);
    /// Between two requests of one client: two cores serve everybody.
    const REST: Duration = Duration::from_millis(2);

    /// Starts `clients` clients in `namespace`; they take the targets in turn.
    pub fn start(namespace: &Namespace, targets: &[SocketAddr], clients: usize) -> Result<Self> {
        let shared = Arc::new(Shared::default());
        let (targets, seen) = (targets.to_vec(), shared.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = namespace.spawn("load", move || {
            runtime.block_on(join_all((0..clients).map(|first| run(&targets, first, &seen))));
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until `more` further requests were answered; false when that did not happen before the deadline.
    pub fn wait_for(&self, more: u64, deadline: Duration) -> bool {
        let goal = self.answered() + more;
        crate::eventually(deadline, || self.answered() >= goal)
    }

    /// Lets requests under way end and says what became of all.
    pub fn stop(mut self) -> Tally {
        self.end();
        self.shared.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been printed.
            drop(thread.join());
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

async fn run(targets: &[SocketAddr], first: usize, shared: &Shared) {
    for &target in targets.iter().cycle().skip(first) {
        if shared.stop.load(Ordering::Relaxed) {
            return;
        }
        let outcome = who(target, Load::WITHIN).await;
        if outcome.is_ok() {
            shared.answered.fetch_add(1, Ordering::Relaxed);
        }
        shared.tally.lock().unwrap_or_else(PoisonError::into_inner).add(outcome);
        tokio::time::sleep(Load::REST).await;
    }
}
