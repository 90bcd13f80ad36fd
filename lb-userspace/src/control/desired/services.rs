//! Services as keys and values of the service maps.

use std::net::IpAddr;

use lb_common::abi::{
    PREFIX_KEY_HEAD_BITS, PrefixKey4, PrefixKey6, Service, ServiceKey4, ServiceKey6, key_kind,
};
use lb_common::wire::{Address, Be16, Be32, address6};

use super::ids::Ids;
use crate::config::Config;
use crate::config::model::{self, HashKey, Ports};
use crate::dataplane::Image;

/// Fills the image's service maps.
pub(super) fn keys(config: &Config, ids: &Ids, image: &mut Image) {
    for (name, service) in &config.services {
        let value = value(service, ids.services[name], ids.pools[&service.pool]);
        let protocol = service.protocol.number();
        match service.ports {
            Ports::Any => insert(image, service, Place { port: 0, protocol, kind: key_kind::SERVICE }, value),
            Ports::Range { first, last } => {
                for port in first..=last {
                    insert(image, service, Place { port, protocol, kind: key_kind::SERVICE }, value);
                }
            }
        }
        insert(image, service, Place { port: 0, protocol, kind: key_kind::ADDRESS }, value);
    }
}

/// What of a key is not the address.
#[derive(Clone, Copy)]
struct Place {
    port: u16,
    protocol: u8,
    kind: u8,
}

/// Several services may share an address: its marker is the one of the lowest id, so that it does not depend on names.
fn insert(image: &mut Image, service: &model::Service, place: Place, value: Service) {
    fn lowest<K: Ord>(map: &mut std::collections::BTreeMap<K, Service>, key: K, value: Service) {
        let entry = map.entry(key).or_insert(value);
        if value.id < entry.id {
            *entry = value;
        }
    }

    let Place { port, protocol, kind } = place;
    let port = Be16::new(port);
    let prefix_len = PREFIX_KEY_HEAD_BITS + u32::from(service.address.prefix_len());
    match (service.address.network(), service.is_exact()) {
        (IpAddr::V4(address), true) => {
            let address = Be32::new(address.to_bits());
            lowest(&mut image.services4, ServiceKey4 { address, port, protocol, kind }, value);
        }
        (IpAddr::V6(address), true) => {
            let address = address6(address.octets());
            lowest(&mut image.services6, ServiceKey6 { address, port, protocol, kind }, value);
        }
        (IpAddr::V4(address), false) => {
            let address = Be32::new(address.to_bits());
            lowest(&mut image.prefixes4, PrefixKey4 { prefix_len, protocol, kind, port, address }, value);
        }
        (IpAddr::V6(address), false) => {
            let address = address6(address.octets());
            lowest(&mut image.prefixes6, PrefixKey6 { prefix_len, protocol, kind, port, address }, value);
        }
    }
}

fn value(service: &model::Service, id: u32, table: u32) -> Service {
    const ALL: Address = [Be32::from_raw(u32::MAX); 4];
    let (source_mask, tuple_mask) = match (service.hash, service.address) {
        (HashKey::FiveTuple, _) => (ALL, u32::MAX),
        (HashKey::Source, _) => (ALL, 0),
        (HashKey::SourcePrefix { ipv4, .. }, ipnet::IpNet::V4(_)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(ipv4.min(32))).unwrap_or(0);
            ([Be32::new(mask), Be32::new(0), Be32::new(0), Be32::new(0)], 0)
        }
        (HashKey::SourcePrefix { ipv6, .. }, ipnet::IpNet::V6(_)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(ipv6.min(128))).unwrap_or(0);
            (address6(mask.to_be_bytes()), 0)
        }
    };
    Service { id, table, source_mask, tuple_mask, flags: 0 }
}
