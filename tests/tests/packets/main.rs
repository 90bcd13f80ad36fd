//! Packet tables: frames through the real programs, and what must come of each.

mod agent;
mod forward;
mod hash;
mod lengths;
mod parse;
mod random;
mod service;
mod strategy;
mod support;
