//! The daemon on the balancer, asked by the command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use lb_userspace::api::body::Owners as TableBody;
use lb_userspace::control::view::{Applied, Stats, View};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;

use super::fate::Owners;
use super::process::{Process, run};
use crate::lab::Lab;

/// How long anything may take on a busy machine before it counts as failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// A command that the daemon or the command line refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("xlb ended with {code:?}: {message}")]
pub struct Refused {
    /// The exit code.
    pub code: Option<i32>,
    /// What it wrote to stderr.
    pub message: String,
}

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    config: PathBuf,
    socket: PathBuf,
}

impl Daemon {
    /// Starts the daemon on the lab's balancer with the configuration `config` and waits until it is ready: attached
    /// everywhere, and with a next hop for every backend.
    pub fn start(lab: &Lab, config: &str) -> Result<Self> {
        let file = lab.folder().join("xlb.toml");
        std::fs::write(&file, config)?;
        let mut daemon = Self::spawn(lab, file)?;
        daemon.wait_until_ready(lab)?;
        Ok(daemon)
    }

    /// Starts the daemon again on the same configuration.
    pub fn restart(self, lab: &Lab) -> Result<Self> {
        let config = self.config.clone();
        drop(self);
        let mut daemon = Self::spawn(lab, config)?;
        daemon.wait_until_ready(lab)?;
        Ok(daemon)
    }

    /// Starts the daemon and does not wait.
    pub fn spawn(lab: &Lab, config: PathBuf) -> Result<Self> {
        let socket = lab.folder().join("xlb.sock");
        let arguments = ["run", "-c"].map(str::to_owned).into_iter().chain([config.display().to_string()]);
        let process =
            Process::start(&lab.balancer, &lab.folder().join("xlb.log"), &arguments.collect::<Vec<_>>())?;
        Ok(Self { process, config, socket })
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Its configuration file.
    pub fn config(&self) -> &PathBuf {
        &self.config
    }

    /// Its API's socket.
    pub fn socket(&self) -> &PathBuf {
        &self.socket
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Replaces the file that a reload reads.
    pub fn write_config(&self, config: &str) -> Result<()> {
        Ok(std::fs::write(&self.config, config)?)
    }

    /// Asks for a reload by signal.
    pub fn hang_up(&self) -> Result<()> {
        self.process.signal(Signal::SIGHUP)
    }

    /// Runs `xlb ARGUMENTS` against it: what it printed, or why it was refused.
    pub fn cli(&self, lab: &Lab, arguments: &[&str]) -> Result<Result<String, Refused>> {
        let socket = ["--socket".to_owned(), self.socket.display().to_string()];
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).chain(socket).collect();
        let output = run(&lab.balancer, &arguments)?;
        if output.status.success() {
            return Ok(Ok(String::from_utf8(output.stdout)?));
        }
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(Err(Refused { code: output.status.code(), message }))
    }

    /// Runs `xlb ARGUMENTS --json` against it and reads the answer.
    pub fn ask<T: DeserializeOwned>(&self, lab: &Lab, arguments: &[&str]) -> Result<T> {
        let text = self.cli(lab, &[arguments, &["--json"]].concat())??;
        serde_json::from_str(&text).with_context(|| format!("`xlb {}` printed:\n{text}", arguments.join(" ")))
    }

    /// `xlb status`.
    pub fn view(&self, lab: &Lab) -> Result<View> {
        self.ask(lab, &["status"])
    }

    /// `xlb stats`.
    pub fn stats(&self, lab: &Lab) -> Result<Stats> {
        self.ask(lab, &["stats"])
    }

    /// `xlb pool table`: the name of each slot's owner.
    pub fn owners(&self, lab: &Lab, pool: &str) -> Result<Owners> {
        let owners: TableBody = self.ask(lab, &["pool", "table", pool])?;
        let name = |index: u16| owners.backends.get(usize::from(index)).map(|name| name.as_str().to_owned());
        Ok(owners.slots.iter().map(|owner| owner.and_then(name)).collect())
    }

    /// A change made by the command line.
    pub fn change(&self, lab: &Lab, arguments: &[&str]) -> Result<Applied> {
        self.ask(lab, arguments)
    }

    /// How many packets ended with `reason`.
    pub fn reason(&self, lab: &Lab, reason: &str) -> Result<u64> {
        let stats = self.stats(lab)?;
        let found = stats.reasons.iter().find(|count| count.reason == reason);
        Ok(found.with_context(|| format!("there is no reason {reason}"))?.packets)
    }

    /// Waits until it is attached everywhere and every backend has a next hop.
    pub fn wait_until_ready(&mut self, lab: &Lab) -> Result<View> {
        let mut last = None;
        let mut ended = None;
        crate::eventually(PATIENCE, || {
            ended = self.process.ended().ok().flatten();
            last = Some(self.view(lab));
            ended.is_some() || matches!(&last, Some(Ok(view)) if ready(view))
        });
        if let Some(status) = ended {
            bail!("the daemon ended with {status}:\n{}", self.log());
        }
        match last {
            Some(Ok(view)) if ready(&view) => Ok(view),
            state => bail!("the daemon did not get ready: {state:#?}\nIt said:\n{}", self.log()),
        }
    }
}

fn ready(view: &View) -> bool {
    let reachable = |pool: &lb_userspace::control::view::PoolView| {
        pool.backends
            .iter()
            .all(|backend| backend.problem.is_none() && (backend.weight == 0 || backend.slots > 0))
    };
    view.generation > 0
        && view.interfaces.iter().all(|interface| interface.attached)
        && view.pools.iter().all(reachable)
}
