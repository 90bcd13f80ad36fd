//! Packet tables: frames through the real programs, and what must come of each.

mod lengths;
mod parse;
mod support;
