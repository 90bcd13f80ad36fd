//! What xlb's tests and its demo stand on: a network of namespaces made by code, servers and clients that live in it,
//! and the real `xlb` binary run inside it.
//!
//! Packet tables and end-to-end tests are in `tests/`, the demo is the binary `xlb-demo`.

pub mod kernel;
pub mod lab;
pub mod packets;
pub mod stage;
pub mod traffic;
mod wait;
pub mod xlb;

pub use wait::{eventually, need_root};
