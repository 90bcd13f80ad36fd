//! Counters: one packet counts once by reason, and by service and backend where it has them.

use aya_ebpf::bindings::xdp_action;
use lb_common::abi::Counter;
use lb_common::balance::Outcome;
use lb_common::{Reason, Verdict};

use crate::maps::{BACKEND_COUNTERS, REASONS, SERVICE_COUNTERS};

/// Counts a balancer's packet of `bytes`.
#[inline(always)]
pub fn outcome(outcome: &Outcome, bytes: u32) {
    if let Some(service) = outcome.service {
        add(SERVICE_COUNTERS.get_ptr_mut(service), bytes);
    }
    if let Some(backend) = outcome.backend
        && outcome.is_forwarded()
    {
        add(BACKEND_COUNTERS.get_ptr_mut(backend), bytes);
    }
    reason(outcome.reason, bytes);
}

/// Counts a packet of `bytes` by reason alone.
#[inline(always)]
pub fn reason(reason: Reason, bytes: u32) {
    add(REASONS.get_ptr_mut(reason as u32), bytes);
}

/// What the kernel is told to do for the reason of this number.
///
/// Bit masks, and not a match: the compiler turns that into a table whose index the verifier cannot bound.
#[inline(always)]
pub const fn action(reason: u32) -> u32 {
    let bit = 1_u32.wrapping_shl(reason);
    if bit & const { mask(Verdict::Transmit) } != 0 {
        xdp_action::XDP_TX
    } else if bit & const { mask(Verdict::Redirect) } != 0 {
        xdp_action::XDP_REDIRECT
    } else if bit & const { mask(Verdict::Pass) } != 0 {
        xdp_action::XDP_PASS
    } else {
        xdp_action::XDP_DROP
    }
}

#[inline(always)]
fn add(counter: Option<*mut Counter>, bytes: u32) {
    if let Some(counter) = counter {
        // SAFETY: the map returned the pointer, to this CPU's own copy; XDP programs do not interrupt each other on a
        // CPU.
        unsafe {
            (*counter).packets = (*counter).packets.wrapping_add(1);
            (*counter).bytes = (*counter).bytes.wrapping_add(u64::from(bytes));
        }
    }
}

/// A bit per reason that has this verdict.
const fn mask(verdict: Verdict) -> u32 {
    let mut mask = 0;
    let mut i = 0;
    while i < Reason::ALL.len() {
        if Reason::ALL[i].verdict() as u32 == verdict as u32 {
            mask |= 1 << i;
        }
        i += 1;
    }
    mask
}

const _: () = assert!(Reason::ALL.len() <= 32, "a reason is a bit of a word");
