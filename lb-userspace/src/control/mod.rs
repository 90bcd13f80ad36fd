//! One actor owns the state.
//!
//! Every other task sends it a [`Command`] through a [`Handle`] and reads [`view::View`] snapshots.

pub mod command;
pub mod view;

pub use command::{Command, Handle};
