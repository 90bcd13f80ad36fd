//! Commands that are done by this very process: the daemon itself, the agent, validating a file, and taking things
//! off the kernel when no daemon runs.

use std::path::PathBuf;

use super::Failure;
use super::grammar::{Agent, AgentRun, Detach, Run};
use super::output::{Output, Reader};

/// `xlb run`.
pub fn run(_run: Run, _socket: Option<PathBuf>) -> Result<Reader, Failure> {
    Err(Failure::Refused(anyhow::anyhow!("not wired yet")))
}

/// `xlb detach` without a daemon.
pub fn detach(_detach: &Detach, _output: Output) -> Result<Reader, Failure> {
    Err(Failure::Refused(anyhow::anyhow!("not wired yet")))
}

/// `xlb agent run`.
pub fn agent_run(_run: AgentRun) -> Result<Reader, Failure> {
    Err(Failure::Refused(anyhow::anyhow!("not wired yet")))
}

/// `xlb agent stats`.
pub fn agent_stats(_agent: &Agent, _output: Output) -> Result<Reader, Failure> {
    Err(Failure::Refused(anyhow::anyhow!("not wired yet")))
}

/// `xlb agent detach`.
pub fn agent_detach(_agent: &Agent, _output: Output) -> Result<Reader, Failure> {
    Err(Failure::Refused(anyhow::anyhow!("not wired yet")))
}
