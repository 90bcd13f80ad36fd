//! The agent's decision code, run here.

use lb_common::agent::decapsulate;
use lb_common::host::{HostAgentTables, HostFrame};
use lb_common::wire::Be16;

use super::fixture::Outcome;
use super::{Action, Run};

/// The agent on the host.
#[derive(Debug)]
pub struct AgentHost {
    tables: HostAgentTables,
    gue_port: u16,
}

impl AgentHost {
    /// An agent with these tables that takes GUE on that port.
    pub const fn new(tables: HostAgentTables, gue_port: u16) -> Self {
        Self { tables, gue_port }
    }

    /// Runs it over a frame.
    pub fn run(&self, bytes: &[u8]) -> Run {
        let mut frame = HostFrame::new(bytes);
        let reason = decapsulate(&mut frame, &self.tables, Be16::new(self.gue_port));
        Run {
            action: Action::of(reason.verdict()),
            bytes: frame.as_bytes().to_vec(),
            outcome: Outcome { reason, service: None, backend: None },
        }
    }
}
