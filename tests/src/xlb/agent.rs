//! Agents on the backends.

use anyhow::{Result, ensure};
use ipnet::IpNet;

use super::daemon::PATIENCE;
use super::process::Process;
use crate::lab::{Lab, Links, Namespace};

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    process: Process,
}

impl Agent {
    /// Starts an agent on `eth0` of each backend, taking tunnelled packets from `balancers`, and waits until all are
    /// attached.
    pub fn start_all(lab: &Lab, balancers: &[IpNet]) -> Result<Vec<Self>> {
        let started: Result<Vec<Self>> =
            lab.backends.iter().map(|backend| Self::spawn(lab, backend, balancers)).collect();
        let mut agents = started?;
        for (agent, backend) in agents.iter_mut().zip(&lab.backends) {
            agent.wait_until_attached(backend)?;
        }
        Ok(agents)
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn spawn(lab: &Lab, backend: &Namespace, balancers: &[IpNet]) -> Result<Self> {
        let log = lab.folder().join(format!("agent-{}.log", backend.name()));
        let mut arguments: Vec<String> = ["agent", "run", "--interface", "eth0"].map(str::to_owned).to_vec();
        for net in balancers {
            arguments.extend(["--balancer".to_owned(), net.to_string()]);
        }
        Ok(Self { process: Process::start(backend, &log, &arguments)? })
    }

    fn wait_until_attached(&mut self, backend: &Namespace) -> Result<()> {
        let mut ended = None;
        let ready = crate::eventually(PATIENCE, || {
            ended = self.process.ended().ok().flatten();
            ended.is_some() || attached(backend)
        });
        ensure!(ended.is_none(), "the agent of {} ended: {ended:?}\n{}", backend.name(), self.process.log());
        ensure!(ready, "the agent of {} did not attach:\n{}", backend.name(), self.process.log());
        Ok(())
    }
}

/// Whether an XDP program is on the backend's `eth0`.
pub fn attached(backend: &Namespace) -> bool {
    backend.run(|| Links::open()?.has_xdp("eth0")).unwrap_or(false)
}
