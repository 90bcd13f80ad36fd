//! What stands in the kernel, and how it is changed.
//!
//! [`Image`] is the whole of it as a value: what the control room wants, what the kernel holds, and the difference
//! between the two are all computed on images, without a kernel. [`Dataplane`] is the door: one implementation speaks
//! to the kernel (the only room that says `aya`), one keeps an image in memory for tests.

pub mod agent;
mod backend_entry;
mod bpf;
mod bpffs;
mod counters;
mod elements;
pub mod ethtool;
mod grace;
mod image;
pub mod kernel;
#[cfg(test)]
mod kernel_tests;
mod link;
mod loader;
mod maps;
pub mod memory;
mod offload;
pub mod packet_log;
mod rtlink;
mod steps;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lb_common::abi::{
    BackendId, BackendRecord, Counter, Egress, PoolRecord, PrefixKey4, PrefixKey6, Service, ServiceKey4,
    ServiceKey6, ServiceRecord,
};

use crate::config::model::AttachMode;
use crate::table::Table;

pub use agent::Agent;
pub use kernel::{Kernel, detach, remove_all};
pub use link::{Guard, attach_pass};

/// Everything in the kernel that a configuration decides, as one value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Image {
    /// Number of the applied configuration; 0 before the first.
    pub generation: u64,
    /// Key of the flow hash and what is compiled in.
    pub variant: Variant,
    /// Exact and any-port services on IPv4, and address markers.
    pub services4: BTreeMap<ServiceKey4, Service>,
    /// The same on IPv6.
    pub services6: BTreeMap<ServiceKey6, Service>,
    /// Services on IPv4 prefixes.
    pub prefixes4: BTreeMap<PrefixKey4, Service>,
    /// Services on IPv6 prefixes.
    pub prefixes6: BTreeMap<PrefixKey6, Service>,
    /// Tables by index. Shared: 256 KiB each, most changes touch one.
    pub tables: BTreeMap<u32, Arc<Table>>,
    /// Egress entries.
    pub backends: BTreeMap<BackendId, Egress>,
    /// Who owns which backend id.
    pub backend_records: BTreeMap<BackendId, BackendRecord>,
    /// Which pool has which table index.
    pub pool_records: BTreeMap<u32, PoolRecord>,
    /// Which service has which id.
    pub service_records: BTreeMap<u32, ServiceRecord>,
    /// Interfaces that the devmap can redirect to, by ifindex.
    pub devices: BTreeSet<u32>,
}

/// What is fixed in a loaded program: its read-only globals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Key of the flow hash.
    pub seed: u64,
    /// Bits of [`lb_common::abi::global`].
    pub features: u32,
    /// Per-packet decisions are logged; the normal variant holds no log call.
    pub log: Option<Log>,
}

/// What the log variant logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Only this service's packets; `None` for every packet.
    pub service: Option<u32>,
    /// Most lines per second and CPU.
    pub rate: u32,
}

/// One write into the kernel. A plan is a list of them, in the order in which they are safe.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Writes or (with `None`) clears an egress entry.
    Backend(BackendId, Option<Egress>),
    /// Swaps tables in one system call, or takes them out (with `None`).
    Tables(Vec<(u32, Option<Arc<Table>>)>),
    /// Writes or removes a service key.
    Service4(ServiceKey4, Option<Service>),
    /// Writes or removes a service key.
    Service6(ServiceKey6, Option<Service>),
    /// Writes or removes a prefix key.
    Prefix4(PrefixKey4, Option<Service>),
    /// Writes or removes a prefix key.
    Prefix6(PrefixKey6, Option<Service>),
    /// Writes or clears the record of a backend id.
    BackendRecord(BackendId, Option<BackendRecord>),
    /// Writes or clears the record of a table index.
    PoolRecord(u32, Option<PoolRecord>),
    /// Writes or clears the record of a service id.
    ServiceRecord(u32, Option<ServiceRecord>),
    /// Adds (true) or removes an interface of the devmap.
    Device(u32, Presence),
    /// Loads another variant of the program and swaps it in on every attached interface.
    Variant(Variant),
    /// Waits until no packet is in flight that began before this step.
    GracePeriod,
    /// Writes the number of the applied configuration.
    Generation(u64),
}

/// Whether something is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is.
    Present,
    /// It is not.
    Absent,
}

/// Counters as the kernel holds them, summed over CPUs. An id that never counted anything is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// By service id, raw: not yet less the record's base.
    pub services: BTreeMap<u32, Counter>,
    /// By backend id, raw.
    pub backends: BTreeMap<BackendId, Counter>,
    /// By the number of the reason.
    pub reasons: Vec<Counter>,
}

/// An interface that the balancer is attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The interface's name.
    pub interface: String,
    /// Its ifindex at the time of attaching.
    pub ifindex: u32,
    /// Native or generic.
    pub mode: AttachMode,
    /// The kernel's id of the attached program.
    pub program_id: u32,
}

/// What can go wrong between the daemon and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call on a map or program failed.
    #[error("{what}: {source}")]
    Kernel {
        /// What was being done, naming the object.
        what: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The verifier or loader refused the program.
    #[error("the kernel refused the program {program}: {reason}")]
    Load {
        /// The program's name.
        program: String,
        /// The loader's words, verifier log included.
        reason: String,
    },
    /// The interface is not there.
    #[error("interface {0} does not exist")]
    NoInterface(String),
    /// Another program sits on the interface.
    #[error(
        "interface {interface} already runs the XDP program {name} (id {id}): detach it first, xlb does not replace \
         somebody else's"
    )]
    Occupied {
        /// The interface.
        interface: String,
        /// The program's name.
        name: String,
        /// The program's kernel id.
        id: u32,
    },
    /// The driver has no native XDP, or not under the interface's present settings.
    #[error("interface {interface} refuses native XDP ({reason}): set mode = \"generic\" for it")]
    NoNative {
        /// The interface.
        interface: String,
        /// The kernel's words.
        reason: String,
    },
    /// What is pinned was written by another version of xlb.
    #[error(
        "{pin_dir} holds maps of ABI version {found}, this xlb speaks {wanted}: run `xlb detach --all` first"
    )]
    AbiMismatch {
        /// The pin directory.
        pin_dir: String,
        /// What the maps say.
        found: u32,
        /// What this build speaks.
        wanted: u32,
    },
    /// A pinned map has another type or size than this build wants.
    #[error(
        "{map} is a map of another shape ({found}; this xlb wants {wanted}): run `xlb detach --all` first"
    )]
    Shape {
        /// The pinned map.
        map: String,
        /// What it is.
        found: String,
        /// What it would have to be.
        wanted: String,
    },
    /// Programs are attached, but a map that they use is no longer pinned.
    #[error(
        "{map} is gone while programs are attached: somebody removed it; run `xlb detach --all` and start again"
    )]
    Missing {
        /// Where the map was pinned.
        map: String,
    },
    /// A link of the pin directory belongs to an interface that this process cannot see.
    #[error(
        "{link} belongs to an interface of another network namespace: run xlb there, or give this one a pin_dir of its \
         own"
    )]
    Elsewhere {
        /// Where the link is pinned.
        link: String,
    },
    /// Pins need a bpffs.
    #[error(
        "{pin_dir} is not on a bpffs: run `mount -t bpf bpf /sys/fs/bpf`, or name a pin_dir on one that is mounted"
    )]
    NoBpffs {
        /// The pin directory.
        pin_dir: String,
    },
    /// Another process works in the pin directory.
    #[error(
        "{pin_dir} is in use by another xlb{holder}: stop it first, or give this one a pin_dir of its own"
    )]
    Busy {
        /// The pin directory.
        pin_dir: String,
        /// ` (process 812)`, where the kernel says who.
        holder: String,
    },
}

/// The door to what forwards packets. Calls block; the control room makes them off its own thread.
pub trait Dataplane: Send {
    /// What the kernel holds now, read back from it.
    fn read(&mut self) -> Result<Image, Error>;
    /// Does one step. A step that fails has changed nothing.
    fn apply(&mut self, step: &Step) -> Result<(), Error>;
    /// Attaches the current variant to an interface, or changes its mode. Attaching again what is attached is no
    /// error and causes no gap.
    fn attach(&mut self, interface: &str, mode: AttachMode) -> Result<Attachment, Error>;
    /// Takes the balancer off an interface and restores its offloads.
    fn detach(&mut self, interface: &str) -> Result<(), Error>;
    /// What it is attached to now.
    fn attachments(&mut self) -> Result<Vec<Attachment>, Error>;
    /// All counters.
    fn counters(&mut self) -> Result<Counters, Error>;
}
