//! What fits the kernel's tables.

use std::collections::{BTreeMap, BTreeSet};

use ipnet::IpNet;
use lb_common::abi::{
    MAX_BACKENDS, MAX_INTERFACES, MAX_POOLS, MAX_PREFIX_KEYS, MAX_SERVICE_KEYS, MAX_SERVICES,
};

use crate::config::draft::{Draft, PoolDraft, ServiceDraft};
use crate::config::model::Protocol;
use crate::config::problem::{Limited, Problem};
use crate::config::report::{Finding, Span};

pub(super) fn check(draft: &Draft) -> Vec<Finding> {
    let backends = draft.pools.iter().flat_map(PoolDraft::backends);
    let backend_spans: Vec<Span> =
        backends.map(|backend| backend.name.as_ref().map_or(Span::default(), |name| name.span)).collect();
    let interface_spans: Vec<Span> = draft.interfaces.iter().map(|(name, _)| name.span).collect();
    let pool_spans: Vec<Span> = draft.pools.iter().map(|pool| pool.name.span).collect();
    let service_spans: Vec<Span> = draft.services.iter().map(|service| service.name.span).collect();
    let mut findings: Vec<Finding> = [
        (Limited::Interfaces, interface_spans, MAX_INTERFACES),
        (Limited::Pools, pool_spans, MAX_POOLS),
        (Limited::Services, service_spans, MAX_SERVICES),
        // Id 0 is no backend.
        (Limited::Backends, backend_spans, MAX_BACKENDS - 1),
    ]
    .into_iter()
    .filter_map(|(what, spans, max)| {
        let max = max as usize;
        let first_over = *spans.get(max)?;
        Some(Finding::new(Problem::TooMany { what, count: spans.len(), max }, first_over))
    })
    .collect();
    findings.extend(keys(draft));
    findings
}

/// Keys in the service maps: one per port, and one that marks each address and protocol.
fn keys(draft: &Draft) -> Vec<Finding> {
    let mut seen: BTreeSet<(IpNet, Protocol)> = BTreeSet::new();
    // By map: keys so far, and the service that was one too many.
    let mut maps: BTreeMap<&'static str, (Limited, usize, usize, Option<Span>)> = BTreeMap::new();
    for service in &draft.services {
        let Some((name, what, max, count)) = cost(service, &mut seen) else { continue };
        let map = maps.entry(name).or_insert((what, max, 0, None));
        map.2 += count;
        if map.2 > max && map.3.is_none() {
            map.3 = Some(service.name.span);
        }
    }
    maps.into_values()
        .filter_map(|(what, max, count, over)| {
            Some(Finding::new(Problem::TooMany { what, count, max }, over?))
        })
        .collect()
}

fn cost(
    service: &ServiceDraft,
    seen: &mut BTreeSet<(IpNet, Protocol)>,
) -> Option<(&'static str, Limited, usize, usize)> {
    let (net, protocol, ports) = (service.address?.value, service.protocol?, service.ports?.value);
    let marker = usize::from(seen.insert((net, protocol)));
    let count = ports.keys() as usize + marker;
    let exact = net.prefix_len() == net.max_prefix_len();
    let (name, what, max) = match (net, exact) {
        (IpNet::V4(_), true) => ("SERVICES4", Limited::Keys4, MAX_SERVICE_KEYS),
        (IpNet::V6(_), true) => ("SERVICES6", Limited::Keys6, MAX_SERVICE_KEYS),
        (IpNet::V4(_), false) => ("PREFIXES4", Limited::Prefixes4, MAX_PREFIX_KEYS),
        (IpNet::V6(_), false) => ("PREFIXES6", Limited::Prefixes6, MAX_PREFIX_KEYS),
    };
    Some((name, what, max as usize, count))
}
