//! The real `xlb` run inside the lab: the daemon on the balancer, agents on the backends, and the command line.

mod agent;
mod daemon;
mod fate;
mod flow;
mod process;
mod setup;

pub use agent::{Agent, attached};
pub use daemon::{Daemon, Refused};

pub use fate::{Fate, Owners, moved};
pub use flow::slot;
pub use process::{Process, binary, run};
pub use setup::{PoolSetup, SEED, ServiceSetup, Setup, word};
