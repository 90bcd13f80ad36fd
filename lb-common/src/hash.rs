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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Ports;
    use crate::wire::{Be16, Be32, address4, address6};

    fn flow4(client: u8, port: u16) -> Flow {
        Flow {
            family: Family::V4,
            source: address4([198, 51, 100, client]),
            destination: address4([192, 0, 2, 10]),
            ports: Ports { source: Be16::new(port), destination: Be16::new(80) },
            protocol: 6,
        }
    }

    fn flow6(client: u8, port: u16) -> Flow {
        Flow {
            family: Family::V6,
            source: address6([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, client]),
            destination: address6([0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10]),
            ..flow4(client, port)
        }
    }

    fn service(source_mask: [u32; 4], tuple_mask: u32) -> Service {
        Service { id: 0, table: 0, source_mask: source_mask.map(Be32::new), tuple_mask, flags: 0 }
    }

    const ALL: [u32; 4] = [u32::MAX; 4];

    /// Other balancers compute these very numbers: they are never to change.
    #[test]
    fn golden_vectors() {
        let five_tuple = service(ALL, u32::MAX);
        let source = service(ALL, 0);
        let prefix = service([0xffff_ff00, 0, 0, 0], 0);
        let computed = [
            flow_hash(&flow4(7, 40_001), &five_tuple, 0),
            flow_hash(&flow4(7, 40_001), &five_tuple, 0x0123_4567_89ab_cdef),
            flow_hash(&flow4(7, 40_001), &source, 0x0123_4567_89ab_cdef),
            flow_hash(&flow4(7, 40_001), &prefix, 0x0123_4567_89ab_cdef),
            flow_hash(&flow6(7, 40_001), &five_tuple, 0),
            flow_hash(&flow6(7, 40_001), &five_tuple, 0x0123_4567_89ab_cdef),
            flow_hash(&flow6(7, 40_001), &source, 0x0123_4567_89ab_cdef),
        ];
        let expected =
            [0x4298_dcb5, 0x16e6_1dc0, 0x3d1f_c974, 0x8bda_2410, 0x2078_7602, 0xf66c_be9c, 0x46c9_f360];
        assert_eq!(computed, expected, "{computed:#010x?}");
    }

    #[test]
    fn masks_say_what_counts() {
        for flow in [flow4, flow6] {
            let hash = |client, port, service: &Service| flow_hash(&flow(client, port), service, 1);
            let source = service(ALL, 0);
            assert_eq!(hash(7, 1, &source), hash(7, 2, &source));
            assert_ne!(hash(7, 1, &source), hash(8, 1, &source));
            let tuple = service(ALL, u32::MAX);
            assert_ne!(hash(7, 1, &tuple), hash(7, 2, &tuple));
        }
        let prefix = service([0xffff_ff00, 0, 0, 0], 0);
        assert_eq!(flow_hash(&flow4(7, 1), &prefix, 1), flow_hash(&flow4(8, 2), &prefix, 1));
    }

    /// Each bit of port and key reaches each bit of the hash about every other time.
    #[test]
    fn every_input_bit_reaches_every_output_bit() {
        const ROUNDS: u16 = 2_000;
        let tuple = service(ALL, u32::MAX);
        for flow in [flow4, flow6] {
            for input in 0..80 {
                let mut flips = [0_u32; 32];
                for port in 0..ROUNDS {
                    let before = flow_hash(&flow(7, port), &tuple, 1);
                    let after = if input < 16 {
                        flow_hash(&flow(7, port ^ 1 << input), &tuple, 1)
                    } else {
                        flow_hash(&flow(7, port), &tuple, 1 ^ 1 << (input - 16))
                    };
                    for (bit, count) in flips.iter_mut().enumerate() {
                        *count += (before ^ after) >> bit & 1;
                    }
                }
                // Half of the rounds, give or take six standard deviations.
                assert!(flips.iter().all(|count| (866..=1134).contains(count)), "bit {input}: {flips:?}");
            }
        }
    }
}
