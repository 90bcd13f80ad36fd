//! Servers and clients that live in the lab: HTTP over TCP and an echo over UDP, written so that they notice at once
//! and to the byte when a flow is cut, and say by whom it was served.

pub mod client;
mod load;
mod pace;
pub mod pattern;
mod ping;
mod server;
mod transfer;

pub use client::{Failure, Served};
pub use load::{Load, Tally};
pub use pace::Pace;
pub use ping::ping;
pub use server::{Server, Serving};
pub use transfer::{Direction, Transfer, Transfers};
