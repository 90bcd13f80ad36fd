//! Changes at run time, as whole configurations: they meet the same rules as a file.

use std::net::IpAddr;

use super::command::Error;
use crate::config::Config;
use crate::config::diff::diff;
use crate::config::model::{AttachMode, Backend, Interface, Name};

/// With one more backend.
pub(super) fn add(
    config: &Config,
    pool: &Name,
    name: Name,
    address: IpAddr,
    port: Option<u16>,
    weight: u16,
) -> Result<Config, Error> {
    known(config, pool, None)?;
    config.with_backend(pool, name, Backend { address, port, weight }).map_err(|problem| refused(&problem))
}

/// With another weight for a backend.
pub(super) fn weigh(config: &Config, pool: &Name, name: &Name, weight: u16) -> Result<Config, Error> {
    known(config, pool, Some(name))?;
    config.with_weight(pool, name, weight).map_err(|problem| refused(&problem))
}

/// With one backend less.
pub(super) fn remove(config: &Config, pool: &Name, name: &Name) -> Result<Config, Error> {
    known(config, pool, Some(name))?;
    config.without_backend(pool, name).map_err(|problem| refused(&problem))
}

/// With one more interface, or another mode for one.
pub(super) fn attach(config: &Config, interface: String, mode: AttachMode) -> Config {
    let mut edited = config.clone();
    edited.interfaces.insert(interface, Interface { mode });
    edited
}

/// With one interface less.
pub(super) fn detach(config: &Config, interface: &str) -> Result<Config, Error> {
    let mut edited = config.clone();
    match edited.interfaces.remove(interface) {
        Some(_) => Ok(edited),
        None => Err(Error::Refused(format!(
            "the balancer is not on interface {interface}: `xlb interface list` shows where it is"
        ))),
    }
}

/// What changes from one configuration to the next.
pub(super) fn sentences(old: Option<&Config>, new: &Config) -> Vec<String> {
    match old {
        Some(old) => diff(old, new).iter().map(ToString::to_string).collect(),
        None => vec!["first configuration of this daemon".to_owned()],
    }
}

/// Refuses pools and backends that are not there.
pub(super) fn known(config: &Config, pool: &Name, backend: Option<&Name>) -> Result<(), Error> {
    let found = config.pools.get(pool).ok_or_else(|| Error::NoPool(pool.clone()))?;
    match backend {
        Some(backend) if !found.backends.contains_key(backend) => {
            Err(Error::NoBackend { pool: pool.clone(), backend: backend.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

fn refused(problem: &crate::config::Problem) -> Error {
    let hint = problem.hint();
    Error::Refused(if hint.is_empty() { problem.to_string() } else { format!("{problem}: {hint}") })
}
