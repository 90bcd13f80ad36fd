//! What the kernel should hold: a configuration, the network and what the kernel holds now, compiled to an image.
//!
//! Pure. What is already in the kernel keeps its id, its table as far as the shares allow, and its counters; so the same
//! configuration compiled twice is the same image, and a restart changes nothing.

mod egress;
mod features;
mod ids;
mod name;
mod services;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use lb_common::abi::{
    BackendId, MAX_BACKENDS, MAX_INTERFACES, MAX_POOLS, MAX_PREFIX_KEYS, MAX_SERVICE_KEYS, MAX_SERVICES,
};

use self::ids::Ids;
pub(super) use self::ids::OWNED;
pub use self::name::{padded, text};
pub use self::tables::Members;
use super::command::LogPackets;
use crate::config::Config;
use crate::config::model::Name;
use crate::dataplane::{Image, Log, Variant};
use crate::net::{NextHop, Resolve};

/// What a configuration is compiled from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// What is wanted.
    pub config: &'a Config,
    /// What the kernel holds.
    pub previous: &'a Image,
    /// What the running tables were made for, as far as that is known: spares making them again.
    pub members: &'a Members,
    /// The log variant, if it is wanted.
    pub log: Option<&'a LogPackets>,
    /// Where packets leave.
    pub network: &'a dyn Resolve,
}

/// A configuration, compiled.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What the kernel should hold. Its generation is the previous one's.
    pub image: Image,
    /// What the tables were made for.
    pub members: Members,
    /// Every backend, by pool and name.
    pub backends: BTreeMap<(Name, Name), Placed>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What became of a backend.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Its id.
    pub id: BackendId,
    /// The present way to it; `None` when there is none (an earlier one may still be in use).
    pub hop: Option<NextHop>,
    /// Why it has no slots, or what is wrong with its next hop.
    pub problem: Option<String>,
}

/// Why a configuration cannot be in the kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The seed differs from the running one.
    #[error(
        "the seed is {wanted:#x} and the running balancer uses {running:#x}: another seed would send every established \
         connection elsewhere; keep it, or run `xlb detach --all` and start anew"
    )]
    Seed {
        /// The configuration's.
        wanted: u64,
        /// The kernel's.
        running: u64,
    },
    /// Not enough room in a map.
    #[error("{count} {what}, and the kernel's tables hold {most}: split the load over more balancers")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many fit.
        most: u32,
    },
    /// All numbers are taken until what was removed has left.
    #[error(
        "no free number for {0}: what this change removes still holds its number; remove first, then add in a second \
         change"
    )]
    NoFreeId(String),
}

/// Compiles a configuration.
pub fn compile(input: &Input<'_>) -> Result<Compiled, Error> {
    let Input { config, previous, network, .. } = *input;
    if previous.generation > 0 && previous.variant.seed != config.seed {
        return Err(Error::Seed { wanted: config.seed, running: previous.variant.seed });
    }
    let ids = ids::assign(config, previous)?;
    let (entries, backends, mut warnings) = egress::entries(input, &ids);

    let mut image = Image {
        generation: previous.generation,
        backends: entries,
        pool_records: ids.pool_records.clone(),
        service_records: ids.service_records.clone(),
        backend_records: ids.backend_records.clone(),
        ..Image::default()
    };
    services::keys(config, &ids, &mut image);
    let members = tables::tables(input, &ids, &mut image, &mut warnings);
    image.devices = devices(config, &image, network);
    let log = input.log.and_then(|log| log_variant(log, &ids));
    image.variant = Variant { seed: config.seed, features: features::features(config, &image, network), log };
    check_room(&image)?;
    Ok(Compiled { image, members, backends, warnings })
}

/// The devices that packets may be redirected to. One that is not there (any more) cannot be in a devmap.
fn devices(config: &Config, image: &Image, network: &dyn Resolve) -> BTreeSet<u32> {
    let ifindex = |name: &String| network.interface(name).map(|facts| facts.ifindex);
    let existing: BTreeSet<u32> = network.interface_names().iter().filter_map(ifindex).collect();
    let attached = config.interfaces.keys().filter_map(ifindex);
    let egress = image.backends.values().map(|egress| egress.ifindex);
    attached.chain(egress).filter(|ifindex| existing.contains(ifindex)).collect()
}

/// A service that is gone has no packets to log: then there is no log variant either.
fn log_variant(log: &LogPackets, ids: &Ids) -> Option<Log> {
    let LogPackets { ref service, rate } = *log;
    match service {
        None => Some(Log { service: None, rate }),
        Some(name) => ids.services.get(name).map(|&id| Log { service: Some(id), rate }),
    }
}

fn check_room(image: &Image) -> Result<(), Error> {
    let counts = [
        ("pools", image.tables.len(), MAX_POOLS),
        ("services", image.service_records.len(), MAX_SERVICES),
        ("IPv4 service addresses and ports", image.services4.len(), MAX_SERVICE_KEYS),
        ("IPv6 service addresses and ports", image.services6.len(), MAX_SERVICE_KEYS),
        ("IPv4 service prefixes and ports", image.prefixes4.len(), MAX_PREFIX_KEYS),
        ("IPv6 service prefixes and ports", image.prefixes6.len(), MAX_PREFIX_KEYS),
        ("backends", image.backends.len(), MAX_BACKENDS - 1),
        ("interfaces", image.devices.len(), MAX_INTERFACES),
    ];
    match counts.into_iter().find(|&(_, count, most)| count > most as usize) {
        Some((what, count, most)) => Err(Error::TooMany { what, count, most }),
        None => Ok(()),
    }
}
