//! The balancer's decision code, run here.

use lb_common::abi::Egress;
use lb_common::balance::balance;
use lb_common::host::{HostFrame, HostTables};
use lb_common::tables::Settings;

use super::fixture::Outcome;
use super::{Action, Run};

/// The interface that `BPF_PROG_TEST_RUN` says frames come in by: `lo`.
pub const INGRESS: u32 = 1;

/// The balancer on the host.
#[derive(Debug)]
pub struct BalancerHost {
    tables: HostTables,
    settings: Settings,
}

impl BalancerHost {
    /// A balancer with these tables, specialised as `features` says.
    pub fn new(tables: HostTables, features: u32, seed: u64) -> Self {
        Self { tables, settings: Settings { features, seed, ifindex: INGRESS } }
    }

    /// Writes another entry for a backend.
    pub fn set_backend(&mut self, id: u32, egress: Egress) {
        self.tables.backends.insert(id, egress);
    }

    /// Runs it over a frame.
    pub fn run(&self, bytes: &[u8]) -> Run {
        let mut frame = HostFrame::new(bytes);
        let outcome = balance(&mut frame, &self.tables, &self.settings);
        Run {
            action: Action::of(outcome.reason.verdict()),
            bytes: frame.as_bytes().to_vec(),
            outcome: Outcome {
                reason: outcome.reason,
                service: outcome.service,
                backend: outcome.backend.filter(|_| outcome.is_forwarded()),
            },
        }
    }
}
