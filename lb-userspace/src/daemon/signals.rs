//! What the outside wants: a stop, or a reload. Values and not signals, so that a test can want things too.

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Wishes from outside.
#[derive(Debug)]
pub struct Signals {
    /// The name of the signal that asked for a stop.
    pub stop: mpsc::Receiver<&'static str>,
    /// Reloads asked for. Several that wait are one.
    pub reload: mpsc::Receiver<()>,
}

impl Signals {
    /// Takes SIGTERM, SIGINT and SIGHUP of this process from now on.
    pub fn listen() -> anyhow::Result<Self> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
        let mut hangup = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
        let (stops, stop) = mpsc::channel(1);
        let (reloads, reload) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                // A full channel holds the same wish already; a closed one means that nobody cares any more.
                let _ = tokio::select! {
                    _ = terminate.recv() => stops.try_send("SIGTERM").ok(),
                    _ = interrupt.recv() => stops.try_send("SIGINT").ok(),
                    _ = hangup.recv() => reloads.try_send(()).ok(),
                };
            }
        });
        Ok(Self { stop, reload })
    }
}
