//! What a valid configuration is. Values are made only by validation (or by their own fallible constructors), so
//! that every other room can use them without checking again.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A whole configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Config {
    /// Key of the flow hash. Equal on every balancer of the same services; never changed while one runs.
    pub seed: u64,
    /// Where the daemon keeps its socket and pins.
    pub daemon: Daemon,
    /// What outer headers look like.
    pub encapsulation: Encapsulation,
    /// Interfaces to attach to, by name. Their order has no meaning.
    pub interfaces: BTreeMap<String, Interface>,
    /// Pools by name.
    pub pools: BTreeMap<Name, Pool>,
    /// Services by name.
    pub services: BTreeMap<Name, Service>,
}

/// Where the daemon keeps its socket and pins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Daemon {
    /// The API's Unix socket.
    pub socket: PathBuf,
    /// A directory on a bpffs.
    pub pin_dir: PathBuf,
}

/// What outer headers look like.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Encapsulation {
    /// Outer IPv4 source. `None`: the address that the host itself would use towards the backend.
    pub source_ipv4: Option<IpNet>,
    /// Outer IPv6 source. A net of more than one address: the host bits are drawn by the flow's hash.
    pub source_ipv6: Option<IpNet>,
    /// UDP destination port of GUE.
    pub gue_port: u16,
    /// GUE over IPv6: send a zero checksum where the inner packet has none (RFC 6935). Otherwise such a packet gets
    /// a computed one.
    pub gue_zero_checksum: bool,
}

/// An interface to attach to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Interface {
    /// In the driver, or after it.
    pub mode: AttachMode,
}

/// Where in the kernel an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum AttachMode {
    /// In the driver: fast; the driver must support it.
    #[default]
    Native,
    /// After the driver, on a socket buffer: works everywhere, slower.
    Generic,
}

impl AttachMode {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Native, Self::Generic];

    /// The word that the configuration, the command line and `--json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for AttachMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The name of a pool, backend or service: 1 to 63 bytes of ASCII letters, digits, `-`, `_` and `.`, a letter or
/// digit first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name: use 1 to 63 letters, digits, `-`, `_` or `.`, starting with a letter or digit")]
pub struct BadName(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        let plain = |b: u8| b.is_ascii_alphanumeric();
        let bytes = text.as_bytes();
        let good = (1..=63).contains(&bytes.len())
            && plain(bytes[0])
            && bytes.iter().all(|&b| plain(b) || matches!(b, b'-' | b'_' | b'.'));
        if good { Ok(Self(text)) } else { Err(BadName(text)) }
    }
}

impl std::str::FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::try_from(text.to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The backends that serve one or more services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pool {
    /// How new flows are spread.
    pub algorithm: Algorithm,
    /// How packets reach the backends.
    pub forward: Forward,
    /// A change moves as few slots as can be, starting from the running table. Otherwise the table is always the
    /// pure Maglev table of the members.
    pub stable: bool,
    /// Backends by name. No two have the same address and port.
    pub backends: BTreeMap<Name, Backend>,
}

/// How new flows are spread over a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// Weighted Maglev consistent hashing.
    #[default]
    Maglev,
}

impl Algorithm {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Maglev];

    /// The word that the configuration, the command line and `--json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Maglev => "maglev",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How packets reach a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forward {
    /// IP in IP; inner and outer family may differ.
    Ipip,
    /// Generic UDP encapsulation; inner and outer family may differ.
    Gue,
    /// The packet as it is, to the backend's MAC address.
    L2,
    /// The packet as it is, to this host.
    Local,
}

impl Forward {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Ipip, Self::Gue, Self::L2, Self::Local];

    /// The word that the configuration, the command line and `--json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ipip => "ipip",
            Self::Gue => "gue",
            Self::L2 => "l2",
            Self::Local => "local",
        }
    }
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One server of a pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backend {
    /// Where packets are sent.
    pub address: IpAddr,
    /// Part of the backend's identity. In all modes of today it must be the port of each service that uses the pool.
    pub port: Option<u16>,
    /// Share of new flows relative to the pool's other backends; 0 takes no new flows.
    pub weight: u16,
}

/// A virtual address, protocol and port that clients talk to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Service {
    /// The address, as a net with one address; or a prefix.
    pub address: IpNet,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// One port, a range of up to 1,024, or any.
    pub ports: Ports,
    /// The pool that serves it.
    pub pool: Name,
    /// What of a packet picks its slot.
    pub hash: HashKey,
}

impl Service {
    /// Whether the service is on a single address, not on a prefix.
    pub fn is_exact(&self) -> bool {
        self.address.prefix_len() == self.address.max_prefix_len()
    }
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Every one of them.
    pub const ALL: &'static [Self] = &[Self::Tcp, Self::Udp];

    /// The word that the configuration, the command line and `--json` use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    /// IANA's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => lb_common::abi::protocol::TCP,
            Self::Udp => lb_common::abi::protocol::UDP,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Ports of a service. `first` is at least 1 and `last` at least `first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Ports {
    /// Every port.
    Any,
    /// From the first to the last, both included; one port is a range of one.
    Range {
        /// First port.
        first: u16,
        /// Last port.
        last: u16,
    },
}

impl Ports {
    /// Most ports that one service may have, unless it has any.
    pub const MAX: u32 = 1_024;

    /// How many keys it takes in a service map: one per port, and one for any port.
    pub const fn keys(self) -> u32 {
        match self {
            Self::Any => 1,
            Self::Range { first, last } => last as u32 - first as u32 + 1,
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.pad("any"),
            Self::Range { first, last } if first == last => f.pad(&first.to_string()),
            Self::Range { first, last } => f.pad(&format!("{first}-{last}")),
        }
    }
}

/// What of a packet picks its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Default)]
pub enum HashKey {
    /// Addresses, ports and protocol.
    #[default]
    FiveTuple,
    /// The client's address.
    Source,
    /// The first bits of the client's address, as many as the service's family says.
    SourcePrefix {
        /// Bits of an IPv4 address, 1 to 32.
        ipv4: u8,
        /// Bits of an IPv6 address, 1 to 128.
        ipv6: u8,
    },
}

/// What clients talk to, in one word: `192.0.2.10:80/tcp`, `[2001:db8::1]:443/udp`, `192.0.2.0/24:any/tcp`.
pub fn target(address: IpNet, ports: Ports, protocol: Protocol) -> String {
    let place = super::problem::Place(address);
    match address {
        IpNet::V4(_) => format!("{place}:{ports}/{protocol}"),
        IpNet::V6(_) => format!("[{place}]:{ports}/{protocol}"),
    }
}
