//! The agent on a backend: takes outer headers off what balancers send.
//!
//! It has a pin directory of its own, and like the balancer it goes on working when the process that started it ends.

use std::net::IpAddr;
use std::path::Path;

use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData};
use ipnet::IpNet;
use lb_common::abi::{ABI_VERSION, AgentKey4, AgentKey6, Counter, State, map};
use lb_common::wire::{Address, address4, address6};

use super::bpffs::PinDir;
use super::loader::{AGENT_MAPS, Program};
use super::offload::Offloads;
use super::{Attachment, Error, counters, image, link, maps};
use crate::config::model::AttachMode;

/// What the agent accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Outer sources: the balancers' prefixes.
    pub sources: Vec<IpNet>,
    /// Outer destinations: this host's addresses.
    pub addresses: Vec<IpAddr>,
    /// The UDP port that GUE comes to.
    pub gue_port: u16,
}

/// The agent's maps and program under one pin directory.
pub struct Agent {
    program: Program,
    gue_port: u16,
    sources4: LpmTrie<MapData, [u8; 4], u32>,
    sources6: LpmTrie<MapData, [u8; 16], u32>,
    addresses: HashMap<MapData, Address, u32>,
    offloads: Offloads,
    pins: PinDir,
}

/// Counters by the number of the reason, of an agent that may be running in another process; `None` where nothing is
/// pinned.
pub fn counters(pin_dir: &Path) -> Result<Option<Vec<Counter>>, Error> {
    let pin = pin_dir.join(map::REASONS);
    if !pin.exists() {
        return Ok(None);
    }
    let reasons =
        MapData::from_pin(&pin).map_err(|e| maps::failed(format!("opening {}", pin.display()), e))?;
    counters::reasons_in(&reasons).map(Some)
}

impl Agent {
    /// Opens the pin directory, adopting what is there, and makes the agent accept exactly `accept`.
    pub fn open(pin_dir: &Path, accept: &Accept) -> Result<Self, Error> {
        let pins = PinDir::claim(pin_dir)?;
        maps::check(&pins, AGENT_MAPS)?;
        let program = Program::agent(accept.gue_port, &pins)?;
        let mut state: Array<_, State> = maps::typed(Map::Array(maps::open(&pins, map::STATE)?), map::STATE)?;
        state
            .set(0, State { abi_version: ABI_VERSION, ..State::default() }, 0)
            .map_err(|e| maps::failed("writing STATE".into(), e))?;
        let mut agent = Self {
            program,
            gue_port: accept.gue_port,
            sources4: maps::typed(
                Map::LpmTrie(maps::open(&pins, map::AGENT_SOURCES4)?),
                map::AGENT_SOURCES4,
            )?,
            sources6: maps::typed(
                Map::LpmTrie(maps::open(&pins, map::AGENT_SOURCES6)?),
                map::AGENT_SOURCES6,
            )?,
            addresses: maps::typed(
                Map::HashMap(maps::open(&pins, map::AGENT_ADDRESSES)?),
                map::AGENT_ADDRESSES,
            )?,
            offloads: Offloads::open(&pins)?,
            pins,
        };
        agent.accept(accept)?;
        link::replace_all(&agent.pins, &mut agent.offloads, None, &mut agent.program)?;
        Ok(agent)
    }

    /// Makes it accept exactly this from now on. What stays accepted is never missing in between.
    pub fn accept(&mut self, accept: &Accept) -> Result<(), Error> {
        if accept.gue_port != self.gue_port {
            let mut next = Program::agent(accept.gue_port, &self.pins)?;
            link::replace_all(&self.pins, &mut self.offloads, Some(&mut self.program), &mut next)?;
            (self.program, self.gue_port) = (next, accept.gue_port);
        }
        self.accept_sources(&accept.sources)?;
        self.accept_addresses(&accept.addresses)
    }

    /// Attaches it, or changes the mode it is attached in.
    pub fn attach(&mut self, interface: &str, mode: AttachMode) -> Result<Attachment, Error> {
        link::attach(&self.pins, &mut self.offloads, &mut self.program, interface, mode)
    }

    /// Takes it off an interface.
    pub fn detach(&mut self, interface: &str) -> Result<(), Error> {
        link::detach(&self.pins, &mut self.offloads, interface)
    }

    /// Where it is attached.
    pub fn attachments(&mut self) -> Result<Vec<Attachment>, Error> {
        link::attachments(&self.pins, &mut self.offloads)
    }

    /// Counters by the number of the reason.
    pub fn counters(&self) -> Result<Vec<Counter>, Error> {
        counters::reasons(&self.pins)
    }

    /// How many sources and addresses it accepts.
    pub fn accepted(&self) -> Result<(usize, usize), Error> {
        let sources4 = image::entries::<AgentKey4, u32>(&self.pins, map::AGENT_SOURCES4)?.len();
        let sources6 = image::entries::<AgentKey6, u32>(&self.pins, map::AGENT_SOURCES6)?.len();
        let addresses = image::entries::<Address, u32>(&self.pins, map::AGENT_ADDRESSES)?.len();
        Ok((sources4 + sources6, addresses))
    }

    /// The loaded program, to run it on frames of one's own.
    pub fn program(&mut self) -> Result<&mut aya::programs::Xdp, Error> {
        self.program.xdp()
    }

    /// Detaches everywhere, restores offloads and removes every pin. Names the interfaces.
    pub fn remove_all(mut self) -> Result<Vec<String>, Error> {
        let interfaces = link::detach_all(&self.pins, &mut self.offloads)?;
        self.pins.remove()?;
        Ok(interfaces)
    }

    fn accept_sources(&mut self, sources: &[IpNet]) -> Result<(), Error> {
        let failed = |e| maps::failed("writing the agent's sources".into(), e);
        let mut old4 = image::entries::<AgentKey4, u32>(&self.pins, map::AGENT_SOURCES4)?;
        let mut old6 = image::entries::<AgentKey6, u32>(&self.pins, map::AGENT_SOURCES6)?;
        for source in sources {
            let bits = u32::from(source.prefix_len());
            match source.trunc() {
                IpNet::V4(net) => {
                    let octets = net.network().octets();
                    self.sources4.insert(&Key::new(bits, octets), 1, 0).map_err(failed)?;
                    old4.remove(&AgentKey4 { prefix_len: bits, address: address4(octets)[0] });
                }
                IpNet::V6(net) => {
                    let octets = net.network().octets();
                    self.sources6.insert(&Key::new(bits, octets), 1, 0).map_err(failed)?;
                    old6.remove(&AgentKey6 { prefix_len: bits, address: address6(octets) });
                }
            }
        }
        for key in old4.keys() {
            let octets = key.address.raw().to_ne_bytes();
            self.sources4.remove(&Key::new(key.prefix_len, octets)).map_err(failed)?;
        }
        for key in old6.keys() {
            let mut octets = [0; 16];
            for (to, word) in octets.chunks_exact_mut(4).zip(key.address) {
                to.copy_from_slice(&word.raw().to_ne_bytes());
            }
            self.sources6.remove(&Key::new(key.prefix_len, octets)).map_err(failed)?;
        }
        Ok(())
    }

    fn accept_addresses(&mut self, addresses: &[IpAddr]) -> Result<(), Error> {
        let failed = |e| maps::failed("writing the agent's addresses".into(), e);
        let mut old = image::entries::<Address, u32>(&self.pins, map::AGENT_ADDRESSES)?;
        for address in addresses {
            let (key, family) = match address {
                IpAddr::V4(address) => (address4(address.octets()), 4),
                IpAddr::V6(address) => (address6(address.octets()), 6),
            };
            self.addresses.insert(key, family, 0).map_err(failed)?;
            old.remove(&key);
        }
        for key in old.keys() {
            self.addresses.remove(key).map_err(failed)?;
        }
        Ok(())
    }
}
