//! Which service a packet is for, and which backend its flow's slot names.

use crate::Reason;
use crate::abi::{
    PREFIX_KEY_HEAD_BITS, PrefixKey4, PrefixKey6, Service, ServiceKey4, ServiceKey6, Slot, global, key_kind,
};
use crate::packet::{Family, Flow, Fragment, Packet};
use crate::tables::{Settings, Tables};
use crate::wire::Be16;

/// Finds the service: exact, then any-port, then prefix, then prefix with any port.
///
/// A later fragment has no port: for it, any service with its address and protocol counts.
#[inline(always)]
pub fn service<'t, T: Tables>(
    packet: &Packet,
    tables: &'t T,
    settings: &Settings,
) -> Result<&'t Service, Reason> {
    let found = match packet.fragment {
        Fragment::Whole | Fragment::First => with_port(&packet.flow, tables, settings),
        Fragment::Later => with_address(&packet.flow, tables, settings),
    };
    found.ok_or(Reason::NotService)
}

/// The slot that the hash picks of the service's table.
#[inline(always)]
pub fn slot<T: Tables>(service: &Service, hash: u32, tables: &T) -> Result<Slot, Reason> {
    tables.slot(service.table, hash).ok_or(Reason::BadTable)
}

const ANY: Be16 = Be16::from_raw(0);

#[inline(always)]
fn with_port<'t, T: Tables>(flow: &Flow, tables: &'t T, settings: &Settings) -> Option<&'t Service> {
    let port = flow.ports.destination;
    let mut found = exact(flow, port, key_kind::SERVICE, tables);
    if settings.has(global::ANY_PORT) && found.is_none() {
        found = exact(flow, ANY, key_kind::SERVICE, tables);
    }
    if settings.has(global::PREFIX) && found.is_none() {
        found = prefix(flow, port, key_kind::SERVICE, tables);
    }
    if settings.has(global::PREFIX_ANY_PORT) && found.is_none() {
        found = prefix(flow, ANY, key_kind::SERVICE, tables);
    }
    found
}

#[inline(always)]
fn with_address<'t, T: Tables>(flow: &Flow, tables: &'t T, settings: &Settings) -> Option<&'t Service> {
    let mut found = exact(flow, ANY, key_kind::ADDRESS, tables);
    if settings.has(global::PREFIX | global::PREFIX_ANY_PORT) && found.is_none() {
        found = prefix(flow, ANY, key_kind::ADDRESS, tables);
    }
    found
}

#[inline(always)]
fn exact<'t, T: Tables>(flow: &Flow, port: Be16, kind: u8, tables: &'t T) -> Option<&'t Service> {
    let protocol = flow.protocol;
    match flow.family {
        Family::V4 => tables.service4(&ServiceKey4 { address: flow.destination[0], port, protocol, kind }),
        Family::V6 => tables.service6(&ServiceKey6 { address: flow.destination, port, protocol, kind }),
    }
}

#[inline(always)]
fn prefix<'t, T: Tables>(flow: &Flow, port: Be16, kind: u8, tables: &'t T) -> Option<&'t Service> {
    let protocol = flow.protocol;
    match flow.family {
        Family::V4 => tables.prefix4(&PrefixKey4 {
            prefix_len: PREFIX_KEY_HEAD_BITS + 32,
            protocol,
            kind,
            port,
            address: flow.destination[0],
        }),
        Family::V6 => tables.prefix6(&PrefixKey6 {
            prefix_len: PREFIX_KEY_HEAD_BITS + 128,
            protocol,
            kind,
            port,
            address: flow.destination,
        }),
    }
}
