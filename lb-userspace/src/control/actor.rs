//! The actor: one task that owns the [`Room`] and does one thing after another.
//!
//! Calls into the kernel block (swapping tables waits for a grace period), so each piece of work runs on the blocking
//! pool, and the room travels there and back. While it is away requests wait in their channel, and of the network's
//! changes only the newest is kept.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::command::{Command, Error, Handle, Request};
use super::room::{Room, backends};
use super::view::View;
use crate::config::Config;
use crate::dataplane::Dataplane;
use crate::net::{Resolve, Unreachable};

/// What the control room starts with.
pub struct Start {
    /// What is wanted; `None` leaves everything as the kernel has it until a reload.
    pub config: Option<Config>,
    /// The file that a reload reads.
    pub config_file: Option<PathBuf>,
    /// The door to the kernel.
    pub dataplane: Box<dyn Dataplane>,
    /// How long the first tables, and changes that bring backends, wait for next hops that are not resolved yet. Tables
    /// made from nothing for all backends at once are the same on every balancer, and the answer to a change can say
    /// which slots moved.
    pub patience: Duration,
}

/// Starts the control room.
///
/// `network` brings snapshots of the network; `keep` is told whose next hops matter. What the kernel holds is adopted and
/// brought to the configuration before this returns. The task ends with `Ok` when all handles are gone, and with an error
/// when it cannot go on.
pub async fn spawn<N, K>(
    start: Start,
    mut network: watch::Receiver<Arc<N>>,
    keep: K,
) -> Result<(Handle, JoinHandle<Result<(), Error>>), Error>
where
    N: Resolve + 'static,
    K: Fn(BTreeSet<IpAddr>) + Send + 'static,
{
    let Start { config, config_file, dataplane, patience } = start;
    let wanted = config.as_ref().map(backends).unwrap_or_default();
    keep(wanted.clone());
    settle(&mut network, &wanted, patience).await;

    let snapshot = network.borrow_and_update().clone();
    let file = config_file.clone();
    let (room, view) = blocking(move || {
        let mut room = Room::start(dataplane, config, file, &*snapshot)?;
        let view = room.view(&*snapshot);
        Ok::<_, Error>((room, view))
    })
    .await??;

    let (requests, inbox) = mpsc::channel(64);
    let (publish, view) = watch::channel(Arc::new(view));
    let actor = Actor { room, network, inbox, publish, keep, patience };
    Ok((Handle::new(requests, view, config_file), tokio::spawn(actor.run())))
}

struct Actor<N, K> {
    room: Room,
    network: watch::Receiver<Arc<N>>,
    inbox: mpsc::Receiver<Request>,
    publish: watch::Sender<Arc<View>>,
    keep: K,
    patience: Duration,
}

impl<N: Resolve + 'static, K: Fn(BTreeSet<IpAddr>)> Actor<N, K> {
    async fn run(mut self) -> Result<(), Error> {
        let mut following = true;
        loop {
            tokio::select! {
                request = self.inbox.recv() => match request {
                    Some(request) => self = self.answer(request).await?,
                    None => return Ok(()),
                },
                changed = self.network.changed(), if following => match changed {
                    Ok(()) => self = self.follow().await?,
                    // Whoever watches the network has ended, which is for its owner to judge.
                    Err(_) => following = false,
                },
            }
        }
    }

    async fn answer(self, request: Request) -> Result<Self, Error> {
        let Request { command, answer } = request;
        let known = self.room.backends();
        let coming: BTreeSet<IpAddr> = coming(&command).difference(&known).copied().collect();
        if !coming.is_empty() {
            (self.keep)(known.union(&coming).copied().collect());
            // On a receiver of its own: what changes meanwhile is still to be followed.
            settle(&mut self.network.clone(), &coming, self.patience).await;
        }
        let (actor, result) = self.work(move |room, network| room.handle(command, network)).await?;
        (actor.keep)(actor.room.backends());
        // A caller that went away is no error.
        let _ = answer.send(result);
        Ok(actor)
    }

    async fn follow(self) -> Result<Self, Error> {
        let (actor, ()) = self.work(|room, network| room.follow(network)).await?;
        Ok(actor)
    }

    /// Lets the room work off this thread, and shows what came of it.
    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Room, &dyn Resolve) -> T + Send + 'static,
    ) -> Result<(Self, T), Error> {
        let Self { mut room, network, inbox, publish, keep, patience } = self;
        // Not marked as seen: a command that does not look at the network must not hide its change.
        let snapshot = network.borrow().clone();
        let (room, view, result) = blocking(move || {
            let result = work(&mut room, &*snapshot);
            let view = room.view(&*snapshot);
            (room, view, result)
        })
        .await?;
        publish.send_if_modified(|old| {
            let changed = **old != view;
            if changed {
                *old = Arc::new(view);
            }
            changed
        });
        Ok((Self { room, network, inbox, publish, keep, patience }, result))
    }
}

/// The backends that a command may bring.
fn coming(command: &Command) -> BTreeSet<IpAddr> {
    match command {
        Command::Reload(config) => backends(config),
        Command::AddBackend { address, .. } => BTreeSet::from([*address]),
        Command::RefusedReload(_)
        | Command::SetBackend { .. }
        | Command::RemoveBackend { .. }
        | Command::Attach { .. }
        | Command::Detach { .. }
        | Command::LogPackets(_)
        | Command::Stats
        | Command::Table { .. } => BTreeSet::new(),
    }
}

/// Waits until every address has a next hop or will not get one, but no longer than `patience`.
async fn settle<N: Resolve>(
    network: &mut watch::Receiver<Arc<N>>,
    wanted: &BTreeSet<IpAddr>,
    patience: Duration,
) {
    let settled = |address: IpAddr, network: &N| match network.resolve(address) {
        // Of errors, those that time does not mend.
        Ok(_)
        | Err(
            Unreachable::Rejected(_)
            | Unreachable::NotEthernet { .. }
            | Unreachable::TooManyTags(_)
            | Unreachable::CannotTransmit { .. }
            | Unreachable::ThisHost(_),
        ) => true,
        Err(
            Unreachable::NoRoute(_) | Unreachable::InterfaceDown { .. } | Unreachable::NoNeighbour { .. },
        ) => false,
    };
    let resolved = |network: &Arc<N>| wanted.iter().all(|&address| settled(address, network));
    // Neither is an error: what has no next hop by now gets its slots when it has.
    let _ = tokio::time::timeout(patience, network.wait_for(resolved)).await;
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|panic| {
        tracing::error!(%panic, "the control room's work ended in the middle");
        Error::Gone
    })
}
