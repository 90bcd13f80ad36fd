//! The control room against a data plane in memory and a network from a script.

mod actor;
mod counters;
mod desired;
mod faults;
mod histories;
mod lab;
mod plan;
mod room;
