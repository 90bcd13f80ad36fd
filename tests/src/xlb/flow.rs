//! Which slot a flow falls in: the host's run of the very code that the balancer runs in the kernel.

use std::net::{IpAddr, SocketAddr};

use lb_common::abi::{SLOTS, Service, protocol};
use lb_common::hash::flow_hash;
use lb_common::header::Ports;
use lb_common::packet::{Family, Flow};
use lb_common::wire::{Address, Be16, Be32, address4, address6};
use lb_userspace::config::model::Protocol;

use super::SEED;

/// The slot of a flow from `client` to `service` in a lab's configuration, under a hash of the whole five-tuple.
pub fn slot(protocol: Protocol, client: SocketAddr, service: SocketAddr) -> usize {
    let (family, source) = wire(client.ip());
    let flow = Flow {
        family,
        source,
        destination: wire(service.ip()).1,
        ports: Ports { source: Be16::new(client.port()), destination: Be16::new(service.port()) },
        protocol: match protocol {
            Protocol::Tcp => protocol::TCP,
            Protocol::Udp => protocol::UDP,
        },
    };
    let ones = Be32::from_raw(u32::MAX);
    let key = Service { id: 0, table: 0, source_mask: [ones; 4], tuple_mask: u32::MAX, flags: 0 };
    flow_hash(&flow, &key, SEED) as usize & (SLOTS - 1)
}

fn wire(address: IpAddr) -> (Family, Address) {
    match address {
        IpAddr::V4(address) => (Family::V4, address4(address.octets())),
        IpAddr::V6(address) => (Family::V6, address6(address.octets())),
    }
}
