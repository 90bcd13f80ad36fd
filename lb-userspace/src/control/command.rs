//! What can be asked of the control room.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::view::{Applied, Stats, View};
use crate::config::Config;
use crate::config::model::{AttachMode, Name};

/// One request to the actor, with the place for its answer.
#[derive(Debug)]
pub struct Request {
    /// What to do.
    pub command: Command,
    /// Where the answer goes; a caller that went away is no error.
    pub answer: oneshot::Sender<Result<Answer, Error>>,
}

/// What to do.
#[derive(Debug)]
pub enum Command {
    /// Replaces the desired state by this validated configuration.
    Reload(Box<Config>),
    /// Notes that a reload was refused: shown as a warning until one succeeds.
    RefusedReload(String),
    /// Adds a backend to a pool.
    AddBackend {
        /// The pool.
        pool: Name,
        /// The new backend's name.
        name: Name,
        /// Its address.
        address: IpAddr,
        /// Its port, where it is part of its identity.
        port: Option<u16>,
        /// Its weight.
        weight: u16,
    },
    /// Sets a backend's weight.
    SetBackend {
        /// The pool.
        pool: Name,
        /// The backend.
        name: Name,
        /// The new weight; 0 takes no new flows.
        weight: u16,
    },
    /// Removes a backend from a pool.
    RemoveBackend {
        /// The pool.
        pool: Name,
        /// The backend.
        name: Name,
    },
    /// Attaches the balancer to an interface.
    Attach {
        /// The interface.
        interface: String,
        /// Native or generic.
        mode: AttachMode,
    },
    /// Takes the balancer off an interface.
    Detach {
        /// The interface.
        interface: String,
    },
    /// Swaps the log variant in, or (with `None`) out again.
    LogPackets(Option<LogPackets>),
    /// Reads the counters.
    Stats,
    /// Which backend owns each slot of a pool's table, by name.
    Table {
        /// The pool.
        pool: Name,
    },
}

/// What the log variant logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPackets {
    /// Only this service's packets.
    pub service: Option<Name>,
    /// Most lines per second and CPU.
    pub rate: u32,
}

/// An answer that is no error.
#[derive(Debug)]
pub enum Answer {
    /// A change was applied (or there was nothing to change).
    Applied(Applied),
    /// Counters.
    Stats(Stats),
    /// The owner of each slot, 65,536 of them, as indices into `backends`; `None` where a slot has no owner.
    Table {
        /// Names of the pool's backends.
        backends: Vec<Name>,
        /// Index of the owner of each slot.
        slots: Vec<Option<u16>>,
    },
}

/// Why a command was refused or failed. Nothing has changed when one is returned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such pool.
    #[error("no pool `{0}`: `xlb pool list` shows them")]
    NoPool(Name),
    /// There is no such backend.
    #[error("no backend `{backend}` in pool `{pool}`: `xlb backend list {pool}` shows them")]
    NoBackend {
        /// The pool.
        pool: Name,
        /// The backend.
        backend: Name,
    },
    /// There is no such service.
    #[error("no service `{0}`: `xlb service list` shows them")]
    NoService(Name),
    /// The change contradicts what is there.
    #[error("{0}")]
    Refused(String),
    /// The kernel did not take the change; what was there before is still there.
    #[error("{0}")]
    Kernel(#[from] crate::dataplane::Error),
    /// The control room has ended.
    #[error("the daemon is shutting down")]
    Gone,
}

/// How every other task reaches the actor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    view: watch::Receiver<Arc<View>>,
    config_file: Option<PathBuf>,
}

impl Handle {
    /// A handle to the actor at the other ends of these channels.
    pub fn new(
        requests: mpsc::Sender<Request>,
        view: watch::Receiver<Arc<View>>,
        config_file: Option<PathBuf>,
    ) -> Self {
        Self { requests, view, config_file }
    }

    /// Sends a command and waits for its answer.
    pub async fn ask(&self, command: Command) -> Result<Answer, Error> {
        let (answer, reply) = oneshot::channel();
        self.requests.send(Request { command, answer }).await.map_err(|_| Error::Gone)?;
        reply.await.map_err(|_| Error::Gone)?
    }

    /// The newest snapshot.
    pub fn view(&self) -> Arc<View> {
        self.view.borrow().clone()
    }

    /// The newest snapshot, and notice of every other.
    pub fn views(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// The file that a reload reads.
    pub fn config_file(&self) -> Option<&std::path::Path> {
        self.config_file.as_deref()
    }
}
