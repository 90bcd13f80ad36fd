//! The daemon: makes the rooms, connects them, and ends when it is told to or when one of them ends by itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::config::{self, Config, Interfaces};

pub mod log;
pub mod notify;
pub mod serve;
pub mod signals;
pub mod tasks;

/// How long threads that hang in the kernel may keep the process from ending.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the daemon until it is stopped. `config_file` is what a reload reads.
pub fn run(config: Config, config_file: Option<PathBuf>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let outcome = runtime.block_on(start(config, config_file));
    runtime.shutdown_timeout(LAST_PATIENCE);
    outcome
}

async fn start(_config: Config, _config_file: Option<PathBuf>) -> anyhow::Result<()> {
    anyhow::bail!("the control room is not built in yet")
}

/// Reads and validates a configuration file as a running daemon does: an interface that is not there may come later.
pub fn read(path: &Path) -> Result<Config, String> {
    let names = interface_names().map_err(|error| format!("{error:#}"))?;
    let loaded = config::load_on(path, Interfaces::Expected(&names)).map_err(|errors| errors.to_string())?;
    if !loaded.warnings.is_empty() {
        tracing::warn!("{}", loaded.warnings);
    }
    Ok(loaded.config)
}

/// The names of this network namespace's interfaces.
pub fn interface_names() -> anyhow::Result<Vec<String>> {
    let interfaces = nix::net::if_::if_nameindex().context("cannot list interfaces")?;
    Ok(interfaces.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect())
}
