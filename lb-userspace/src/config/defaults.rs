//! Every key of the file, with its default: the one place for both.
//!
//! The reader takes the known keys of a table from [`KEYS`], `xlb check --print` spells out what the constants say,
//! and the reference in the documentation is [`reference`]. A test holds [`KEYS`] and the constants together.

use std::fmt::Write as _;

use super::model::{Algorithm, AttachMode, HashKey};

/// Key of the flow hash where the file gives none.
pub const SEED: u64 = 0x786c_622d_7365_6564;
/// The API's Unix socket.
pub const SOCKET: &str = "/run/xlb/xlb.sock";
/// A directory on a bpffs.
pub const PIN_DIR: &str = "/sys/fs/bpf/xlb";
/// UDP destination port of GUE, IANA's.
pub const GUE_PORT: u16 = 6080;
/// Whether GUE over IPv6 may carry a zero checksum.
pub const GUE_ZERO_CHECKSUM: bool = false;
/// Where a program is attached.
pub const MODE: AttachMode = AttachMode::Native;
/// How a pool spreads new flows.
pub const ALGORITHM: Algorithm = Algorithm::Maglev;
/// Whether a change moves as few slots as can be.
pub const STABLE: bool = true;
/// A backend's share of its pool.
pub const WEIGHT: u16 = 1;
/// What of a packet picks its slot.
pub const HASH: HashKey = HashKey::FiveTuple;
/// Bits of an IPv4 client address that are hashed, where only those for IPv6 are given.
pub const SOURCE_PREFIX_IPV4: u8 = 24;
/// Bits of an IPv6 client address that are hashed, where only those for IPv4 are given.
pub const SOURCE_PREFIX_IPV6: u8 = 56;

/// A kind of table in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// The file itself.
    Root,
    /// `[daemon]`.
    Daemon,
    /// `[encapsulation]`.
    Encapsulation,
    /// `[interfaces.NAME]`.
    Interface,
    /// `[pools.NAME]`.
    Pool,
    /// An item of a pool's `backends`.
    Backend,
    /// `[services.NAME]`.
    Service,
    /// A service's `hash`, where it is a table.
    Hash,
}

impl Section {
    /// Every section, in the order of the documentation.
    pub const ALL: [Self; 8] = [
        Self::Root,
        Self::Daemon,
        Self::Encapsulation,
        Self::Interface,
        Self::Pool,
        Self::Backend,
        Self::Service,
        Self::Hash,
    ];

    /// How the section is written.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Root => "top level",
            Self::Daemon => "[daemon]",
            Self::Encapsulation => "[encapsulation]",
            Self::Interface => "[interfaces.NAME]",
            Self::Pool => "[pools.NAME]",
            Self::Backend => "[[pools.NAME.backends]], or backends = [{ ... }]",
            Self::Service => "[services.NAME]",
            Self::Hash => "[services.NAME.hash], or hash = { ... }",
        }
    }

    /// Its keys.
    pub fn keys(self) -> impl Iterator<Item = &'static Key> {
        KEYS.iter().filter(move |key| key.section == self)
    }
}

/// What a key is when the file does not have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Default {
    /// The file must have it.
    Required,
    /// Nothing; the text says what follows from that.
    Nothing(&'static str),
    /// This value, as TOML.
    Value(&'static str),
}

/// One key of the file.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The table it stands in.
    pub section: Section,
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it is when left out.
    pub default: Default,
    /// What it does.
    pub help: &'static str,
}

/// Every key.
pub const KEYS: &[Key] = &[
    Key {
        section: Section::Root,
        name: "seed",
        takes: "a text, or a number from 0 to 18446744073709551615",
        default: Default::Value("0x786c622d73656564"),
        help: "Key of the flow hash: keep it secret, equal on every balancer of the same services, and never change \
               it while one runs. A text is hashed (SipHash-2-4).",
    },
    Key {
        section: Section::Root,
        name: "daemon",
        takes: "a table",
        default: Default::Nothing("its keys' defaults"),
        help: "Where the daemon keeps its socket and pins.",
    },
    Key {
        section: Section::Root,
        name: "encapsulation",
        takes: "a table",
        default: Default::Nothing("its keys' defaults"),
        help: "What outer headers look like.",
    },
    Key {
        section: Section::Root,
        name: "interfaces",
        takes: "a table of tables",
        default: Default::Nothing("nothing is attached at start"),
        help: "Interfaces to attach to, by name.",
    },
    Key {
        section: Section::Root,
        name: "pools",
        takes: "a table of tables",
        default: Default::Nothing("no pools"),
        help: "Pools, by name.",
    },
    Key {
        section: Section::Root,
        name: "services",
        takes: "a table of tables",
        default: Default::Nothing("no services"),
        help: "Services, by name.",
    },
    Key {
        section: Section::Daemon,
        name: "socket",
        takes: "an absolute path",
        default: Default::Value("\"/run/xlb/xlb.sock\""),
        help: "The API's Unix socket.",
    },
    Key {
        section: Section::Daemon,
        name: "pin_dir",
        takes: "an absolute path",
        default: Default::Value("\"/sys/fs/bpf/xlb\""),
        help: "Directory on a bpffs for the programs and maps that outlive the daemon.",
    },
    Key {
        section: Section::Encapsulation,
        name: "source_ipv4",
        takes: "an IPv4 address or prefix",
        default: Default::Nothing("the address that the host itself would use towards the backend"),
        help: "Outer IPv4 source. From a prefix each flow draws an address by its hash, so that a receiver's queues \
               share the load.",
    },
    Key {
        section: Section::Encapsulation,
        name: "source_ipv6",
        takes: "an IPv6 address or prefix of at least /96",
        default: Default::Nothing("the address that the host itself would use towards the backend"),
        help: "Outer IPv6 source, or the prefix that it is drawn from.",
    },
    Key {
        section: Section::Encapsulation,
        name: "gue_port",
        takes: "a port",
        default: Default::Value("6080"),
        help: "UDP destination port of GUE.",
    },
    Key {
        section: Section::Encapsulation,
        name: "gue_zero_checksum",
        takes: "true or false",
        default: Default::Value("false"),
        help: "GUE over IPv6: send a zero checksum (RFC 6935) where the inner packet has none to derive it from.",
    },
    Key {
        section: Section::Interface,
        name: "mode",
        takes: "\"native\" or \"generic\"",
        default: Default::Value("\"native\""),
        help: "Run in the driver, or after it: generic works on every interface, but is slower.",
    },
    Key {
        section: Section::Pool,
        name: "algorithm",
        takes: "\"maglev\"",
        default: Default::Value("\"maglev\""),
        help: "How new flows are spread over the backends.",
    },
    Key {
        section: Section::Pool,
        name: "forward",
        takes: "\"ipip\", \"gue\", \"l2\" or \"local\"",
        default: Default::Required,
        help: "How packets reach the backends: IP in IP, Generic UDP Encapsulation, by MAC address, or not at all \
               because the backend is this host.",
    },
    Key {
        section: Section::Pool,
        name: "stable",
        takes: "true or false",
        default: Default::Value("true"),
        help: "A change moves as few slots as can be, starting from the running table. Set it to false where several \
               balancers share the services: then the table depends on the backends alone, not on history.",
    },
    Key {
        section: Section::Pool,
        name: "backends",
        takes: "an array of tables",
        default: Default::Value("[]"),
        help: "The servers. No two have the same name, or the same address and port.",
    },
    Key {
        section: Section::Backend,
        name: "name",
        takes: "a name",
        default: Default::Nothing("made from the address"),
        help: "How commands and counters call it.",
    },
    Key {
        section: Section::Backend,
        name: "address",
        takes: "an IPv4 or IPv6 address",
        default: Default::Required,
        help: "Where packets are sent. Its family may differ from the service's.",
    },
    Key {
        section: Section::Backend,
        name: "port",
        takes: "a port",
        default: Default::Nothing("the service's"),
        help: "Part of the backend's identity. No forward mode changes ports, so it must be the port of each service \
               that uses the pool.",
    },
    Key {
        section: Section::Backend,
        name: "weight",
        takes: "a number from 0 to 65535",
        default: Default::Value("1"),
        help: "Share of new flows relative to the other backends; 0 takes no new flows.",
    },
    Key {
        section: Section::Service,
        name: "address",
        takes: "an IPv4 or IPv6 address or prefix",
        default: Default::Required,
        help: "What clients connect to. An exact address wins over a prefix, a longer prefix over a shorter one.",
    },
    Key {
        section: Section::Service,
        name: "protocol",
        takes: "\"tcp\" or \"udp\"",
        default: Default::Required,
        help: "The transport protocol.",
    },
    Key {
        section: Section::Service,
        name: "port",
        takes: "a port, a range of up to 1024 like \"8000-8099\", or \"any\"",
        default: Default::Required,
        help: "What clients connect to. A port or range wins over any on the same address.",
    },
    Key {
        section: Section::Service,
        name: "pool",
        takes: "a pool's name",
        default: Default::Required,
        help: "Who serves it.",
    },
    Key {
        section: Section::Service,
        name: "hash",
        takes: "\"five-tuple\", \"source\" or a table",
        default: Default::Value("\"five-tuple\""),
        help: "What of a packet picks its backend: the whole flow, the client's address, or its first bits.",
    },
    Key {
        section: Section::Hash,
        name: "source_prefix_ipv4",
        takes: "a number from 1 to 32",
        default: Default::Nothing("24; a service on IPv4 must say it"),
        help: "Bits of an IPv4 client's address that are hashed.",
    },
    Key {
        section: Section::Hash,
        name: "source_prefix_ipv6",
        takes: "a number from 1 to 128",
        default: Default::Nothing("56; a service on IPv6 must say it"),
        help: "Bits of an IPv6 client's address that are hashed.",
    },
];

/// What the reference says before the tables.
const INTRODUCTION: &str = "\
# The configuration file

<!-- Made from lb-userspace/src/config/defaults.rs by its tests: change it there. -->

A TOML file. `xlb check FILE` says what is wrong with one, each problem with line, caret and hint;
`xlb check --print FILE` shows it with every default filled in; `dist/xlb.toml` is an example with comments.
An unknown key is an error.

Names of pools, backends and services are 1 to 63 letters, digits, `-`, `_` or `.`, starting with a letter or digit.
A name with a dot needs quotes in a heading: `[interfaces.\"eth0.100\"]`.

Refused are, besides values that make no sense by themselves:

- two services on the same address, protocol and port, or with port ranges that overlap. A port wins over `any`, an
  exact address over a prefix and a longer prefix over a shorter one, so these do not conflict;
- two backends of a pool with the same name or the same address and port;
- a backend port other than the service's, and any backend port with a port range or `any`: no forward mode changes
  ports;
- a backend whose address a service takes in (unless it is this host, `forward = \"local\"`), or that an outer source
  may be drawn as;
- more than one backend with `forward = \"local\"`;
- more than fits the kernel's tables.

";

/// The reference of the file as Markdown: a table of keys per section.
pub fn reference() -> String {
    let mut text = INTRODUCTION.to_owned();
    for section in Section::ALL {
        let _ = writeln!(text, "## {}\n", section.heading());
        text.push_str("| key | takes | default | what it does |\n|---|---|---|---|\n");
        for key in section.keys() {
            let default = match key.default {
                Default::Required => "required".to_owned(),
                Default::Nothing(what) => what.to_owned(),
                Default::Value(value) => format!("`{value}`"),
            };
            let _ = writeln!(text, "| `{}` | {} | {default} | {} |", key.name, key.takes, key.help);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}
