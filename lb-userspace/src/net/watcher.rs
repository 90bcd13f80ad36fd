//! Follows the kernel's network over netlink and publishes it as snapshots.
//!
//! Links, addresses and neighbours follow their messages. Routes are dumped again whenever anything says that they may
//! have changed: the kernel removes routes without a word when an interface goes down, and its messages about one hop
//! of several cannot be told from those about the whole route. A dump is never wrong, and there are few of them, because
//! changes are gathered first and a dump that took long is not repeated soon.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::events::{Event, Events, Family, Gap};
use super::keep::{Keeper, Loss};
use super::network::Network;
use super::requests::Requests;

/// How the network is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Room for events that wait to be read, in bytes. When it is full the kernel drops, and everything is read anew.
    pub receive_buffer_bytes: usize,
    /// How long changes are gathered before they are published.
    pub gather: Duration,
    /// How often next hops that the kernel does not manage itself are probed.
    pub probe: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receive_buffer_bytes: 4 << 20,
            gather: Duration::from_millis(20),
            probe: Duration::from_secs(5),
        }
    }
}

/// The handle of a running watcher.
#[derive(Clone, Debug)]
pub struct Watcher {
    network: watch::Receiver<Arc<Network>>,
    backends: Arc<watch::Sender<BTreeSet<IpAddr>>>,
    resyncs: Arc<AtomicU64>,
}

impl Watcher {
    /// Reads the whole network once and returns a handle, and the future that follows it from then on. The future ends
    /// with `Ok` when `stop` is cancelled, after neighbour entries made for backends are removed, and with an error when
    /// the network can no longer be followed. It must run in the network namespace that it was started in.
    pub async fn start(
        settings: Settings,
        stop: CancellationToken,
    ) -> Result<(Self, impl Future<Output = Result<(), Error>> + Send + 'static), Error> {
        let source = Source::open(settings.receive_buffer_bytes)?;
        let network = source.requests.network().await?;
        let (publish, receiver) = watch::channel(Arc::new(network.clone()));
        let (backends, wanted) = watch::channel(BTreeSet::new());
        let resyncs = Arc::new(AtomicU64::new(0));
        let follower = Follower {
            settings,
            source,
            network,
            publish,
            wanted,
            keeper: Keeper::default(),
            pending: Pending::default(),
            resyncs: Arc::clone(&resyncs),
            resynced: None,
        };
        let watcher = Self { network: receiver, backends: Arc::new(backends), resyncs };
        Ok((watcher, follower.run(stop)))
    }

    /// The network as it is, and notice of every change.
    pub fn network(&self) -> watch::Receiver<Arc<Network>> {
        self.network.clone()
    }

    /// Says whose next hops are to be kept resolved from now on.
    pub fn keep(&self, backends: BTreeSet<IpAddr>) {
        self.backends.send_if_modified(|old| {
            let changed = *old != backends;
            *old = backends;
            changed
        });
    }

    /// How often everything had to be read anew since the start.
    pub fn resyncs(&self) -> u64 {
        self.resyncs.load(Ordering::Relaxed)
    }
}

/// Both sockets.
struct Source {
    events: Events,
    requests: Requests,
}

impl Source {
    /// Events first: what changes during a dump must not be missed.
    fn open(receive_buffer_bytes: usize) -> Result<Self, Error> {
        let events = Events::open(receive_buffer_bytes).map_err(Error::Open)?;
        Ok(Self { events, requests: Requests::open()? })
    }
}

struct Follower {
    settings: Settings,
    source: Source,
    network: Network,
    publish: watch::Sender<Arc<Network>>,
    wanted: watch::Receiver<BTreeSet<IpAddr>>,
    keeper: Keeper,
    pending: Pending,
    resyncs: Arc<AtomicU64>,
    resynced: Option<Instant>,
}

/// What the follower woke for.
enum Turn {
    Events(Result<Vec<Event>, Gap>),
    Wanted,
    Probe,
    Settle,
}

/// What changed and is not published yet.
#[derive(Default)]
struct Pending {
    /// When to publish; `None` when nothing changed.
    due: Option<Instant>,
    routes4: Freshness,
    routes6: Freshness,
    /// Which neighbours are on the way to backends. Their own states do not change that, and there are many of those.
    ways: Freshness,
    /// No route dump before this.
    rest: Option<Instant>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Freshness {
    #[default]
    Known,
    Stale,
}

/// Most tries to open and read anew before the watcher gives up.
const MOST_TRIES: u32 = 10;
/// Shortest pause between two of them.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// Longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A route dump is followed by a rest of this many times its length.
const REST: u32 = 10;

impl Follower {
    async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let mut probe = ticks(self.settings.probe);
        loop {
            let wake = self.pending.wake();
            let turn = tokio::select! {
                () = stop.cancelled() => break,
                events = self.source.events.next() => Turn::Events(events),
                Ok(()) = self.wanted.changed() => Turn::Wanted,
                _ = probe.tick() => Turn::Probe,
                () = until(wake) => Turn::Settle,
            };
            if let Err(gap) = self.turn(turn).await {
                tracing::warn!(%gap, "netlink events were lost: reading the network anew");
                self.resync(&stop).await?;
            }
        }
        self.keeper.release_all(&self.network, &self.source.requests).await;
        Ok(())
    }

    async fn turn(&mut self, turn: Turn) -> Result<(), Gap> {
        match turn {
            Turn::Events(events) => events?.into_iter().try_for_each(|event| self.apply(event)),
            Turn::Wanted => {
                self.keeper.want(self.wanted.borrow_and_update().clone());
                self.keeper.reconcile(&self.network, &self.source.requests).await;
                Ok(())
            }
            Turn::Probe => {
                self.keeper.renew(&self.network, &self.source.requests).await;
                Ok(())
            }
            Turn::Settle => self.settle().await,
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), Gap> {
        match event {
            Event::Link(link) => {
                self.pending.ways = Freshness::Stale;
                let before = self.network.link(link.ifindex);
                if before.is_none_or(|before| before.state != link.state) {
                    self.pending.routes(Family::Both);
                }
                self.network.put_link(link);
            }
            Event::LinkGone(ifindex) => {
                self.network.remove_link(ifindex);
                self.pending.routes(Family::Both);
            }
            Event::Address(address) => {
                self.network.put_address(address);
                self.pending.ways = Freshness::Stale;
            }
            Event::AddressGone(address) => {
                self.network.remove_address(&address);
                self.pending.routes(Family::Both);
            }
            Event::Neighbour(key, neighbour) => self.network.put_neighbour(key, neighbour),
            Event::NeighbourGone(key) => {
                self.network.remove_neighbour(key);
                if self.keeper.lost(key) == Loss::Ours {
                    self.pending.ways = Freshness::Stale;
                }
            }
            Event::Routes(family) => self.pending.routes(family),
            Event::Unreadable => return Err(Gap::Overrun),
        }
        self.pending.due.get_or_insert_with(|| Instant::now() + self.settings.gather);
        Ok(())
    }

    /// Brings the routes up to date and publishes.
    async fn settle(&mut self) -> Result<(), Gap> {
        self.pending.due = None;
        if let Err(error) = self.routes().await {
            return Err(Gap::Broken(std::io::Error::other(error)));
        }
        self.publish();
        if std::mem::take(&mut self.pending.ways) == Freshness::Stale {
            self.keeper.reconcile(&self.network, &self.source.requests).await;
        }
        Ok(())
    }

    async fn routes(&mut self) -> Result<(), Error> {
        let began = Instant::now();
        if !self.pending.stale() || self.pending.rest.is_some_and(|rest| rest > began) {
            return Ok(());
        }
        if self.pending.routes4 == Freshness::Stale {
            let routes = self.source.requests.routes4().await?;
            self.network.set_routes4(routes);
        }
        if self.pending.routes6 == Freshness::Stale {
            let routes = self.source.requests.routes6().await?;
            self.network.set_routes6(routes);
        }
        let ended = Instant::now();
        let rest = Some(ended + (ended - began) * REST);
        self.pending = Pending { rest, ways: Freshness::Stale, ..Pending::default() };
        Ok(())
    }

    fn publish(&self) {
        self.publish.send_if_modified(|published| {
            let changed = **published != self.network;
            if changed {
                *published = Arc::new(self.network.clone());
            }
            changed
        });
    }

    /// New sockets and a new dump, with growing pauses. Also after an overrun: what waits in the old socket is older
    /// than the dump.
    async fn resync(&mut self, stop: &CancellationToken) -> Result<(), Error> {
        self.resyncs.fetch_add(1, Ordering::Relaxed);
        // Where overruns follow one another, reading everything at once again is what keeps them coming.
        let lately = self.resynced.is_some_and(|resynced| resynced.elapsed() < LONGEST_PAUSE);
        let mut pause = if lately { SHORTEST_PAUSE } else { Duration::ZERO };
        for tries in 1.. {
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(pause) => {}
            }
            match self.read_anew().await {
                Ok(()) => break,
                Err(source) if tries == MOST_TRIES => {
                    return Err(Error::Lost { tries, source: Box::new(source) });
                }
                Err(source) => {
                    tracing::warn!(%source, tries, "the network cannot be read over netlink: trying again");
                }
            }
            pause = (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        }
        self.resynced = Some(Instant::now());
        Ok(())
    }

    async fn read_anew(&mut self) -> Result<(), Error> {
        let source = Source::open(self.settings.receive_buffer_bytes)?;
        self.network = source.requests.network().await?;
        self.source = source;
        self.pending = Pending::default();
        self.publish();
        self.keeper.renew(&self.network, &self.source.requests).await;
        self.keeper.reconcile(&self.network, &self.source.requests).await;
        Ok(())
    }
}

impl Pending {
    /// When to look into it.
    fn wake(&self) -> Option<Instant> {
        self.due.or(self.rest.filter(|_| self.stale()))
    }

    fn stale(&self) -> bool {
        self.routes4 == Freshness::Stale || self.routes6 == Freshness::Stale
    }

    fn routes(&mut self, family: Family) {
        if matches!(family, Family::V4 | Family::Both) {
            self.routes4 = Freshness::Stale;
        }
        if matches!(family, Family::V6 | Family::Both) {
            self.routes6 = Freshness::Stale;
        }
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Overrun => f.write_str("the receive buffer overran"),
            Self::Broken(error) => error.fmt(f),
        }
    }
}

fn ticks(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits for a moment, or for ever.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
