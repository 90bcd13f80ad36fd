//! Bodies that are not part of a view: what a request asks for, and the two answers that have a shape of their own.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::model::{AttachMode, Name};

/// Adds a backend to a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBackend {
    /// The new backend's name.
    pub name: Name,
    /// Where packets are sent.
    pub address: IpAddr,
    /// Part of its identity, where set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Share of new flows relative to the pool's other backends.
    #[serde(default = "one")]
    pub weight: u16,
}

/// Changes a backend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetBackend {
    /// The new weight; 0 takes no new flows.
    pub weight: u16,
}

/// Attaches the balancer to an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// Native or generic.
    #[serde(default)]
    pub mode: AttachMode,
}

/// Logs per-packet decisions for as long as the answer is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogPackets {
    /// Only this service's packets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Name>,
    /// Most lines per second and CPU.
    #[serde(default = "default_rate")]
    pub rate: u32,
    /// End after so many lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Most lines per second and CPU, unless the request says otherwise.
pub const DEFAULT_RATE: u32 = 100;

/// One line of the answer to [`LogPackets`]: `{"line":"..."}` or `{"lost":3}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogEvent {
    /// A decision, as the program logged it.
    Line(String),
    /// So many lines were not sent because the reader was too slow.
    Lost(u64),
}

/// Which backend owns each slot of a pool's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// The pool.
    pub pool: Name,
    /// Names of its backends.
    pub backends: Vec<Name>,
    /// For each slot, in order, the index into `backends` of its owner; `null` where it has none.
    pub slots: Vec<Option<u16>>,
}

fn one() -> u16 {
    1
}

fn default_rate() -> u32 {
    DEFAULT_RATE
}
