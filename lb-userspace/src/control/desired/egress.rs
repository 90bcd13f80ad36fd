//! What forwarding to each backend writes.
//!
//! A backend that has had a next hop and lost it keeps the last one, with a warning: a wrong guess costs what the loss
//! costs anyway, and a right one costs nothing. A backend that never had one gets no slots.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use lb_common::abi::{BackendId, Egress, VlanTag, egress_flag, mode};
use lb_common::wire::{Address, Be16, address4, address6};

use super::ids::{Ids, OWNED, wire};
use super::{Input, Placed};
use crate::config::model::{Backend, Encapsulation, Forward, Name};
use crate::dataplane::Image;
use crate::net::{NextHop, Unreachable};

/// Entries by id, what became of each backend, and warnings.
type Entries = (BTreeMap<BackendId, Egress>, BTreeMap<(Name, Name), Placed>, Vec<String>);

/// The egress entries of all backends that have a way.
pub(super) fn entries(input: &Input<'_>, ids: &Ids) -> Entries {
    let (mut entries, mut placed, mut warnings) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for (pool, settings) in &input.config.pools {
        for (name, backend) in &settings.backends {
            let key = (pool.clone(), name.clone());
            let id = ids.backends[&key];
            let hop = input.network.resolve(backend.address);
            let target =
                Target { backend, forward: settings.forward, encapsulation: &input.config.encapsulation };
            let Outcome { egress, problem } = target.reach(&hop, last(input.previous, ids, id));
            if let Some(egress) = egress {
                entries.insert(id, egress);
            }
            if let Some(problem) = &problem {
                let lack = if egress.is_some() { "" } else { " has no slots" };
                warnings.push(format!("backend `{name}` of pool `{pool}`{lack}: {problem}"));
            }
            placed.insert(key, Placed { id, hop: hop.ok(), problem });
        }
    }
    (entries, placed, warnings)
}

/// The entry that a backend has now, if the id was its own already.
fn last<'a>(previous: &'a Image, ids: &Ids, id: BackendId) -> Option<&'a Egress> {
    let (before, now) = (previous.backend_records.get(&id)?, ids.backend_records.get(&id)?);
    let same = (before.table, before.address, before.family, before.port)
        == (now.table, now.address, now.family, now.port);
    previous.backends.get(&id).filter(|_| same && before.state == OWNED)
}

/// An entry, or why there is none; a problem beside an entry is a warning.
struct Outcome {
    egress: Option<Egress>,
    problem: Option<String>,
}

impl Outcome {
    fn nowhere(problem: String) -> Self {
        Self { egress: None, problem: Some(problem) }
    }
}

/// A way out: from the network, or as the last entry has it.
struct Way {
    ifindex: u32,
    destination_mac: [u8; 6],
    source_mac: [u8; 6],
    tag_count: u8,
    tags: [VlanTag; 2],
    mtu: u16,
    /// This host's own address towards the backend.
    source: Option<Address>,
}

/// A backend and how packets are to reach it.
struct Target<'a> {
    backend: &'a Backend,
    forward: Forward,
    encapsulation: &'a Encapsulation,
}

impl Target<'_> {
    fn reach(&self, hop: &Result<NextHop, Unreachable>, last: Option<&Egress>) -> Outcome {
        match self.forward {
            Forward::Local => return self.reach_local(hop),
            Forward::L2 => {
                if let Ok(NextHop { gateway: Some(gateway), .. }) = hop {
                    return Outcome::nowhere(format!(
                        "{} is behind the gateway {gateway}, and forward = \"l2\" needs it on-link: use \"ipip\" or \
                         \"gue\"",
                        self.backend.address
                    ));
                }
            }
            Forward::Ipip | Forward::Gue => {}
        }
        let (way, problem) = match (hop, last.filter(|last| self.can_keep(last))) {
            (Ok(hop), _) => (Way::of(hop, self.backend.address), None),
            (Err(loss), Some(last)) => {
                (Way::kept(last), Some(format!("lost its next hop, the last one stays in use: {loss}")))
            }
            (Err(loss), None) => return Outcome::nowhere(loss.to_string()),
        };
        match self.egress(&way) {
            Ok(egress) => Outcome { egress: Some(egress), problem },
            Err(problem) => Outcome::nowhere(problem),
        }
    }

    /// A local backend needs no way; that its address is another host's is odd enough to tell.
    fn reach_local(&self, hop: &Result<NextHop, Unreachable>) -> Outcome {
        let problem = match hop {
            Err(Unreachable::ThisHost(_)) => None,
            Ok(_) | Err(_) => Some(format!(
                "{} is no address of this host, yet forward = \"local\" delivers to this host",
                self.backend.address
            )),
        };
        Outcome { egress: Some(Egress { mode: mode::LOCAL, mtu: u16::MAX, ..Egress::default() }), problem }
    }

    /// What was sent by a gateway must not become `l2`, and what went to this host had no way.
    fn can_keep(&self, last: &Egress) -> bool {
        match self.forward {
            Forward::L2 => last.mode == mode::L2,
            Forward::Ipip | Forward::Gue => last.mode != mode::LOCAL && last.mode != mode::NONE,
            Forward::Local => false,
        }
    }

    fn egress(&self, way: &Way) -> Result<Egress, String> {
        let bare = Egress {
            ifindex: way.ifindex,
            mode: self.mode(),
            tag_count: way.tag_count,
            mtu: way.mtu,
            destination_mac: way.destination_mac,
            source_mac: way.source_mac,
            tags: way.tags,
            ..Egress::default()
        };
        match self.forward {
            Forward::L2 | Forward::Local => return Ok(bare),
            Forward::Ipip | Forward::Gue => {}
        }
        let (outer_source, source_bits) = self.source(way)?;
        let mut egress = Egress {
            source_bits,
            outer_source,
            outer_destination: wire(self.backend.address).0,
            gue_port: match self.forward {
                Forward::Gue => Be16::new(self.encapsulation.gue_port),
                Forward::Ipip | Forward::L2 | Forward::Local => Be16::default(),
            },
            flags: match (bare.mode, self.encapsulation.gue_zero_checksum) {
                (mode::GUE6, true) => egress_flag::ZERO_CHECKSUM,
                _ => 0,
            },
            ..bare
        };
        egress.checksum = egress.outer4_sum();
        Ok(egress)
    }

    fn mode(&self) -> u8 {
        match (self.forward, self.backend.address) {
            (Forward::Ipip, IpAddr::V4(_)) => mode::IPIP4,
            (Forward::Ipip, IpAddr::V6(_)) => mode::IPIP6,
            (Forward::Gue, IpAddr::V4(_)) => mode::GUE4,
            (Forward::Gue, IpAddr::V6(_)) => mode::GUE6,
            (Forward::L2, _) => mode::L2,
            (Forward::Local, _) => mode::LOCAL,
        }
    }

    /// The outer source, and how many of its bits the flow's hash draws.
    fn source(&self, way: &Way) -> Result<(Address, u8), String> {
        let (configured, key, family) = match self.backend.address {
            IpAddr::V4(_) => (self.encapsulation.source_ipv4, "source_ipv4", "IPv4"),
            IpAddr::V6(_) => (self.encapsulation.source_ipv6, "source_ipv6", "IPv6"),
        };
        if let Some(net) = configured {
            return Ok((first_address(net), (net.max_prefix_len() - net.prefix_len()).min(32)));
        }
        let source = way.source.map(|source| (source, 0));
        source.ok_or_else(|| {
            format!(
                "this host has no {family} address to send to {} from: set encapsulation.{key}",
                self.backend.address
            )
        })
    }
}

impl Way {
    fn of(hop: &NextHop, backend: IpAddr) -> Self {
        let mut tags = [VlanTag::default(); 2];
        let mut tag_count = 0;
        for (to, &tag) in tags.iter_mut().zip(&hop.tags) {
            *to = tag;
            tag_count += 1;
        }
        Self {
            ifindex: hop.ifindex,
            destination_mac: hop.destination_mac,
            source_mac: hop.source_mac,
            tag_count,
            tags,
            mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
            source: hop
                .source
                .filter(|source| source.is_ipv4() == backend.is_ipv4())
                .map(|source| wire(source).0),
        }
    }

    fn kept(last: &Egress) -> Self {
        let encapsulated = matches!(last.mode, mode::IPIP4 | mode::IPIP6 | mode::GUE4 | mode::GUE6);
        Self {
            ifindex: last.ifindex,
            destination_mac: last.destination_mac,
            source_mac: last.source_mac,
            tag_count: last.tag_count,
            tags: last.tags,
            mtu: last.mtu,
            source: encapsulated.then_some(last.outer_source),
        }
    }
}

fn first_address(net: IpNet) -> Address {
    match net.network() {
        IpAddr::V4(address) => address4(address.octets()),
        IpAddr::V6(address) => address6(address.octets()),
    }
}
