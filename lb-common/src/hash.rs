//! The flow hash: which slot a packet falls in.
//!
//! Keyed, so that nobody outside can aim at one slot; made of 32-bit additions, rotations and exclusive ors (the mix of
//! Bob Jenkins' lookup3), because BPF has no 128-bit multiply. Every balancer with the same seed computes the same
//! number, so it is part of the contract: the golden vectors below must not change.

use crate::abi::Service;
use crate::packet::{Family, Flow};

/// The flow's hash under a service's masks: 32 bits that the slot, GUE's source port, the flow label and a drawn outer
/// source all come from.
#[inline(always)]
pub fn flow_hash(flow: &Flow, service: &Service, seed: u64) -> u32 {
    let mask = service.tuple_mask;
    let source = |word: usize| flow.source[word].raw() & service.source_mask[word].raw();
    let destination = |word: usize| flow.destination[word].raw() & mask;
    let ports = flow.ports.raw() & mask;
    let protocol = u32::from(flow.protocol) & mask;
    let mut state = State::keyed(seed);
    match flow.family {
        Family::V4 => {
            state.mix(source(0), destination(0), ports);
        }
        Family::V6 => {
            state.mix(source(0), source(1), source(2));
            state.mix(source(3), destination(0), destination(1));
            state.mix(destination(2), destination(3), ports);
        }
    }
    state.finish(protocol)
}

struct State(u32, u32, u32);

impl State {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of the key")]
    const fn keyed(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        Self(low, high, low.rotate_left(16) ^ high ^ 0x9e37_79b9)
    }

    #[inline(always)]
    #[expect(clippy::many_single_char_names, reason = "three words of state and three of input")]
    const fn mix(&mut self, x: u32, y: u32, z: u32) {
        let Self(mut a, mut b, mut c) = *self;
        a = a.wrapping_add(x);
        b = b.wrapping_add(y);
        c = c.wrapping_add(z);
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        *self = Self(a, b, c);
    }

    #[inline(always)]
    const fn finish(self, last: u32) -> u32 {
        let Self(mut a, mut b, mut c) = self;
        a = a.wrapping_add(last);
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        (c ^ b).wrapping_sub(b.rotate_left(24))
    }
}
