//! The flow hash again, written from its description: lookup3's mix and final over the masked words of the flow, with
//! the seed's halves as the first state. Words are little-endian loads of wire bytes.

use std::net::IpAddr;
use std::num::Wrapping;

use super::scene::HashKey;

type Word = Wrapping<u32>;

/// What the hash covers of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Client.
    pub source: IpAddr,
    /// Service.
    pub destination: IpAddr,
    /// Client's port.
    pub source_port: u16,
    /// Service's port.
    pub destination_port: u16,
    /// TCP or UDP.
    pub protocol: u8,
}

/// The hash of `flow` for a service with that key.
pub fn flow_hash(flow: &Flow, key: HashKey, seed: u64) -> u32 {
    let bytes = match key {
        HashKey::FiveTuple => whole(flow),
        HashKey::Source => only_source(flow, u32::MAX),
        HashKey::SourcePrefix { v4_bits, v6_bits } => {
            only_source(flow, if flow.source.is_ipv4() { v4_bits } else { v6_bits })
        }
    };
    let words: Vec<Word> = bytes
        .blocks
        .chunks(4)
        .map(|c| Wrapping(u32::from_le_bytes(c.try_into().expect("whole words"))))
        .collect();
    let low = Wrapping(u32::try_from(seed & 0xffff_ffff).expect("masked"));
    let high = Wrapping(u32::try_from(seed >> 32).expect("shifted"));
    let mut state = [low, high, rotate(low, 16) ^ high ^ Wrapping(0x9e37_79b9)];
    for block in words.chunks(3) {
        for (lane, word) in state.iter_mut().zip(block) {
            *lane += word;
        }
        mix(&mut state);
    }
    state[0] += Wrapping(u32::from(bytes.last));
    finish(state)
}

struct Hashed {
    blocks: Vec<u8>,
    last: u8,
}

fn whole(flow: &Flow) -> Hashed {
    let mut blocks = octets(flow.source);
    blocks.extend(octets(flow.destination));
    blocks.extend(flow.source_port.to_be_bytes());
    blocks.extend(flow.destination_port.to_be_bytes());
    Hashed { blocks, last: flow.protocol }
}

fn only_source(flow: &Flow, bits: u32) -> Hashed {
    let mut blocks = octets(flow.source);
    for (index, byte) in (0..).zip(blocks.iter_mut()) {
        let kept = bits.saturating_sub(index * 8).min(8);
        *byte &= u8::try_from((0xff00_u32 >> kept) & 0xff).expect("masked");
    }
    let rest = blocks.len() + 4;
    blocks.extend(std::iter::repeat_n(0, rest));
    Hashed { blocks, last: 0 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn rotate(word: Word, by: u32) -> Word {
    Wrapping(word.0.rotate_left(by))
}

/// lookup3's `mix`: six rounds over the lanes in turn.
fn mix(state: &mut [Word; 3]) {
    for (round, by) in [4, 6, 8, 16, 19, 4].into_iter().enumerate() {
        let (a, b, c) = (round % 3, (round + 1) % 3, (round + 2) % 3);
        state[a] -= state[c];
        state[a] ^= rotate(state[c], by);
        let next = state[b];
        state[c] += next;
    }
}

/// lookup3's `final`: into a lane, from a lane, rotated by.
fn finish(mut state: [Word; 3]) -> u32 {
    let (a, b, c) = (0, 1, 2);
    for (into, from, by) in
        [(c, b, 14), (a, c, 11), (b, a, 25), (c, b, 16), (a, c, 4), (b, a, 14), (c, b, 24)]
    {
        let word = state[from];
        state[into] ^= word;
        state[into] -= rotate(word, by);
    }
    state[c].0
}
