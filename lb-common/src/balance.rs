//! The balancer's decision for one frame: parse, find the service, choose a backend, forward.

use crate::abi::Slot;
use crate::frame::Frame;
use crate::packet::Flow;
use crate::tables::{Settings, Tables};
use crate::{Reason, choose, forward, hash, parse};

/// What was decided for a frame, for the counters and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Why, and with [`Reason::verdict`], what.
    pub reason: Reason,
    /// The service that matched.
    pub service: Option<u32>,
    /// The backend that was chosen. It got the frame only if [`Outcome::is_forwarded`].
    pub backend: Option<u32>,
    /// The flow, or [`Flow::UNKNOWN`] where the packet is not one of TCP or UDP.
    pub flow: Flow,
    /// The flow's hash, once computed; its low bits are the number of the slot.
    pub hash: u32,
}

impl Outcome {
    /// Whether the chosen backend gets the frame.
    #[inline(always)]
    pub const fn is_forwarded(&self) -> bool {
        matches!(self.reason, Reason::Transmitted | Reason::Redirected | Reason::Local)
    }
}

/// Decides for the frame, and changes it accordingly. A frame that is passed on other than to a backend that is this
/// host is left as it was; a dropped one may be left half changed.
#[inline(always)]
pub fn balance<F: Frame, T: Tables>(frame: &mut F, tables: &T, settings: &Settings) -> Outcome {
    let mut outcome =
        Outcome { reason: Reason::NotService, service: None, backend: None, flow: Flow::UNKNOWN, hash: 0 };
    let (Ok(reason) | Err(reason)) = decide(frame, tables, settings, &mut outcome);
    outcome.reason = reason;
    outcome
}

#[inline(always)]
fn decide<F: Frame, T: Tables>(
    frame: &mut F,
    tables: &T,
    settings: &Settings,
    outcome: &mut Outcome,
) -> Result<Reason, Reason> {
    let frame_bytes = frame.bytes();
    let packet = parse::parse(frame.cursor(), frame_bytes, settings)?;
    outcome.flow = packet.flow;
    let service = choose::service(&packet, tables, settings)?;
    outcome.service = Some(service.id);
    if packet.is_fragment() {
        return Err(Reason::Fragment);
    }
    outcome.hash = hash::flow_hash(&packet.flow, service, settings.seed);
    let backend = choose::slot(service, outcome.hash, tables)?.current();
    if backend == Slot::NOBODY {
        return Err(Reason::NoBackend);
    }
    outcome.backend = Some(backend);
    let egress = tables.egress(backend).ok_or(Reason::BadTable)?;
    forward::forward(frame, &packet, egress, outcome.hash, tables, settings)
}
