//! What the tests of this room stand on.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::config::Config;
use crate::config::model::Name;
use crate::control::Room;
use crate::control::command::{Answer, Command, Error};
use crate::control::view::{Applied, BackendView, Stats};
use crate::dataplane::memory::Memory;
use crate::net::{InterfaceFacts, NextHop, Resolve, Unreachable};

/// A network from a script: everything is on-link behind `eth0` unless the script says otherwise.
#[derive(Clone, Debug)]
pub struct Network {
    pub interfaces: BTreeMap<String, u32>,
    pub ways: BTreeMap<IpAddr, Result<NextHop, Unreachable>>,
}

impl Network {
    pub fn new() -> Self {
        let interfaces = [("eth0", 2), ("eth1", 3)].map(|(name, ifindex)| (name.to_owned(), ifindex));
        Self { interfaces: interfaces.into(), ways: BTreeMap::new() }
    }

    pub fn lose(&mut self, address: &str) {
        let address = ip(address);
        let interface = "eth0".to_owned();
        self.ways.insert(address, Err(Unreachable::NoNeighbour { next_hop: address, interface }));
    }

    pub fn find(&mut self, address: &str, change: impl FnOnce(&mut NextHop)) {
        let mut hop = self.on_link(ip(address));
        change(&mut hop);
        self.ways.insert(ip(address), Ok(hop));
    }

    fn on_link(&self, address: IpAddr) -> NextHop {
        let last = match address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        };
        let source = if address.is_ipv4() { ip("10.0.0.254") } else { ip("fd00::fe") };
        NextHop {
            ifindex: self.interfaces["eth0"],
            interface: "eth0".to_owned(),
            destination_mac: [2, 0, 0, 0, 0, last],
            source_mac: [2, 0, 0, 0, 1, 1],
            tags: Vec::new(),
            mtu: 1_500,
            source: Some(source),
            gateway: None,
            stale: false,
        }
    }
}

impl Resolve for Network {
    fn resolve(&self, address: IpAddr) -> Result<NextHop, Unreachable> {
        self.ways.get(&address).cloned().unwrap_or_else(|| Ok(self.on_link(address)))
    }

    fn interface(&self, name: &str) -> Option<InterfaceFacts> {
        self.interfaces.get(name).map(|&ifindex| InterfaceFacts {
            ifindex,
            name: name.to_owned(),
            mtu: 1_500,
            up: true,
            mac: Some([2, 0, 0, 0, 1, 1]),
            kind: "veth".to_owned(),
            veth_peer: None,
        })
    }

    fn interface_names(&self) -> Vec<String> {
        self.interfaces.keys().cloned().collect()
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The configuration that a text says.
pub fn config(text: &str) -> Config {
    crate::config::parse(text, "test.toml").unwrap_or_else(|report| panic!("{report:?}"))
}

/// One pool of three, one service.
pub const WEB: &str = r#"
[interfaces.eth0]
[pools.web]
forward = "ipip"
backends = [
    { name = "a", address = "10.0.0.1" },
    { name = "b", address = "10.0.0.2" },
    { name = "c", address = "10.0.0.3" },
]
[services.http]
address = "192.0.2.10"
protocol = "tcp"
port = 80
pool = "web"
"#;

/// A room with its network and the far side of its data plane.
pub struct Bench {
    pub room: Room,
    pub network: Network,
    pub memory: Memory,
}

impl Bench {
    pub fn new(text: &str) -> Self {
        let memory = Memory::default();
        let network = Network::new();
        memory.state().interfaces.clone_from(&network.interfaces);
        Self::on(memory, network, text).unwrap()
    }

    pub fn on(memory: Memory, network: Network, text: &str) -> Result<Self, Error> {
        let room = Room::start(Box::new(memory.clone()), Some(config(text)), None, &network)?;
        Ok(Self { room, network, memory })
    }

    /// The daemon ends and another one starts.
    pub fn restart(self, text: &str) -> Self {
        let Self { memory, network, room } = self;
        drop(room);
        Self::on(memory, network, text).unwrap()
    }

    pub fn ask(&mut self, command: Command) -> Result<Applied, Error> {
        match self.room.handle(command, &self.network)? {
            Answer::Applied(applied) => Ok(applied),
            other => panic!("{other:?}"),
        }
    }

    pub fn reload(&mut self, text: &str) -> Result<Applied, Error> {
        self.ask(Command::Reload(Box::new(config(text))))
    }

    pub fn add(&mut self, backend: &str, address: &str) -> Result<Applied, Error> {
        self.ask(Command::AddBackend {
            pool: name("web"),
            name: name(backend),
            address: ip(address),
            port: None,
            weight: 1,
        })
    }

    pub fn remove(&mut self, backend: &str) -> Result<Applied, Error> {
        self.ask(Command::RemoveBackend { pool: name("web"), name: name(backend) })
    }

    pub fn follow(&mut self) {
        self.room.follow(&self.network);
    }

    pub fn stats(&mut self) -> Stats {
        match self.room.handle(Command::Stats, &self.network) {
            Ok(Answer::Stats(stats)) => stats,
            other => panic!("{other:?}"),
        }
    }

    pub fn warnings(&mut self) -> Vec<String> {
        self.room.view(&self.network).warnings
    }

    pub fn backend(&mut self, backend: &str) -> BackendView {
        let view = self.room.view(&self.network);
        view.pools[0].backends.iter().find(|b| b.name.as_str() == backend).unwrap().clone()
    }
}
