//! The agent on a backend.

use aya_ebpf::macros::xdp;
use aya_ebpf::programs::XdpContext;
use lb_common::agent::decapsulate;
use lb_common::frame::Frame;
use lb_common::wire::Be16;

use crate::count;
use crate::frame::XdpFrame;
use crate::globals::AGENT_GUE_PORT;
use crate::maps::Maps;

/// Takes outer headers off.
#[xdp]
pub fn agent(ctx: XdpContext) -> u32 {
    let mut frame = XdpFrame::new(&ctx);
    let bytes = frame.bytes();
    let reason = decapsulate(&mut frame, &Maps, Be16::new(AGENT_GUE_PORT.load()));
    count::reason(reason, bytes);
    count::action(reason as u32)
}
