//! The `xlb` binary as a process inside the lab.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::Namespace;

/// Where the binary is: beside the running test or demo, or where `XLB_BIN` says.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("XLB_BIN") {
        return Ok(path.into());
    }
    let here = std::env::current_exe()?;
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join("xlb")).find(|path| path.is_file());
    found.context("the `xlb` binary is not built: run `cargo xtask build`")
}

/// A process that ends with this one, and with the value at the latest.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `xlb ARGUMENTS` in `namespace`, its output going to the end of `log`.
    pub fn start(namespace: &Namespace, log: &Path, arguments: &[String]) -> Result<Self> {
        let output = File::options().create(true).append(true).open(log)?;
        // The kernel ends it with the namespace's thread, even when this process is killed.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(binary()?).args(arguments);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = namespace.run(move || command.spawn()).context("cannot start xlb (by setpriv)")?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal)
            .with_context(|| format!("cannot send {signal}"))
    }

    /// Waits for its end.
    pub fn wait(&mut self, deadline: Duration) -> Result<ExitStatus> {
        let mut status = None;
        if !crate::eventually(deadline, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        }) {
            bail!("process {} did not end; it said:\n{}", self.pid(), self.log());
        }
        status.context("an ended process has a status")
    }

    /// Ends it at once, without a chance to clean up.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        let status = self.wait(Duration::from_secs(10))?;
        anyhow::ensure!(
            status.signal() == Some(libc::SIGKILL),
            "it ended by itself: {status}\n{}",
            self.log()
        );
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `xlb ARGUMENTS` in `namespace` to its end.
pub fn run(namespace: &Namespace, arguments: &[String]) -> Result<Output> {
    let mut command = Command::new(binary()?);
    command.args(arguments).stdin(Stdio::null());
    namespace.run(move || command.output()).with_context(|| format!("cannot run xlb {}", arguments.join(" ")))
}
