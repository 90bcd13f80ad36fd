//! Backends against each other, against the services that use their pool, and against every address of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::abi::MAX_BACKENDS;

use crate::config::draft::{At, BackendDraft, Draft, PoolDraft, ServiceDraft};
use crate::config::model::{Forward, Name, Ports};
use crate::config::problem::Problem;
use crate::config::report::{Finding, Span};
use crate::config::value;
use crate::config::words::Place;

pub(super) fn check(draft: &Draft) -> Vec<Finding> {
    let ours = Ours::of(draft);
    let mut users: BTreeMap<&Name, Vec<&ServiceDraft>> = BTreeMap::new();
    for service in &draft.services {
        if let Some(pool) = &service.pool {
            users.entry(&pool.value).or_default().push(service);
        }
    }
    let mut findings = Vec::new();
    for pool in &draft.pools {
        duplicates(pool, &mut findings);
        let Some(forward) = pool.forward else { continue };
        let count = pool.backends().count();
        if forward.value == Forward::Local && count > 1 {
            let problem = Problem::ManyLocal { pool: pool.name.value.clone(), count };
            findings.push(Finding::new(problem, forward.span));
        }
        let users = users.get(&pool.name.value).map_or(&[][..], Vec::as_slice);
        for backend in pool.backends() {
            findings.extend(port(pool, forward.value, backend, users));
            if let Some(address) = backend.address {
                findings.extend(place(pool, forward.value, backend, address, &ours));
            }
        }
    }
    findings
}

/// Two backends with one name, or with one address and the same port. A backend without a port has the service's,
/// whichever that is, and so equals every one with its address.
fn duplicates(pool: &PoolDraft, findings: &mut Vec<Finding>) {
    let mut names: BTreeMap<&Name, Span> = BTreeMap::new();
    let mut servers: BTreeMap<IpAddr, Vec<&BackendDraft>> = BTreeMap::new();
    // More than fit are refused anyway.
    for backend in pool.backends().take(MAX_BACKENDS as usize) {
        if let Some(name) = &backend.name
            && let Some(earlier) = names.insert(&name.value, name.span)
        {
            let problem = Problem::DuplicateName { pool: pool.name.value.clone(), name: name.value.clone() };
            findings.push(Finding::new(problem, name.span).with(earlier, "the other one"));
        }
        let (Some(name), Some(address)) = (&backend.name, backend.address) else { continue };
        let known = servers.entry(address.value).or_default();
        let port = |of: &BackendDraft| of.port.map(|at| at.value);
        let twin = known
            .iter()
            .find(|other| port(backend).is_none() || port(other).is_none() || port(backend) == port(other));
        if let Some((twin, other, earlier)) =
            twin.and_then(|twin| Some((twin, twin.name.as_ref()?, twin.address?)))
        {
            // The default name is the address: then the name is no second mistake.
            if twin.name.as_ref().is_some_and(|other| other.value == name.value && other.span == earlier.span)
            {
                findings.pop();
            }
            let problem = Problem::DuplicateBackend {
                pool: pool.name.value.clone(),
                backend: name.value.clone(),
                other: other.value.clone(),
                address: address.value,
            };
            findings.push(Finding::new(problem, address.span).with(earlier.span, "the other one"));
        }
        known.push(backend);
    }
}

/// A port that is not the port of a service.
fn port(
    pool: &PoolDraft,
    forward: Forward,
    backend: &BackendDraft,
    users: &[&ServiceDraft],
) -> Option<Finding> {
    let (port, name) = (backend.port?, backend.name.as_ref()?);
    let same = Ports::Range { first: port.value, last: port.value };
    let (service, ports) = users
        .iter()
        .filter_map(|service| Some((service, service.ports?)))
        .find(|(_, ports)| ports.value != same)?;
    let problem = Problem::BackendPort {
        pool: pool.name.value.clone(),
        backend: name.value.clone(),
        port: port.value,
        service: service.name.value.clone(),
        ports: ports.value,
        forward,
    };
    Some(Finding::new(problem, port.span).with(ports.span, "the service's port"))
}

/// An address that no backend can have, or that is one of ours.
fn place(
    pool: &PoolDraft,
    forward: Forward,
    backend: &BackendDraft,
    address: At<IpAddr>,
    ours: &Ours<'_>,
) -> Option<Finding> {
    if let Err(problem) = value::usable_backend(address.value, forward) {
        return Some(Finding::new(problem, address.span));
    }
    let name = backend.name.as_ref()?;
    let (pool, backend, address, span) =
        (pool.name.value.clone(), name.value.clone(), address.value, address.span);
    if forward == Forward::Local {
        return None;
    }
    if let Some((service, net)) = ours.service(address) {
        let problem = Problem::BackendIsService {
            pool,
            backend,
            address,
            service: service.value.clone(),
            net: Place(net.value),
        };
        return Some(Finding::new(problem, span).with(net.span, "takes it in"));
    }
    let outer = match forward {
        Forward::Ipip | Forward::Gue => ours.sources.iter().find(|(_, net)| net.value.contains(&address)),
        Forward::L2 | Forward::Local => None,
    };
    let (key, net) = *outer?;
    let problem = Problem::BackendIsSource { pool, backend, address, key, net: Place(net.value) };
    Some(Finding::new(problem, span).with(net.span, "takes it in"))
}

/// The addresses that are no backend's.
struct Ours<'a> {
    services: BTreeMap<IpNet, (&'a At<Name>, At<IpNet>)>,
    /// Lengths of the prefixes in `services`, so that a look-up takes as many steps as there are lengths.
    lengths: BTreeSet<u8>,
    sources: Vec<(&'static str, At<IpNet>)>,
}

impl<'a> Ours<'a> {
    fn of(draft: &'a Draft) -> Self {
        let mut services = BTreeMap::new();
        for service in &draft.services {
            if let Some(address) = service.address {
                services.entry(address.value).or_insert((&service.name, address));
            }
        }
        let sources = [
            ("source_ipv4", draft.encapsulation.source_ipv4),
            ("source_ipv6", draft.encapsulation.source_ipv6),
        ];
        Self {
            lengths: services.keys().map(|net: &IpNet| net.prefix_len()).collect(),
            services,
            sources: sources.into_iter().filter_map(|(key, net)| Some((key, net?))).collect(),
        }
    }

    /// The service that takes an address in, the narrowest first.
    fn service(&self, address: IpAddr) -> Option<(&'a At<Name>, At<IpNet>)> {
        self.lengths.iter().rev().find_map(|length| {
            let net = IpNet::new(address, *length).ok()?.trunc();
            self.services.get(&net).copied()
        })
    }
}
