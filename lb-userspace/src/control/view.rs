//! What the control room shows of itself: plain data, made anew after every change and published on a `watch`
//! channel. The API serves these very types and the command line reads them, so field names here are the words of
//! `--json`.

use std::fmt;
use std::net::IpAddr;

use lb_common::abi::SLOTS;
use serde::{Deserialize, Serialize};

use crate::config::model::{Algorithm, AttachMode, Forward, Name, Protocol};

/// The state of the whole daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// xlb's version.
    pub version: String,
    /// The daemon's process id.
    pub pid: u32,
    /// Number of the applied configuration.
    pub generation: u64,
    /// The configuration file, if it was started with one.
    pub config_file: Option<String>,
    /// Attached interfaces, and configured ones that are not attached, with the reason.
    pub interfaces: Vec<InterfaceView>,
    /// Pools, by name.
    pub pools: Vec<PoolView>,
    /// Services, by name.
    pub services: Vec<ServiceView>,
    /// What the operator should know: lost next hops, failed attaches, a reload that was refused.
    pub warnings: Vec<String>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InterfaceView {
    /// The interface's name.
    pub name: String,
    /// As configured or asked for.
    pub mode: AttachMode,
    /// Whether the balancer runs on it.
    pub attached: bool,
    /// Its ifindex, where it exists.
    pub ifindex: Option<u32>,
    /// The kernel's id of the attached program.
    pub program_id: Option<u32>,
    /// Why it is not attached.
    pub problem: Option<String>,
}

/// One pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PoolView {
    /// The pool's name.
    pub name: Name,
    /// How new flows are spread.
    pub algorithm: Algorithm,
    /// How packets reach the backends.
    pub forward: Forward,
    /// Changes move as few slots as can be.
    pub stable: bool,
    /// Index of its table in the kernel.
    pub table: u32,
    /// Digest of its table over the members' identities, as 16 hex digits: equal on nodes with equal tables.
    pub digest: String,
    /// Its backends, by name.
    pub backends: Vec<BackendView>,
}

/// One backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendView {
    /// The backend's name.
    pub name: Name,
    /// Where packets are sent.
    pub address: IpAddr,
    /// Part of its identity, where set.
    pub port: Option<u16>,
    /// Configured weight.
    pub weight: u16,
    /// Its id in the kernel.
    pub id: Option<u32>,
    /// Slots of the pool's table that it owns.
    pub slots: u32,
    /// Where its packets leave.
    pub next_hop: Option<NextHopView>,
    /// Why it has no slots, or what is wrong with its next hop.
    pub problem: Option<String>,
    /// It was added or changed at run time and is not (so) in the file.
    pub runtime: bool,
}

/// Where a backend's packets leave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextHopView {
    /// The device that transmits.
    pub interface: String,
    /// Its ifindex.
    pub ifindex: u32,
    /// The next hop's MAC address, as `02:00:00:00:00:01`.
    pub mac: String,
    /// VLAN ids written, outermost first.
    pub vlans: Vec<u16>,
    /// The gateway, unless the backend is on-link.
    pub gateway: Option<IpAddr>,
    /// Largest IP packet of the way, in bytes.
    pub mtu: u32,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceView {
    /// The service's name.
    pub name: Name,
    /// Its id in the kernel.
    pub id: u32,
    /// An address, or a prefix in CIDR notation.
    pub address: String,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// `443`, `8000-8099` or `any`.
    pub ports: String,
    /// The pool that serves it.
    pub pool: Name,
    /// `five-tuple`, `source` or `source/24`.
    pub hash: String,
}

/// Counters of everything, at one moment. They only ever go up for a given name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// By service name.
    pub services: Vec<NamedCount>,
    /// By pool and backend name.
    pub backends: Vec<BackendCount>,
    /// By reason, the ones that never happened included.
    pub reasons: Vec<ReasonCount>,
}

/// A counter with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedCount {
    /// Whose.
    pub name: Name,
    /// Packets.
    pub packets: u64,
    /// Bytes, whole frames as they came in.
    pub bytes: u64,
}

/// A backend's counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackendCount {
    /// The pool.
    pub pool: Name,
    /// The backend.
    pub backend: Name,
    /// Packets.
    pub packets: u64,
    /// Bytes, whole frames as they came in.
    pub bytes: u64,
}

/// A reason's counter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReasonCount {
    /// [`lb_common::Reason::name`].
    pub reason: String,
    /// `pass`, `drop`, `transmit` or `redirect`.
    pub verdict: String,
    /// [`lb_common::Reason::describe`].
    pub description: String,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a change did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Applied {
    /// The generation that is now in the kernel.
    pub generation: u64,
    /// One sentence per thing that changed, empty when nothing did.
    pub changes: Vec<String>,
    /// Slots that changed owner, by pool.
    pub moved: Vec<Moved>,
}

/// Slots of one pool that changed owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Moved {
    /// The pool.
    pub pool: Name,
    /// How many slots.
    pub slots: u32,
    /// From which backend to which, and how many; `None` for "no backend".
    pub moves: Vec<Move>,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pool {}: {} of {SLOTS} slots moved", self.pool, self.slots)?;
        for (number, step) in self.moves.iter().enumerate() {
            write!(f, "{}{step}", if number == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// Slots that went from one backend to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// The owner before.
    pub from: Option<Name>,
    /// The owner after.
    pub to: Option<Name>,
    /// How many slots.
    pub slots: u32,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<Name>| name.as_ref().map_or("(no backend)".to_owned(), Name::to_string);
        write!(f, "{} -> {} {}", name(&self.from), name(&self.to), self.slots)
    }
}
