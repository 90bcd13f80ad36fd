//! Services against each other, and the pools they name.
//!
//! Lookup goes from the exact port over any port to prefixes, a longer prefix first. What that order decides is no
//! conflict: only two services of one rank that would take the same packet are.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;

use crate::config::draft::{At, Draft, ServiceDraft};
use crate::config::model::{self, Name, Ports, Protocol};
use crate::config::problem::Problem;
use crate::config::report::Finding;
use crate::config::words::nearest;

/// A service and its ports.
type Claim<'a> = (&'a ServiceDraft, At<Ports>);

pub(super) fn check(draft: &Draft) -> Vec<Finding> {
    let mut findings = unknown_pools(draft);
    let mut groups: BTreeMap<(IpNet, Protocol), Vec<Claim<'_>>> = BTreeMap::new();
    for service in &draft.services {
        if let (Some(address), Some(protocol), Some(ports)) =
            (service.address, service.protocol, service.ports)
        {
            groups.entry((address.value, protocol)).or_default().push((service, ports));
        }
    }
    for ((net, protocol), mut services) in groups {
        services.sort_by_key(|(service, ports)| (bounds(ports.value), service.name.span.start));
        // The one that reaches furthest so far: if a later one overlaps any of those before, it overlaps this one.
        let mut widest: Option<Claim<'_>> = None;
        for (service, ports) in services {
            if let Some((other, others)) = widest
                && bounds(ports.value).0 <= bounds(others.value).1
            {
                findings.push(conflict(net, protocol, (other, others), (service, ports)));
            }
            if widest.is_none_or(|(_, others)| bounds(ports.value).1 > bounds(others.value).1) {
                widest = Some((service, ports));
            }
        }
    }
    findings
}

/// First and last port; any-port services are in a rank of their own, which port 0 stands for.
fn bounds(ports: Ports) -> (u16, u16) {
    match ports {
        Ports::Any => (0, 0),
        Ports::Range { first, last } => (first, last),
    }
}

fn conflict(net: IpNet, protocol: Protocol, one: Claim<'_>, two: Claim<'_>) -> Finding {
    let ((other, others), (service, ports)) =
        if one.0.name.span.start <= two.0.name.span.start { (one, two) } else { (two, one) };
    let (name, other_name) = (service.name.value.clone(), other.name.value.clone());
    if ports.value == others.value {
        let what = model::target(net, ports.value, protocol);
        let problem = Problem::DuplicateService { service: name, other: other_name, what };
        return Finding::new(problem, service.name.span).with(other.name.span, "the other one");
    }
    let (a, b) = (bounds(ports.value), bounds(others.value));
    let shared = Ports::Range { first: a.0.max(b.0), last: a.1.min(b.1) };
    let problem = Problem::OverlappingServices {
        service: name,
        other: other_name,
        what: model::target(net, shared, protocol),
    };
    Finding::new(problem, ports.span).with(others.span, "overlaps this")
}

fn unknown_pools(draft: &Draft) -> Vec<Finding> {
    let pools: BTreeSet<&Name> = draft.pools.iter().map(|pool| &pool.name.value).collect();
    let mut findings = Vec::new();
    for service in &draft.services {
        let Some(pool) = &service.pool else { continue };
        if !pools.contains(&pool.value) {
            let problem = Problem::UnknownPool {
                service: service.name.value.clone(),
                pool: pool.value.clone(),
                nearest: nearest(pool.value.as_str(), pools.iter().map(|name| name.as_str())),
            };
            findings.push(Finding::new(problem, pool.span));
        }
    }
    findings
}
