//! Configuration files for the lab.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;

use lb_userspace::config::model::{AttachMode, Forward, Protocol};

use crate::lab::{Family, Lab};

/// The seed of every configuration in the lab.
pub const SEED: u64 = 0x5eed_0f1a_b000_0001;

/// A configuration to be written.
#[derive(Clone, Debug)]
pub struct Setup {
    socket: PathBuf,
    interfaces: Vec<&'static str>,
    mode: AttachMode,
    /// Pools.
    pub pools: Vec<PoolSetup>,
    /// Services.
    pub services: Vec<ServiceSetup>,
}

/// A pool to be written.
#[derive(Clone, Debug)]
pub struct PoolSetup {
    /// Its name.
    pub name: String,
    /// How packets reach its backends.
    pub forward: Forward,
    /// Names and addresses of its backends.
    pub backends: Vec<(String, IpAddr)>,
}

/// A service to be written.
#[derive(Clone, Debug)]
pub struct ServiceSetup {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: IpAddr,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its port.
    pub port: u16,
    /// Its pool.
    pub pool: String,
}

impl Setup {
    /// A configuration without services on all interfaces of the lab's balancer.
    pub fn new(lab: &Lab, mode: AttachMode) -> Self {
        let socket = lab.folder().join("xlb.sock");
        let interfaces = lab.plan().balancer_interfaces().to_vec();
        Self { socket, interfaces, mode, pools: Vec::new(), services: Vec::new() }
    }

    /// Adds a pool of the lab's backends `numbers` (from 1), by their addresses of `family`.
    #[must_use]
    pub fn pool(
        mut self,
        lab: &Lab,
        name: &str,
        forward: Forward,
        family: Family,
        numbers: impl IntoIterator<Item = u8>,
    ) -> Self {
        let backend = |number: u8| (format!("web-{number}"), lab.plan().backend_address(number, family));
        let backends = numbers.into_iter().map(backend).collect();
        self.pools.push(PoolSetup { name: name.to_owned(), forward, backends });
        self
    }

    /// Adds a pool whose only backend is the balancer itself.
    #[must_use]
    pub fn local_pool(mut self, lab: &Lab, name: &str, family: Family) -> Self {
        let backends = vec![("local".to_owned(), lab.plan().balancer_address(family))];
        self.pools.push(PoolSetup { name: name.to_owned(), forward: Forward::Local, backends });
        self
    }

    /// Adds a service of `pool` on the lab's service address, or, for a pool that forwards locally, on the
    /// balancer's own.
    #[must_use]
    pub fn service(mut self, name: &str, family: Family, protocol: Protocol, port: u16, pool: &str) -> Self {
        let local = self.pools.iter().any(|known| known.name == pool && known.forward == Forward::Local);
        let address = if local { family.local_service() } else { family.service() };
        self.services.push(ServiceSetup {
            name: name.to_owned(),
            address,
            protocol,
            port,
            pool: pool.to_owned(),
        });
        self
    }

    /// The file.
    pub fn text(&self) -> String {
        let mut text = format!("seed = {SEED:#x}\n\n[daemon]\nsocket = \"{}\"\n", self.socket.display());
        for interface in &self.interfaces {
            let mode = match self.mode {
                AttachMode::Native => "native",
                AttachMode::Generic => "generic",
            };
            // Writing to a string cannot fail.
            let _ = write!(text, "\n[interfaces.{interface}]\nmode = \"{mode}\"\n");
        }
        for pool in &self.pools {
            let _ =
                write!(text, "\n[pools.{}]\nforward = \"{}\"\nbackends = [\n", pool.name, word(pool.forward));
            for (name, address) in &pool.backends {
                let _ = writeln!(text, "  {{ name = \"{name}\", address = \"{address}\" }},");
            }
            text.push_str("]\n");
        }
        for service in &self.services {
            let ServiceSetup { name, address, protocol, port, pool } = service;
            let _ = write!(
                text,
                "\n[services.{name}]\naddress = \"{address}\"\nprotocol = \"{protocol}\"\nport = {port}\npool = \
                 \"{pool}\"\n"
            );
        }
        text
    }
}

/// The configuration's word for a forward mode.
pub fn word(forward: Forward) -> &'static str {
    match forward {
        Forward::Ipip => "ipip",
        Forward::Gue => "gue",
        Forward::L2 => "l2",
        Forward::Local => "local",
    }
}
