//! The view: what the room shows of itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lb_common::abi::{BackendId, Egress, mode};

use super::command::{Answer, Error};
use super::desired::Placed;
use super::edit;
use super::room::Running;
use super::view::{BackendView, InterfaceView, NextHopView, PoolView, ServiceView, View};
use crate::config::Config;
use crate::config::model::{HashKey, Interface, Name, Pool, Service};
use crate::net::Resolve;
use crate::table::{Identity, Table};

/// Digests of tables that have not changed since they were computed, by table index.
pub(super) type Digests = BTreeMap<u32, (Arc<Table>, String)>;

/// Everything that is to be seen.
pub(super) struct Scene<'a> {
    pub config: Option<&'a Config>,
    /// What the file says, where that is another thing.
    pub file: Option<&'a Config>,
    pub config_file: Option<&'a Path>,
    pub running: &'a Running,
    pub network: &'a dyn Resolve,
}

/// Who owns each slot of a pool's table.
pub(super) fn table(config: &Config, running: &Running, pool: &Name) -> Result<Answer, Error> {
    edit::known(config, pool, None)?;
    let scene = |name: &Name| running.placed.get(&(pool.clone(), name.clone())).map(|placed| placed.id);
    let backends: Vec<Name> = config.pools[pool].backends.keys().cloned().collect();
    let indices: BTreeMap<BackendId, u16> =
        (0_u16..).zip(&backends).filter_map(|(index, name)| Some((scene(name)?, index))).collect();
    let table = index_of(running, pool).and_then(|index| running.image.tables.get(&index));
    let owners = table.map_or_else(|| Arc::new(Table::empty()), Arc::clone);
    let slots = owners.owners().map(|owner| indices.get(&owner).copied()).collect();
    Ok(Answer::Table { backends, slots })
}

impl<'a> Scene<'a> {
    /// The wanted interfaces.
    pub fn interfaces(&self) -> &'a BTreeMap<String, Interface> {
        static NONE: BTreeMap<String, Interface> = BTreeMap::new();
        self.config.map_or(&NONE, |config| &config.interfaces)
    }

    /// The snapshot.
    pub fn view(&self, interfaces: Vec<InterfaceView>, warnings: Vec<String>, digests: &mut Digests) -> View {
        digests.retain(|index, _| self.running.image.tables.contains_key(index));
        let pools = self.config.iter().flat_map(|config| &config.pools);
        let services = self.config.iter().flat_map(|config| &config.services);
        let mut warnings = warnings;
        if self.config.is_none() {
            warnings.push("no configuration is in force: what the kernel holds stays as it is".to_owned());
        }
        warnings.extend(interfaces.iter().filter_map(|interface| interface.problem.clone()));
        View {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            generation: self.running.image.generation,
            config_file: self.config_file.map(|path| path.display().to_string()),
            interfaces,
            pools: pools.filter_map(|(name, pool)| self.pool(name, pool, digests)).collect(),
            services: services.filter_map(|(name, service)| self.service(name, service)).collect(),
            warnings,
        }
    }

    fn pool(&self, name: &Name, pool: &Pool, digests: &mut Digests) -> Option<PoolView> {
        let index = index_of(self.running, name)?;
        let table = self.running.image.tables.get(&index)?;
        let shares = table.shares();
        let backends = pool.backends.iter().map(|(backend, settings)| {
            let placed = self.running.placed.get(&(name.clone(), backend.clone()));
            let file =
                self.file.and_then(|file| file.pools.get(name)).and_then(|pool| pool.backends.get(backend));
            BackendView {
                name: backend.clone(),
                address: settings.address,
                port: settings.port,
                weight: settings.weight,
                id: placed.map(|placed| placed.id.get()),
                slots: placed.and_then(|placed| shares.get(&placed.id)).copied().unwrap_or(0),
                next_hop: placed.and_then(|placed| self.next_hop(placed)),
                problem: placed.and_then(|placed| placed.problem.clone()),
                runtime: file != Some(settings),
            }
        });
        Some(PoolView {
            name: name.clone(),
            algorithm: pool.algorithm,
            forward: pool.forward,
            stable: pool.stable,
            table: index,
            digest: self.digest(index, table, digests),
            backends: backends.collect(),
        })
    }

    fn digest(&self, index: u32, table: &Arc<Table>, digests: &mut Digests) -> String {
        if let Some((known, digest)) = digests.get(&index)
            && Arc::ptr_eq(known, table)
        {
            return digest.clone();
        }
        let members = self.running.members.get(&index).map(Vec::as_slice).unwrap_or_default();
        let known: BTreeMap<BackendId, Identity> =
            members.iter().map(|member| (member.id, member.identity())).collect();
        let digest = format!("{:016x}", table.digest(|id| known.get(&id).copied()));
        digests.insert(index, (table.clone(), digest.clone()));
        digest
    }

    fn next_hop(&self, placed: &Placed) -> Option<NextHopView> {
        let egress =
            self.running.image.backends.get(&placed.id).filter(|egress| egress.mode != mode::LOCAL)?;
        let interface = match &placed.hop {
            Some(hop) => Some(hop.interface.clone()),
            None => self.interface_name(egress.ifindex),
        };
        Some(NextHopView {
            interface: interface.unwrap_or_else(|| format!("interface {} (gone)", egress.ifindex)),
            ifindex: egress.ifindex,
            mac: mac(egress.destination_mac),
            vlans: vlans(egress),
            gateway: placed.hop.as_ref().and_then(|hop| hop.gateway),
            mtu: u32::from(egress.mtu),
        })
    }

    fn interface_name(&self, ifindex: u32) -> Option<String> {
        let is_it =
            |name: &String| self.network.interface(name).is_some_and(|facts| facts.ifindex == ifindex);
        self.network.interface_names().into_iter().find(is_it)
    }

    fn service(&self, name: &Name, service: &Service) -> Option<ServiceView> {
        let padded = super::desired::padded(name);
        let (&id, _) = self.running.image.service_records.iter().find(|(_, record)| record.name == padded)?;
        let address =
            if service.is_exact() { service.address.addr().to_string() } else { service.address.to_string() };
        Some(ServiceView {
            name: name.clone(),
            id,
            address,
            protocol: service.protocol,
            ports: service.ports.to_string(),
            pool: service.pool.clone(),
            hash: hash(service),
        })
    }
}

fn index_of(running: &Running, pool: &Name) -> Option<u32> {
    let padded = super::desired::padded(pool);
    running.image.pool_records.iter().find(|(_, record)| record.name == padded).map(|(&index, _)| index)
}

fn hash(service: &Service) -> String {
    match (service.hash, service.address) {
        (HashKey::FiveTuple, _) => "five-tuple".to_owned(),
        (HashKey::Source, _) => "source".to_owned(),
        (HashKey::SourcePrefix { ipv4, .. }, ipnet::IpNet::V4(_)) => format!("source/{ipv4}"),
        (HashKey::SourcePrefix { ipv6, .. }, ipnet::IpNet::V6(_)) => format!("source/{ipv6}"),
    }
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

fn vlans(egress: &Egress) -> Vec<u16> {
    egress.tags.iter().take(usize::from(egress.tag_count)).map(|tag| tag.tci.get() & 0xfff).collect()
}
