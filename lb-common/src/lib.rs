//! The contract between xlb's two halves.
//!
//! `lb-ebpf` runs in the kernel, `lb-userspace` fills the maps it reads. What both must agree on lives here: the
//! map types ([`abi`]), what happened to a packet ([`Reason`]), and the packet logic itself, which is plain `no_std`
//! Rust so that the host can run, test and compare the very code that the kernel runs.
#![no_std]

pub mod abi;
pub mod reason;
pub mod wire;

pub use reason::{Reason, Verdict};
