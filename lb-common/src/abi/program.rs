//! Names of the programs in the object file.

/// The balancer.
pub const BALANCER: &str = "balancer";
/// The balancer with a log line per decision (`xlb log-packets`).
pub const BALANCER_LOG: &str = "balancer_log";
/// The agent on a backend.
pub const AGENT: &str = "agent";
/// `XDP_PASS` and nothing else: the far end of a veth needs a program for `XDP_TX` to deliver.
pub const PASS: &str = "pass";
