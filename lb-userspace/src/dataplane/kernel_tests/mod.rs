//! The kernel's side against the real kernel: needs root. Every test has network and mount namespaces of its own, which
//! end with its thread, and a bpffs mounted in them.

mod agent;
mod attaching;
mod lab;
mod publishing;
mod slow_reader;
mod starting;
