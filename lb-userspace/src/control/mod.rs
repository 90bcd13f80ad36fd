//! One actor owns the state.
//!
//! Every other task sends it a [`Command`] through a [`Handle`] and reads [`view::View`] snapshots. What it does with
//! a command is a chain of pure functions with one door at the end: a new configuration is compiled to an image of the
//! kernel's maps ([`desired`]), the difference to the running image becomes a list of steps ([`plan`]), and the steps
//! go through [`crate::dataplane::Dataplane`], or are taken back.

mod actor;
mod carry;
pub mod command;
pub mod desired;
mod edit;
mod interfaces;
mod moves;
pub mod plan;
mod room;
mod show;
mod stats;
#[cfg(test)]
mod tests;
pub mod view;

pub use actor::{Start, spawn};
pub use command::{Command, Handle};
pub use room::Room;
