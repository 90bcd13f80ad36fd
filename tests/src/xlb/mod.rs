//! The real `xlb` run inside the lab: the daemon on the balancer, agents on the backends, and the command line.

mod daemon;
mod fate;
mod flow;
mod process;
mod setup;

pub use daemon::{Agent, Daemon, Refused};

pub use fate::{Fate, Owners, moved};
pub use flow::slot;
pub use process::{Process, binary, run};
pub use setup::{PoolSetup, SEED, ServiceSetup, Setup, word};
