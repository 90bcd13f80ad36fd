//! Read-only globals, set by the loader before the verifier sees the program.

use aya_ebpf::Global;
use aya_ebpf::programs::XdpContext;
use lb_common::abi::global;
use lb_common::tables::Settings;

/// [`global::SEED`].
#[unsafe(no_mangle)]
static SEED: Global<u64> = Global::new(0);

/// [`global::FEATURES`].
#[unsafe(no_mangle)]
static FEATURES: Global<u32> = Global::new(global::ALL);

/// [`global::LOG_SERVICE`].
#[unsafe(no_mangle)]
pub static LOG_SERVICE: Global<u32> = Global::new(u32::MAX);

/// [`global::LOG_RATE`].
#[unsafe(no_mangle)]
pub static LOG_RATE: Global<u32> = Global::new(100);

/// [`global::AGENT_GUE_PORT`].
#[unsafe(no_mangle)]
pub static AGENT_GUE_PORT: Global<u16> = Global::new(6080);

/// What is fixed while this packet is looked at.
#[inline(always)]
pub fn settings(ctx: &XdpContext) -> Settings {
    Settings { features: FEATURES.load(), seed: SEED.load(), ifindex: ctx.ingress_ifindex() as u32 }
}
