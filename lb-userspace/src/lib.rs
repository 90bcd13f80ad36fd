//! xlb's userspace half: the daemon that fills the kernel's tables and the command line that talks to it.
//!
//! Rooms and what they may know of each other are described in `docs/adr/0001-rooms.md`.

pub mod api;
pub mod cli;
pub mod config;
pub mod control;
pub mod daemon;
pub mod dataplane;
pub mod net;
pub mod table;
