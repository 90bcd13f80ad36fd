//! The data plane that is the kernel.
//!
//! Maps and links are pinned, so the value may go and packets go on being forwarded; a later one adopts what it finds.

use std::path::Path;

use aya::maps::MapError;
use aya::maps::lpm_trie::Key;
use aya::maps::xdp::XdpMapError;
use lb_common::abi::{
    ABI_VERSION, BackendRecord, Egress, PoolRecord, PrefixKey4, PrefixKey6, ServiceRecord, State,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::backend_entry::Flips;
use super::bpffs::PinDir;
use super::elements::Elements;
use super::grace::Grace;
use super::loader::{BALANCER_MAPS, Program};
use super::maps::{self, Maps, Pinned, PrefixData4, PrefixData6, done, gone};
use super::offload::Offloads;
use super::packet_log::{self, PacketLog, Sink};
use super::{
    Attachment, Counters, Dataplane, Error, Image, Presence, Step, Variant, counters, image, link, tables,
};
use crate::config::model::AttachMode;

/// The kernel's maps and programs under one pin directory.
pub struct Kernel {
    // Dropped in this order: the reader of the log before the program whose ring buffer it reads.
    log: Option<PacketLog>,
    sink: Sink,
    program: Program,
    variant: Variant,
    state: State,
    maps: Maps,
    flips: Flips,
    elements: Elements,
    grace: Grace,
    offloads: Offloads,
    pins: PinDir,
}

impl Kernel {
    /// Opens the pin directory, adopting what is there or creating what is missing, and puts this build's program on
    /// every interface that has a link.
    pub fn open(pin_dir: &Path) -> Result<Self, Error> {
        raise_descriptor_limit();
        let pins = PinDir::claim(pin_dir)?;
        let found = match maps::check(&pins, BALANCER_MAPS)? {
            Pinned::Nothing => State::default(),
            Pinned::Adoptable(state) => state,
        };
        // A log variant was somebody's who is gone.
        let variant = Variant { seed: found.seed, features: found.features, log: None };
        let program = Program::balancer(&variant, &pins)?;
        let maps = Maps::open(&pins)?;
        let offloads = Offloads::open(&pins)?;
        let (flips, elements, grace) = (Flips::default(), Elements::default(), Grace::new()?);
        let state = State { abi_version: ABI_VERSION, ..found };
        let sink = packet_log::to_tracing();
        let mut kernel =
            Self { log: None, sink, program, variant, state, maps, flips, elements, grace, offloads, pins };
        kernel.write_state(state)?;
        link::replace_all(&kernel.pins, &mut kernel.offloads, None, &mut kernel.program)?;
        Ok(kernel)
    }

    /// Sends the log variant's lines to `sink` from the next [`Step::Variant`] on, instead of to the daemon's log.
    pub fn log_to(&mut self, sink: Sink) {
        self.sink = sink;
    }

    /// Detaches everywhere, restores offloads and removes every pin. Names the interfaces.
    pub fn remove_all(mut self) -> Result<Vec<String>, Error> {
        let interfaces = link::detach_all(&self.pins, &mut self.offloads)?;
        self.pins.remove()?;
        Ok(interfaces)
    }

    /// The loaded program, to run it on frames of one's own.
    pub fn program(&mut self) -> Result<&mut aya::programs::Xdp, Error> {
        self.program.xdp()
    }

    fn change_variant(&mut self, variant: Variant) -> Result<(), Error> {
        if variant == self.variant {
            return Ok(());
        }
        let mut next = Program::balancer(&variant, &self.pins)?;
        let log = variant.log.map(|_| PacketLog::start(&mut next, self.sink.clone())).transpose()?;
        link::replace_all(&self.pins, &mut self.offloads, Some(&mut self.program), &mut next)?;
        let state = State { seed: variant.seed, features: variant.features, ..self.state };
        if let Err(error) = self.write_state(state) {
            link::replace_all(&self.pins, &mut self.offloads, None, &mut self.program)?;
            return Err(error);
        }
        self.log = log;
        self.program = next;
        self.variant = variant;
        Ok(())
    }

    fn write_state(&mut self, state: State) -> Result<(), Error> {
        self.maps.state.set(0, state, 0).map_err(|e| maps::failed("writing STATE".into(), e))?;
        self.state = state;
        Ok(())
    }
}

impl Dataplane for Kernel {
    fn read(&mut self) -> Result<Image, Error> {
        image::read(&self.pins, &self.maps, self.state, self.variant)
    }

    fn apply(&mut self, step: &Step) -> Result<(), Error> {
        let maps = &mut self.maps;
        match step {
            Step::Backend(id, egress) => {
                let egress = egress.unwrap_or_else(Egress::default);
                self.flips.write(&mut maps.backends, &mut self.grace, *id, egress)
            }
            Step::Tables(tables) => tables::publish(&maps.tables, tables),
            Step::Service4(key, service) => {
                self.elements.write(&mut maps.services4, &mut self.grace, key, service.as_ref())
            }
            Step::Service6(key, service) => {
                self.elements.write(&mut maps.services6, &mut self.grace, key, service.as_ref())
            }
            Step::Prefix4(key, Some(service)) => done(maps.prefixes4.insert(&trie4(key), service, 0), key),
            Step::Prefix4(key, None) => gone(maps.prefixes4.remove(&trie4(key)), key),
            Step::Prefix6(key, Some(service)) => done(maps.prefixes6.insert(&trie6(key), service, 0), key),
            Step::Prefix6(key, None) => gone(maps.prefixes6.remove(&trie6(key)), key),
            Step::BackendRecord(id, record) => {
                let record = record.unwrap_or(NO_BACKEND_RECORD);
                done(maps.backend_records.set(id.get(), record, 0), id)
            }
            Step::PoolRecord(index, record) => {
                done(maps.pool_records.set(*index, record.unwrap_or(NO_POOL_RECORD), 0), index)
            }
            Step::ServiceRecord(id, record) => {
                done(maps.service_records.set(*id, record.unwrap_or(NO_SERVICE_RECORD), 0), id)
            }
            Step::Device(ifindex, Presence::Present) => {
                done(maps.devices.insert(*ifindex, *ifindex, None, 0).map_err(devmap), ifindex)
            }
            Step::Device(ifindex, Presence::Absent) => gone(maps.devices.remove(*ifindex), ifindex),
            Step::Variant(variant) => self.change_variant(*variant),
            Step::GracePeriod => self.grace.wait(),
            Step::Generation(generation) => self.write_state(State { generation: *generation, ..self.state }),
        }
    }

    fn attach(&mut self, interface: &str, mode: AttachMode) -> Result<Attachment, Error> {
        link::attach(&self.pins, &mut self.offloads, &mut self.program, interface, mode)
    }

    fn detach(&mut self, interface: &str) -> Result<(), Error> {
        link::detach(&self.pins, &mut self.offloads, interface)
    }

    fn attachments(&mut self) -> Result<Vec<Attachment>, Error> {
        link::attachments(&self.pins, &mut self.offloads)
    }

    fn counters(&mut self) -> Result<Counters, Error> {
        counters::read(&self.pins)
    }
}

/// Detaches and removes whatever a balancer or an agent that no longer runs has left under `pin_dir`. Names the
/// interfaces; nothing there is no error.
pub fn remove_all(pin_dir: &Path) -> Result<Vec<String>, Error> {
    let Some(pins) = PinDir::claim_existing(pin_dir)? else { return Ok(Vec::new()) };
    let interfaces = link::detach_all(&pins, &mut Offloads::open(&pins)?)?;
    pins.remove()?;
    Ok(interfaces)
}

/// Takes off one interface what a balancer or an agent that no longer runs has left on it. Names it if there was
/// anything; the maps stay pinned.
pub fn detach(pin_dir: &Path, interface: &str) -> Result<Vec<String>, Error> {
    let ifindex = link::index_of(interface)?;
    let Some(pins) = PinDir::claim_existing(pin_dir)? else { return Ok(Vec::new()) };
    let mut offloads = Offloads::open(&pins)?;
    let mut attached = link::attachments(&pins, &mut offloads)?;
    attached.retain(|attachment| attachment.ifindex == ifindex);
    link::detach(&pins, &mut offloads, interface)?;
    Ok(attached.into_iter().map(|attachment| attachment.interface).collect())
}

/// Descriptors that publishing every table at once takes, with the old ones held to come back, and some to spare.
const DESCRIPTORS: u64 = 4096;

const NO_NAME: lb_common::abi::Name = [0; lb_common::abi::MAX_NAME];
const NO_COUNT: lb_common::abi::Counter = lb_common::abi::Counter { packets: 0, bytes: 0 };
const NO_BACKEND_RECORD: BackendRecord = BackendRecord {
    state: 0,
    table: 0,
    address: [lb_common::wire::Be32::from_raw(0); 4],
    family: 0,
    port: 0,
    base: NO_COUNT,
    carried: NO_COUNT,
    name: NO_NAME,
};
const NO_POOL_RECORD: PoolRecord = PoolRecord { state: 0, _reserved: 0, name: NO_NAME };
const NO_SERVICE_RECORD: ServiceRecord =
    ServiceRecord { state: 0, _reserved: 0, base: NO_COUNT, carried: NO_COUNT, name: NO_NAME };

/// The usual soft limit of 1,024 is less than what a thousand tables take for a moment. A limit that cannot be raised
/// shows as an error when it is met.
fn raise_descriptor_limit() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < DESCRIPTORS
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS.min(hard), hard);
    }
}

fn trie4(key: &PrefixKey4) -> Key<PrefixData4> {
    let mut data = [key.protocol, key.kind, 0, 0, 0, 0, 0, 0];
    data[2..4].copy_from_slice(&key.port.raw().to_ne_bytes());
    data[4..].copy_from_slice(&key.address.raw().to_ne_bytes());
    Key::new(key.prefix_len, data)
}

fn trie6(key: &PrefixKey6) -> Key<PrefixData6> {
    let mut data = [0; 20];
    data[0] = key.protocol;
    data[1] = key.kind;
    data[2..4].copy_from_slice(&key.port.raw().to_ne_bytes());
    for (to, word) in data[4..].chunks_exact_mut(4).zip(key.address) {
        to.copy_from_slice(&word.raw().to_ne_bytes());
    }
    Key::new(key.prefix_len, data)
}

fn devmap(error: XdpMapError) -> MapError {
    match error {
        XdpMapError::MapError(error) => error,
        error @ XdpMapError::ChainedProgramNotSupported => MapError::IoError(std::io::Error::other(error)),
    }
}
