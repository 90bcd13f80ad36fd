//! From the embedded object to a program in the kernel.
//!
//! One object holds every program and every map. What a load does not use is kept as small as it can be: maps of the
//! other half are created with one entry and freed as soon as the loader is done with them.

use std::collections::BTreeMap;
use std::fmt::Write;

use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader};
use lb_common::abi::{global, map, program};

use super::bpffs::PinDir;
use super::maps::Shape;
use super::{Error, Variant};

/// A program in the kernel, not necessarily attached anywhere.
pub struct Program {
    // Keeps the unpinned maps of the object alive, of which the log's ring buffer is one.
    ebpf: Ebpf,
    name: &'static str,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Program {
    /// Loads a variant of the balancer on the maps pinned in `pins`; those that are not yet there are created and
    /// pinned.
    pub fn balancer(variant: &Variant, pins: &PinDir) -> Result<Self, Error> {
        let (service, rate) =
            variant.log.map_or((u32::MAX, 0), |log| (log.service.unwrap_or(u32::MAX), log.rate));
        let mut loader = EbpfLoader::new();
        loader
            .override_global(global::SEED, &variant.seed, true)
            .override_global(global::FEATURES, &variant.features, true)
            .override_global(global::LOG_SERVICE, &service, true)
            .override_global(global::LOG_RATE, &rate, true);
        let name = if variant.log.is_some() { program::BALANCER_LOG } else { program::BALANCER };
        Self::load(loader, name, BALANCER_MAPS, Some(pins))
    }

    /// Loads the agent on the maps pinned in `pins`.
    pub fn agent(gue_port: u16, pins: &PinDir) -> Result<Self, Error> {
        let mut loader = EbpfLoader::new();
        loader.override_global(global::AGENT_GUE_PORT, &gue_port, true);
        Self::load(loader, program::AGENT, AGENT_MAPS, Some(pins))
    }

    /// Loads the program that passes everything.
    pub fn pass() -> Result<Self, Error> {
        Self::load(EbpfLoader::new(), program::PASS, &[], None)
    }

    /// The program.
    pub fn xdp(&mut self) -> Result<&mut Xdp, Error> {
        let program =
            self.ebpf.program_mut(self.name).ok_or_else(|| refused(self.name, "not in the object".into()))?;
        program.try_into().map_err(|error: ProgramError| refused(self.name, chain(&error)))
    }

    /// The kernel's id of the program.
    pub fn id(&mut self) -> Result<u32, Error> {
        let name = self.name;
        Ok(self.xdp()?.info().map_err(|error| refused(name, chain(&error)))?.id())
    }

    /// The object's other parts.
    pub fn object_mut(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    fn load(
        mut loader: EbpfLoader<'_>,
        name: &'static str,
        used: &[&str],
        pins: Option<&PinDir>,
    ) -> Result<Self, Error> {
        for map in BALANCER_MAPS.iter().chain(AGENT_MAPS) {
            match pins {
                Some(pins) if used.contains(map) => loader.map_pin_path(map, pins.map(map)),
                Some(_) | None => loader.map_max_entries(map, 1),
            };
        }
        let ebpf = loader.load(OBJECT).map_err(|error| refused(name, chain(&error)))?;
        let mut program = Self { ebpf, name };
        program.xdp()?.load().map_err(|error| refused(name, chain(&error)))?;
        Ok(program)
    }
}

/// The maps that the balancer's pin directory holds.
pub const BALANCER_MAPS: &[&str] = &[
    map::SERVICES4,
    map::SERVICES6,
    map::PREFIXES4,
    map::PREFIXES6,
    map::TABLES,
    map::BACKENDS,
    map::DEVICES,
    map::SERVICE_COUNTERS,
    map::BACKEND_COUNTERS,
    map::REASONS,
    map::STATE,
    map::BACKEND_RECORDS,
    map::POOL_RECORDS,
    map::SERVICE_RECORDS,
];

/// The maps that the agent's pin directory holds.
pub const AGENT_MAPS: &[&str] =
    &[map::AGENT_SOURCES4, map::AGENT_SOURCES6, map::AGENT_ADDRESSES, map::REASONS, map::STATE];

/// The shapes of the object's maps, by name.
pub fn shapes() -> Result<BTreeMap<String, Shape>, Error> {
    Ok(parse()?.maps.iter().map(|(name, map)| (name.clone(), Shape::wanted(map))).collect())
}

/// The definition of a table: the inner map of [`map::TABLES`], without the type information that names no object here.
pub fn table_definition() -> Result<aya_obj::Map, Error> {
    let object = parse()?;
    let inner = object
        .maps
        .get(map::TABLES)
        .and_then(aya_obj::Map::inner)
        .ok_or_else(|| refused(map::TABLES, "the object defines no inner map".into()))?;
    Ok(aya_obj::Map::new_from_params(
        inner.map_type(),
        inner.key_size(),
        inner.value_size(),
        inner.max_entries(),
        inner.map_flags(),
    ))
}

static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("XLB_BPF_OBJECT_FILE"));

fn parse() -> Result<aya_obj::Object, Error> {
    aya_obj::Object::parse(OBJECT).map_err(|error| refused("xlb-bpf.o", chain(&error)))
}

fn refused(program: &str, reason: String) -> Error {
    Error::Load { program: program.into(), reason }
}

/// An error with its causes: aya says "failed to load" and leaves the errno to the source.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a string cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}
