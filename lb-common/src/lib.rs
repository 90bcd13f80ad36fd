//! The contract between xlb's two halves.
//!
//! `lb-ebpf` runs in the kernel, `lb-userspace` fills the maps it reads. What both must agree on lives here: the
//! map types ([`abi`]), what happened to a packet ([`Reason`]), and the packet logic itself, which is plain `no_std`
//! Rust so that the host can run, test and compare the very code that the kernel runs.
#![no_std]
#![expect(
    clippy::inline_always,
    reason = "a BPF function call passes five words and forgets what the verifier knew"
)]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

#[cfg(any(test, feature = "host"))]
extern crate std;

pub mod abi;
pub mod agent;
pub mod balance;
pub mod checksum;
pub mod choose;
pub mod cursor;
pub mod ecn;
pub mod forward;
pub mod frame;
pub mod gue;
pub mod hash;
pub mod header;
#[cfg(any(test, feature = "host"))]
pub mod host;
pub mod link;
pub mod packet;
pub mod parse;
pub mod reason;
pub mod tables;
pub mod wire;

#[cfg(test)]
mod tests;

pub use reason::{Reason, Verdict};
