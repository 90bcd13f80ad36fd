//! Commands that are done by this very process: the daemon itself, and taking things off the kernel when no daemon
//! runs.

use std::path::PathBuf;

use anyhow::Context;
use serde::Serialize;

use super::Failure;
use super::grammar::{Detach, OneShot, Run};
use super::output::{Output, Reader};
use crate::config::oneshot::{Pieces, oneshot};
use crate::config::{self, Config, defaults};
use crate::daemon;
use crate::dataplane;

/// `xlb run`. A `socket` on the command line goes before the file's.
pub fn run(run: Run, socket: Option<PathBuf>) -> Result<Reader, Failure> {
    daemon::log::start(&run.log)?;
    let mut config = match &run.config {
        Some(file) => daemon::read(file).map_err(|report| anyhow::anyhow!("{report}"))?,
        None => without_file(run.one_shot)?,
    };
    if let Some(socket) = socket {
        config.daemon.socket = socket;
    }
    // A reload must find the file wherever the process's working directory is by then.
    let file =
        run.config.map(std::path::absolute).transpose().context("cannot tell the working directory")?;
    daemon::run(config, file)?;
    Ok(Reader::Listening)
}

fn without_file(one_shot: OneShot) -> anyhow::Result<Config> {
    let mode = one_shot.mode();
    let OneShot { interface, service, backend, forward, seed, pin_dir, .. } = one_shot;
    let pieces = Pieces {
        interfaces: interface,
        mode,
        services: service,
        backends: backend,
        forward: forward.context("--forward is missing")?.into(),
        seed,
        socket: None,
        pin_dir: pin_dir.map(|path| path.to_string_lossy().into_owned()),
    };
    let loaded = oneshot(&pieces).map_err(|report| anyhow::anyhow!("{report}"))?;
    if !loaded.warnings.is_empty() {
        tracing::warn!("{}", loaded.warnings);
    }
    Ok(loaded.config)
}

/// What taking programs off interfaces did; `--json` prints it as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detached {
    /// The interfaces.
    pub interfaces: Vec<String>,
    /// Where things are, or were, pinned.
    pub pin_dir: PathBuf,
}

/// `xlb detach` without a daemon.
pub fn detach(detach: &Detach, output: Output) -> Result<Reader, Failure> {
    let pin_dir = pin_dir(detach)?;
    let interfaces = match &detach.interface {
        Some(interface) => dataplane::detach(&pin_dir, interface),
        None => dataplane::remove_all(&pin_dir),
    };
    let interfaces = interfaces.map_err(anyhow::Error::new)?;
    output.print(&Detached { interfaces, pin_dir }, detached)
}

/// What `xlb detach` without a daemon prints.
pub fn detached(detached: &Detached) -> String {
    let Detached { interfaces, pin_dir } = detached;
    if interfaces.is_empty() {
        format!("nothing was attached under {}\n", pin_dir.display())
    } else {
        format!("detached from {}\n", interfaces.join(", "))
    }
}

fn pin_dir(detach: &Detach) -> anyhow::Result<PathBuf> {
    match (&detach.pin_dir, &detach.config) {
        (Some(pin_dir), _) => Ok(pin_dir.clone()),
        (None, Some(file)) => Ok(config::load(file)?.config.daemon.pin_dir),
        (None, None) => Ok(defaults::PIN_DIR.into()),
    }
}
