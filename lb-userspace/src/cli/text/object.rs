//! Services, pools, backends and tables.

use std::fmt::Write;

use serde::Serialize;

use super::{share, text, word};
use crate::api::body::Owners;
use crate::cli::columns::{Align, Columns};
use crate::config::model::Name;
use crate::control::view::{BackendView, NextHopView, PoolView, ServiceView};

/// A backend with its pool's name: what `xlb backend list --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BackendRow {
    /// The pool.
    pub pool: Name,
    /// The backend.
    #[serde(flatten)]
    pub backend: BackendView,
}

impl BackendRow {
    /// Every backend of some pools.
    pub fn all(pools: Vec<PoolView>) -> Vec<Self> {
        let row = |pool: &Name, backend| Self { pool: pool.clone(), backend };
        pools.into_iter().flat_map(|p| p.backends.into_iter().map(move |b| row(&p.name, b))).collect()
    }
}

/// `xlb service list`.
pub fn services(services: &[ServiceView]) -> String {
    if services.is_empty() {
        return "no services: they are made in the configuration file\n".to_owned();
    }
    let mut columns = Columns::new(
        ["SERVICE", "ADDRESS", "PROTOCOL", "PORTS", "POOL", "HASH"].map(|heading| (heading, Align::Left)),
    );
    for service in services {
        columns.row([
            service.name.to_string(),
            service.address.clone(),
            service.protocol.to_string(),
            service.ports.clone(),
            service.pool.to_string(),
            service.hash.clone(),
        ]);
    }
    columns.to_string()
}

/// `xlb service show`.
pub fn service(service: &ServiceView) -> String {
    format!(
        "service   {}\n\
         address   {}\n\
         protocol  {}\n\
         ports     {}\n\
         pool      {}\n\
         hash      {}\n\
         id        {}\n",
        service.name,
        service.address,
        service.protocol,
        service.ports,
        service.pool,
        service.hash,
        service.id,
    )
}

/// `xlb pool list`.
pub fn pools(pools: &[PoolView]) -> String {
    if pools.is_empty() {
        return "no pools: they are made in the configuration file\n".to_owned();
    }
    let mut columns = Columns::new([
        ("POOL", Align::Left),
        ("ALGORITHM", Align::Left),
        ("FORWARD", Align::Left),
        ("BACKENDS", Align::Right),
        ("WITHOUT-SLOTS", Align::Right),
        ("DIGEST", Align::Left),
    ]);
    for pool in pools {
        columns.row([
            pool.name.to_string(),
            word(pool.algorithm),
            word(pool.forward),
            pool.backends.len().to_string(),
            pool.backends.iter().filter(|b| b.slots == 0).count().to_string(),
            pool.digest.clone(),
        ]);
    }
    columns.to_string()
}

/// `xlb pool show`: the pool, its backends, and what is wrong with them.
pub fn pool(pool: &PoolView) -> String {
    let change = if pool.stable {
        "stable, a change moves as few slots as can be"
    } else {
        "pure, a function of the members"
    };
    let mut out = format!(
        "pool       {}\n\
         algorithm  {} ({change})\n\
         forward    {}\n\
         digest     {}\n\n",
        pool.name,
        word(pool.algorithm),
        word(pool.forward),
        pool.digest,
    );
    let mut columns = Columns::new([
        ("BACKEND", Align::Left),
        ("ADDRESS", Align::Left),
        ("PORT", Align::Right),
        ("WEIGHT", Align::Right),
        ("SLOTS", Align::Right),
        ("SHARE", Align::Right),
        ("FROM", Align::Left),
        ("NEXT-HOP", Align::Left),
    ]);
    for backend in &pool.backends {
        columns.row([
            backend.name.to_string(),
            backend.address.to_string(),
            text(backend.port),
            backend.weight.to_string(),
            backend.slots.to_string(),
            share(backend.slots),
            origin(backend),
            backend.next_hop.as_ref().map(next_hop).unwrap_or_default(),
        ]);
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "{columns}");
    let problems = pool.backends.iter().filter_map(|b| Some((&b.name, b.problem.as_deref()?)));
    for (number, (name, problem)) in problems.enumerate() {
        let gap = if number == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{gap}{name}: {problem}");
    }
    out
}

/// `xlb backend list`.
pub fn backends(rows: &[BackendRow]) -> String {
    if rows.is_empty() {
        return "no backends: `xlb backend add POOL NAME ADDRESS` adds one\n".to_owned();
    }
    let mut columns = Columns::new([
        ("POOL", Align::Left),
        ("BACKEND", Align::Left),
        ("ADDRESS", Align::Left),
        ("PORT", Align::Right),
        ("WEIGHT", Align::Right),
        ("SLOTS", Align::Right),
        ("SHARE", Align::Right),
        ("FROM", Align::Left),
        ("PROBLEM", Align::Left),
    ]);
    for BackendRow { pool, backend } in rows {
        columns.row([
            pool.to_string(),
            backend.name.to_string(),
            backend.address.to_string(),
            text(backend.port),
            backend.weight.to_string(),
            backend.slots.to_string(),
            share(backend.slots),
            origin(backend),
            text(backend.problem.as_ref()),
        ]);
    }
    columns.to_string()
}

/// `xlb pool table`: runs of slots with the same owner would be short and many, so each slot has its line.
pub fn table(owners: &Owners) -> String {
    let mut out = String::with_capacity(owners.slots.len() * 16);
    for (slot, owner) in owners.slots.iter().enumerate() {
        let name = owner.and_then(|index| owners.backends.get(usize::from(index)));
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{slot}  {}", name.map_or("-", Name::as_str));
    }
    out
}

fn origin(backend: &BackendView) -> String {
    if backend.runtime { "runtime" } else { "config" }.to_owned()
}

/// `eth0 vlan 100.20 via 10.0.0.1 mac 02:00:00:00:00:01 mtu 1500`, in the words of `ip route`.
fn next_hop(hop: &NextHopView) -> String {
    let mut out = hop.interface.clone();
    if !hop.vlans.is_empty() {
        let tags: Vec<String> = hop.vlans.iter().map(u16::to_string).collect();
        // Writing to a String cannot fail.
        let _ = write!(out, " vlan {}", tags.join("."));
    }
    if let Some(gateway) = hop.gateway {
        let _ = write!(out, " via {gateway}");
    }
    let _ = write!(out, " mac {} mtu {}", hop.mac, hop.mtu);
    out
}
