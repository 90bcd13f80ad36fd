//! A configuration whose values are good one by one, but which nobody has looked at as a whole.
//!
//! A value that could not be read is `None`: its error has been recorded, and checks pass over it, so that one
//! mistake is told once. Every value that can be part of a conflict knows its place.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{
    Algorithm, Backend, Config, Daemon, Encapsulation, Forward, HashKey, Interface, Name, Pool, Ports,
    Protocol, Service,
};
use super::report::Span;

/// A value and its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> At<T> {
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// Another value, from the same place.
    pub fn with<U>(&self, value: U) -> At<U> {
        At::new(value, self.span)
    }

    /// The value, from nowhere.
    fn nowhere(value: T) -> Self {
        Self::new(value, Span::default())
    }
}

#[derive(Debug)]
pub(super) struct Draft {
    pub seed: u64,
    pub daemon: Daemon,
    pub encapsulation: EncapsulationDraft,
    pub interfaces: Vec<(At<String>, Interface)>,
    pub pools: Vec<PoolDraft>,
    pub services: Vec<ServiceDraft>,
}

#[derive(Debug)]
pub(super) struct EncapsulationDraft {
    pub source_ipv4: Option<At<IpNet>>,
    pub source_ipv6: Option<At<IpNet>>,
    pub gue_port: u16,
    pub gue_zero_checksum: bool,
}

#[derive(Debug)]
pub(super) struct PoolDraft {
    pub name: At<Name>,
    pub algorithm: Algorithm,
    pub forward: Option<At<Forward>>,
    pub stable: bool,
    /// `None` when the list as a whole could not be read.
    pub backends: Option<Vec<BackendDraft>>,
}

#[derive(Debug)]
pub(super) struct BackendDraft {
    pub name: Option<At<Name>>,
    pub address: Option<At<IpAddr>>,
    pub port: Option<At<u16>>,
    pub weight: u16,
}

#[derive(Debug)]
pub(super) struct ServiceDraft {
    pub name: At<Name>,
    pub address: Option<At<IpNet>>,
    pub protocol: Option<Protocol>,
    pub ports: Option<At<Ports>>,
    pub pool: Option<At<Name>>,
    pub hash: HashKey,
}

impl Default for EncapsulationDraft {
    fn default() -> Self {
        Self {
            source_ipv4: None,
            source_ipv6: None,
            gue_port: super::defaults::GUE_PORT,
            gue_zero_checksum: super::defaults::GUE_ZERO_CHECKSUM,
        }
    }
}

impl PoolDraft {
    /// The backends that could be read.
    pub fn backends(&self) -> impl Iterator<Item = &BackendDraft> {
        self.backends.iter().flatten()
    }
}

impl Draft {
    /// The configuration; `None` when something could not be read, which has been recorded then.
    pub fn finish(self) -> Option<Config> {
        let pools = self.pools.into_iter().map(|pool| Some((pool.name.value.clone(), pool.finish()?)));
        let services =
            self.services.into_iter().map(|service| Some((service.name.value.clone(), service.finish()?)));
        Some(Config {
            seed: self.seed,
            daemon: self.daemon,
            encapsulation: Encapsulation {
                source_ipv4: self.encapsulation.source_ipv4.map(|at| at.value),
                source_ipv6: self.encapsulation.source_ipv6.map(|at| at.value),
                gue_port: self.encapsulation.gue_port,
                gue_zero_checksum: self.encapsulation.gue_zero_checksum,
            },
            interfaces: self
                .interfaces
                .into_iter()
                .map(|(name, interface)| (name.value, interface))
                .collect(),
            pools: pools.collect::<Option<_>>()?,
            services: services.collect::<Option<_>>()?,
        })
    }
}

impl PoolDraft {
    fn finish(self) -> Option<Pool> {
        let backends = self.backends?.into_iter().map(|backend| {
            let address = backend.address?.value;
            let port = backend.port.map(|at| at.value);
            Some((backend.name?.value, Backend { address, port, weight: backend.weight }))
        });
        Some(Pool {
            algorithm: self.algorithm,
            forward: self.forward?.value,
            stable: self.stable,
            backends: backends.collect::<Option<_>>()?,
        })
    }
}

impl ServiceDraft {
    fn finish(self) -> Option<Service> {
        Some(Service {
            address: self.address?.value,
            protocol: self.protocol?,
            ports: self.ports?.value,
            pool: self.pool?.value,
            hash: self.hash,
        })
    }
}

impl From<&Config> for Draft {
    fn from(config: &Config) -> Self {
        Self {
            seed: config.seed,
            daemon: config.daemon.clone(),
            encapsulation: EncapsulationDraft {
                source_ipv4: config.encapsulation.source_ipv4.map(At::nowhere),
                source_ipv6: config.encapsulation.source_ipv6.map(At::nowhere),
                gue_port: config.encapsulation.gue_port,
                gue_zero_checksum: config.encapsulation.gue_zero_checksum,
            },
            interfaces: config.interfaces.iter().map(|(name, of)| (At::nowhere(name.clone()), *of)).collect(),
            pools: config.pools.iter().map(|(name, pool)| PoolDraft::of(name, pool)).collect(),
            services: config.services.iter().map(|(name, service)| ServiceDraft::of(name, service)).collect(),
        }
    }
}

impl PoolDraft {
    fn of(name: &Name, pool: &Pool) -> Self {
        let backends = pool.backends.iter().map(|(name, backend)| BackendDraft {
            name: Some(At::nowhere(name.clone())),
            address: Some(At::nowhere(backend.address)),
            port: backend.port.map(At::nowhere),
            weight: backend.weight,
        });
        Self {
            name: At::nowhere(name.clone()),
            algorithm: pool.algorithm,
            forward: Some(At::nowhere(pool.forward)),
            stable: pool.stable,
            backends: Some(backends.collect()),
        }
    }
}

impl ServiceDraft {
    fn of(name: &Name, service: &Service) -> Self {
        Self {
            name: At::nowhere(name.clone()),
            address: Some(At::nowhere(service.address)),
            protocol: Some(service.protocol),
            ports: Some(At::nowhere(service.ports)),
            pool: Some(At::nowhere(service.pool.clone())),
            hash: service.hash,
        }
    }
}
