//! The daemon: makes the rooms, connects them, and ends when it is told to or when one of them ends by itself.

use std::path::Path;

use anyhow::Context;

use crate::config::{self, Config, Interfaces};

pub mod log;
pub mod notify;
pub mod serve;
pub mod signals;
pub mod tasks;

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
