//! Receive offloads of interfaces that are attached in generic mode.
//!
//! Generic XDP runs after GRO has merged segments into super-packets, which fit no encapsulation: GRO and LRO go off while
//! the balancer is attached and come back on when it is taken off. What was on is remembered in a map pinned beside the
//! link, not in a file: it then lives exactly as long as the link does (a reboot ends both), and a later process, which
//! may have another `/run`, finds it.

use aya::maps::{HashMap, Map, MapData};
use aya_obj::generated::bpf_map_type;
use lb_common::abi::MAX_INTERFACES;

use super::bpffs::PinDir;
use super::ethtool::{self, Feature, State};
use super::{Error, maps};

/// What was on before, by ifindex.
pub struct Offloads(HashMap<MapData, u32, u32>);

impl Offloads {
    /// Opens the pinned map, or makes it.
    pub fn open(pins: &PinDir) -> Result<Self, Error> {
        let pin = pins.map(PIN);
        let failed = |e| maps::failed(format!("opening {}", pin.display()), e);
        let data = if pin.exists() {
            MapData::from_pin(&pin).map_err(failed)?
        } else {
            let kind = bpf_map_type::BPF_MAP_TYPE_HASH as u32;
            let definition = aya_obj::Map::new_from_params(kind, 4, 4, MAX_INTERFACES, 0);
            let data = MapData::create(definition, PIN, None).map_err(failed)?;
            data.pin(&pin).map_err(|e| Error::Kernel {
                what: format!("pinning {}", pin.display()),
                source: std::io::Error::other(e),
            })?;
            data
        };
        maps::typed(Map::HashMap(data), PIN).map(Self)
    }

    /// Turns off what would merge packets, remembers it and says so.
    pub fn quiet(&mut self, interface: &str, ifindex: u32) -> Result<(), Error> {
        let failed = |doing: &str, source| Error::Kernel { what: format!("{doing} of {interface}"), source };
        let now = ethtool::offloads(interface).map_err(|e| failed("reading the offloads", e))?;
        let on = [(Feature::Gro, now.gro), (Feature::Lro, now.lro)]
            .into_iter()
            .filter(|(_, state)| *state == State::On)
            .map(|(feature, _)| feature)
            .collect::<Vec<_>>();
        if on.is_empty() {
            return Ok(());
        }
        // Remembered first: dying in between restores what was never turned off, which is no change.
        let bits = on.iter().fold(self.remembered(ifindex)?, |bits, feature| bits | bit(*feature));
        self.0
            .insert(ifindex, bits, 0)
            .map_err(|e| maps::failed(format!("remembering the offloads of {interface}"), e))?;
        for feature in &on {
            ethtool::set(interface, *feature, State::Off)
                .map_err(|e| failed("turning off the receive offloads", e))?;
        }
        tracing::info!(
            "{interface} is attached in generic mode: {} turned off until it is detached",
            names(&on)
        );
        Ok(())
    }

    /// Turns on what [`Offloads::quiet`] turned off, and forgets it.
    pub fn restore(&mut self, interface: &str, ifindex: u32) -> Result<(), Error> {
        let bits = self.remembered(ifindex)?;
        let off: Vec<Feature> = REMEMBERED.into_iter().filter(|feature| bits & bit(*feature) != 0).collect();
        for feature in &off {
            ethtool::set(interface, *feature, State::On).map_err(|source| Error::Kernel {
                what: format!("restoring the offloads of {interface}"),
                source,
            })?;
        }
        if !off.is_empty() {
            tracing::info!("{interface} is detached: {} turned on again", names(&off));
        }
        self.forget(ifindex)
    }

    /// Drops what is remembered of an interface that is gone.
    pub fn forget(&mut self, ifindex: u32) -> Result<(), Error> {
        if self.remembered(ifindex)? == 0 {
            return Ok(());
        }
        self.0
            .remove(&ifindex)
            .map_err(|e| maps::failed(format!("forgetting the offloads of interface {ifindex}"), e))
    }

    fn remembered(&self, ifindex: u32) -> Result<u32, Error> {
        match self.0.get(&ifindex, 0) {
            Ok(bits) => Ok(bits),
            Err(aya::maps::MapError::KeyNotFound) => Ok(0),
            Err(e) => Err(maps::failed(format!("reading the remembered offloads of interface {ifindex}"), e)),
        }
    }
}

const PIN: &str = "OFFLOADS";
const REMEMBERED: [Feature; 2] = [Feature::Gro, Feature::Lro];

fn bit(feature: Feature) -> u32 {
    match feature {
        Feature::Gro => 1 << 0,
        Feature::Lro => 1 << 1,
        Feature::RxVlan => 1 << 2,
        Feature::TxChecksum => 1 << 3,
    }
}

fn names(features: &[Feature]) -> String {
    features.iter().map(|feature| format!("{feature:?}").to_uppercase()).collect::<Vec<_>>().join(" and ")
}
