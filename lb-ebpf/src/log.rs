//! The logging variant's log: one line per decision, so many per second and CPU at most.

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

/// Lines written in the second that began at `since_ns`.
#[repr(C)]
struct Budget {
    since_ns: u64,
    lines: u64,
}

#[btf_map]
static LOG_BUDGET: PerCpuArray<Budget, 1> = PerCpuArray::new();

const SECOND_NS: u64 = 1_000_000_000;

/// Logs a decision, if it is about the service that is asked for and the second's lines are not used up.
#[inline(always)]
pub fn decision(ctx: &XdpContext, outcome: &Outcome) {
    let wanted = LOG_SERVICE.load();
    if wanted != u32::MAX && outcome.service != Some(wanted) {
        return;
    }
    let Some(flow) = outcome.flow else { return };
    if !within_budget() {
        return;
    }
    let (ports, number) = (flow.ports, flow.protocol);
    let service = outcome.service.unwrap_or(u32::MAX);
    let backend = outcome.backend.unwrap_or(0);
    let slot = outcome.hash & (SLOTS as u32 - 1);
    let reason = outcome.reason as u32;
    match flow.family {
        Family::V4 => info!(
            ctx,
            "service={} flow={:i}:{}>{:i}:{} protocol={} slot={} backend={} reason={}",
            service,
            flow.source[0].get(),
            ports.source.get(),
            flow.destination[0].get(),
            ports.destination.get(),
            number,
            slot,
            backend,
            reason
        ),
        Family::V6 => info!(
            ctx,
            "service={} flow=[{:i}]:{}>[{:i}]:{} protocol={} slot={} backend={} reason={}",
            service,
            octets(&flow.source),
            ports.source.get(),
            octets(&flow.destination),
            ports.destination.get(),
            number,
            slot,
            backend,
            reason
        ),
    }
}

/// Whether this CPU may write another line in this second.
#[inline(always)]
fn within_budget() -> bool {
    let Some(budget) = LOG_BUDGET.get_ptr_mut(0) else { return false };
    // SAFETY: the helper only reads a clock.
    let now = unsafe { bpf_ktime_get_ns() };
    // SAFETY: the map returned the pointer, to this CPU's own copy.
    let budget = unsafe { &mut *budget };
    if now.wrapping_sub(budget.since_ns) >= SECOND_NS {
        *budget = Budget { since_ns: now, lines: 0 };
    }
    budget.lines += 1;
    budget.lines <= u64::from(LOG_RATE.load())
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
