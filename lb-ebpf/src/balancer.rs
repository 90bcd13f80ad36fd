//! The balancer, with and without a log.

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::balance::{Outcome, balance};
use lb_common::frame::Frame;

use crate::frame::XdpFrame;
use crate::maps::Maps;
use crate::{count, globals, log};

/// The balancer.
#[xdp]
pub fn balancer(ctx: XdpContext) -> u32 {
    count::action(run(&ctx).reason as u32)
}

/// The balancer with a log line per decision.
#[xdp]
pub fn balancer_log(ctx: XdpContext) -> u32 {
    let outcome = run(&ctx);
    count::action(log::decision(&ctx, &outcome))
}

/// Passes everything.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

#[inline(always)]
fn run(ctx: &XdpContext) -> Outcome {
    let mut frame = XdpFrame::new(ctx);
    let bytes = frame.bytes();
    let outcome = balance(&mut frame, &Maps, &globals::settings(ctx));
    count::outcome(&outcome, bytes);
    outcome
}
