//! The logging variant's log: one line per decision, so many per second and CPU at most.
//!
//! What is to be logged goes through a map and is read back. That is for the verifier: it would otherwise look at the
//! log once for each of the many ways by which a decision can come about.

use aya_ebpf::btf_maps::PerCpuArray;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::btf_map;
use aya_ebpf::programs::XdpContext;
use aya_log_ebpf::info;
use lb_common::abi::SLOTS;
use lb_common::balance::Outcome;
use lb_common::packet::Family;
use lb_common::wire::Address;

use crate::globals::{LOG_RATE, LOG_SERVICE};

#[btf_map]
static LOG_STATE: PerCpuArray<State, 1> = PerCpuArray::new();

/// A CPU's budget, and the line that it is about to write.
#[repr(C)]
struct State {
    /// When the present second began.
    since_ns: u64,
    /// Lines written in it.
    lines: u64,
    line: Line,
}

/// A decision in words that the verifier knows nothing about.
#[repr(C)]
struct Line {
    source: Address,
    destination: Address,
    /// 4 or 6.
    family: u32,
    source_port: u32,
    destination_port: u32,
    /// 0 when no flow was found.
    protocol: u32,
    /// `u32::MAX` when none matched.
    service: u32,
    slot: u32,
    backend: u32,
    reason: u32,
}

const SECOND_NS: u64 = 1_000_000_000;

/// Logs a decision, if it is about the service that is asked for and the second's lines are not used up. Returns the
/// number of its reason.
#[inline(always)]
pub fn decision(ctx: &XdpContext, outcome: &Outcome) -> u32 {
    let Some(state) = LOG_STATE.get_ptr_mut(0) else { return outcome.reason as u32 };
    // SAFETY: the map returned the pointer, to this CPU's own copy, which lives as long as the program runs.
    let state = unsafe { &mut *state };
    state.line = Line::of(outcome);
    // SAFETY: the helper only reads a clock. It is also where the compiler forgets what the line holds.
    let now = unsafe { bpf_ktime_get_ns() };
    let wanted = LOG_SERVICE.load();
    if state.line.protocol != 0 && (wanted == u32::MAX || wanted == state.line.service) && state.spend(now) {
        state.line.write(ctx);
    }
    state.line.reason
}

impl State {
    /// Whether this CPU may write another line in this second; counts it.
    #[inline(always)]
    fn spend(&mut self, now: u64) -> bool {
        if now.wrapping_sub(self.since_ns) >= SECOND_NS {
            self.since_ns = now;
            self.lines = 0;
        }
        self.lines += 1;
        self.lines <= u64::from(LOG_RATE.load())
    }
}

impl Line {
    #[inline(always)]
    fn of(outcome: &Outcome) -> Self {
        let flow = outcome.flow;
        Self {
            source: flow.source,
            destination: flow.destination,
            family: match flow.family {
                Family::V4 => 4,
                Family::V6 => 6,
            },
            source_port: u32::from(flow.ports.source.get()),
            destination_port: u32::from(flow.ports.destination.get()),
            protocol: u32::from(flow.protocol),
            service: outcome.service.unwrap_or(u32::MAX),
            slot: outcome.hash & (SLOTS as u32 - 1),
            backend: outcome.backend.unwrap_or(0),
            reason: outcome.reason as u32,
        }
    }

    #[inline(always)]
    fn write(&self, ctx: &XdpContext) {
        let Self { source_port, destination_port, protocol, service, slot, backend, reason, .. } = *self;
        if self.family == 4 {
            info!(
                ctx,
                "service={} flow={:i}:{}>{:i}:{} protocol={} slot={} backend={} reason={}",
                service,
                self.source[0].get(),
                source_port,
                self.destination[0].get(),
                destination_port,
                protocol,
                slot,
                backend,
                reason
            );
        } else {
            info!(
                ctx,
                "service={} flow=[{:i}]:{}>[{:i}]:{} protocol={} slot={} backend={} reason={}",
                service,
                octets(&self.source),
                source_port,
                octets(&self.destination),
                destination_port,
                protocol,
                slot,
                backend,
                reason
            );
        }
    }
}

#[inline(always)]
fn octets(address: &Address) -> [u8; 16] {
    let [a, b, c, d] = address.map(|word| word.raw().to_ne_bytes());
    let mut octets = [0; 16];
    octets[..4].copy_from_slice(&a);
    octets[4..8].copy_from_slice(&b);
    octets[8..12].copy_from_slice(&c);
    octets[12..].copy_from_slice(&d);
    octets
}
