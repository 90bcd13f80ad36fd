//! `xlb agent`: the XDP program on a backend. It has no daemon: `run` attaches it and keeps it informed of this host's
//! addresses, and what it does goes on when `run` is stopped.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use lb_common::abi::Counter;
use lb_common::{Reason, Verdict};
use tokio_util::sync::CancellationToken;

use super::Failure;
use super::grammar::{AgentPins, AgentRun, AgentVerb};
use super::local::{self, Detached};
use super::output::{Output, Reader};
use super::text::count;
use crate::control::view::ReasonCount;
use crate::daemon::notify::{Milestone, notify};
use crate::daemon::signals::Signals;
use crate::dataplane::{self, Agent, agent};
use crate::net::{Network, Settings, Watcher};

/// Does what `xlb agent` was told.
pub fn agent(verb: AgentVerb, output: Output) -> Result<Reader, Failure> {
    match verb {
        AgentVerb::Run(run) => {
            crate::daemon::log::start(&run.log)?;
            super::block_on(async { Ok(follow(run).await?) })?;
            Ok(Reader::Listening)
        }
        AgentVerb::Stats(AgentPins { pin_dir }) => output.print(&counts(&pin_dir)?[..], count::reasons),
        AgentVerb::Detach(AgentPins { pin_dir }) => {
            let interfaces = dataplane::remove_all(&pin_dir).map_err(anyhow::Error::new)?;
            output.print(&Detached { interfaces, pin_dir }, local::detached)
        }
    }
}

async fn follow(run: AgentRun) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let (watcher, following) = Watcher::start(Settings::default(), stop.clone()).await?;
    let following = tokio::spawn(following);
    let mut network = watcher.network();

    let mut accept = agent::Accept {
        sources: run.balancer,
        addresses: addresses(&network.borrow_and_update()),
        gue_port: run.gue_port,
    };
    let mut agent = Agent::open(&run.pins.pin_dir, &accept)?;
    for interface in &run.interface {
        let attached = agent.attach(interface, run.mode.into())?;
        tracing::info!(interface, ifindex = attached.ifindex, program = attached.program_id, "attached");
    }
    tracing::info!(addresses = accept.addresses.len(), sources = ?accept.sources, "ready");
    notify(Milestone::Ready);

    loop {
        tokio::select! {
            Some(signal) = signals.stop.recv() => {
                notify(Milestone::Stopping);
                tracing::info!(signal, "stopping; what is attached stays and decapsulates on");
                stop.cancel();
                return Ok(following.await??);
            }
            changed = network.changed() => {
                if changed.is_err() {
                    following.await??;
                    anyhow::bail!("the network is no longer followed");
                }
                let now = addresses(&network.borrow_and_update());
                if now != accept.addresses {
                    tracing::info!(addresses = now.len(), "this host's addresses have changed");
                    accept.addresses = now;
                    agent.accept(&accept)?;
                }
            }
        }
    }
}

/// Every address of this host that a tunnel can end at, sorted.
fn addresses(network: &Arc<Network>) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = network
        .addresses()
        .iter()
        .map(|address| address.net.addr())
        .filter(|address| !address.is_loopback())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// The reasons that an agent gives, with their counters.
fn counts(pin_dir: &Path) -> anyhow::Result<Vec<ReasonCount>> {
    let counters = agent::counters(pin_dir)?.with_context(|| {
        format!(
            "nothing is pinned at {}: start an agent with `xlb agent run`, or name its --pin-dir",
            pin_dir.display()
        )
    })?;
    let counted = |&reason: &Reason| counters.get(reason as usize).copied().unwrap_or_default();
    Ok(AGENT_REASONS.iter().map(|reason| row(*reason, counted(reason))).collect())
}

const AGENT_REASONS: &[Reason] = &[
    Reason::Decapsulated,
    Reason::NotTunnel,
    Reason::UnknownBalancer,
    Reason::BadTunnel,
    Reason::EcnNotCapable,
];

fn row(reason: Reason, counter: Counter) -> ReasonCount {
    let verdict = match reason.verdict() {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
        Verdict::Transmit => "transmit",
        Verdict::Redirect => "redirect",
    };
    ReasonCount {
        reason: reason.name().to_owned(),
        verdict: verdict.to_owned(),
        description: reason.describe().trim().to_owned(),
        packets: counter.packets,
        bytes: counter.bytes,
    }
}
