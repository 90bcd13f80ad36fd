//! What of the program the configuration uses: everything else is compiled out.
//!
//! Wherever possible the answer comes from the configuration alone, so that a neighbour that comes or goes does not load
//! a program.

use lb_common::abi::{global, mode};

use crate::config::Config;
use crate::config::model::{Encapsulation, Forward, Pool, Ports, Service};
use crate::dataplane::Image;
use crate::net::Resolve;

/// The bits of [`global`] for a configuration.
pub(super) fn features(config: &Config, image: &Image, network: &dyn Resolve) -> u32 {
    let services = config.services.values().map(service);
    let pools = config.pools.values().map(|settings| pool(settings, &config.encapsulation));
    services.chain(pools).fold(egress(config, image, network), |all, bits| all | bits)
}

fn service(service: &Service) -> u32 {
    let family = if service.address.addr().is_ipv4() { global::IPV4 } else { global::IPV6 };
    let any_port = matches!(service.ports, Ports::Any);
    let place = match (service.is_exact(), any_port) {
        (true, false) => 0,
        (true, true) => global::ANY_PORT,
        (false, false) => global::PREFIX,
        (false, true) => global::PREFIX | global::PREFIX_ANY_PORT,
    };
    family | place
}

fn pool(pool: &Pool, encapsulation: &Encapsulation) -> u32 {
    let tunnel = match pool.forward {
        Forward::Ipip => global::IPIP,
        Forward::Gue => global::GUE,
        Forward::L2 => return global::L2,
        Forward::Local => return global::LOCAL,
    };
    let outer = |family: u32, source: Option<ipnet::IpNet>| {
        let drawn = source.is_some_and(|net| net.prefix_len() < net.max_prefix_len());
        if drawn { family | global::DRAWN_SOURCE } else { family }
    };
    pool.backends.values().fold(tunnel, |all, backend| {
        all | if backend.address.is_ipv4() {
            outer(global::OUTER4, encapsulation.source_ipv4)
        } else {
            outer(global::OUTER6, encapsulation.source_ipv6)
        }
    })
}

/// What only the resolved ways can say.
fn egress(config: &Config, image: &Image, network: &dyn Resolve) -> u32 {
    let attached: Vec<Option<u32>> =
        config.interfaces.keys().map(|name| network.interface(name).map(|facts| facts.ifindex)).collect();
    let sent = || image.backends.values().filter(|egress| egress.mode != mode::LOCAL);
    let elsewhere = |ifindex: u32| attached.iter().any(|&attached| attached != Some(ifindex));
    let redirect = attached.len() > 1 || sent().any(|egress| elsewhere(egress.ifindex));
    let tagged = sent().any(|egress| egress.tag_count > 0);
    (if redirect { global::REDIRECT } else { 0 }) | (if tagged { global::EGRESS_VLAN } else { 0 })
}
