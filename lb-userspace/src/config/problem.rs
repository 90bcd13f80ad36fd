//! Everything that can be wrong with a configuration: what, how grave, and the way out.
//!
//! A [`Problem`] says what contradicts what, in values that tests compare. Where it stands in a text is the
//! [`super::Finding`]'s business.

use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Forward, Name, Ports};
use super::report::Severity;
pub use super::words::{Limited, Place, Role};
use super::words::{either, listed, or_nearest};

macro_rules! problems {
    ($(
        $variant:ident { $($field:ident: $type:ty),* $(,)? }, $severity:ident, $code:literal,
            $message:literal => $hint:expr;
    )*) => {
        /// One thing that is wrong, or questionable, with a configuration.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[expect(missing_docs, reason = "a variant's message is its description, and names its fields")]
        pub enum Problem {
            $(#[error($message)] $variant { $($field: $type),* },)*
        }

        impl Problem {
            /// Every code, in the order of the problems.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// A word that stays the same when the sentence is improved: `code` in `--json`.
            pub const fn code(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $code,)*
                }
            }

            /// Whether a configuration with this problem is refused.
            pub const fn severity(&self) -> Severity {
                match self {
                    $(Self::$variant { .. } => Severity::$severity,)*
                }
            }

            /// The way out, without a full stop.
            #[expect(unused_variables, reason = "not every hint names every field")]
            pub fn hint(&self) -> String {
                match self {
                    $(Self::$variant { $($field),* } => {
                        String::from($hint)
                    })*
                }
            }
        }
    };
}

// The form of the file.
problems! {
    Syntax { message: String }, Error, "syntax",
        "not valid TOML: {message}" => if is_duplicate_key(message) {
            "a key, and the heading of a table, may stand only once: remove or rename one of the two"
        } else {
            "texts are in \"quotes\", headings in [brackets], one `key = value` to a line: see https://toml.io"
        };
    UnknownKey { key: String, table: String, nearest: Option<String>, known: Vec<&'static str> },
        Error, "unknown_key",
        "unknown key `{key}` in {table}" => or_nearest(nearest.as_ref(), || format!("known here: {}", listed(known)));
    DottedName { table: &'static str, name: String, rest: String }, Error, "dotted_name",
        "[{table}.{name}.{rest}] is a table within `{name}`, not a name with a dot in it"
        => format!("put the name in quotes: [{table}.\"{name}.{rest}\"]");
    MissingKey { key: &'static str, table: String, takes: &'static str }, Error, "missing_key",
        "{table} lacks `{key}`" => format!("add `{key} = ...`: it takes {takes}");
    WrongType { what: String, expected: &'static str, found: &'static str }, Error, "wrong_type",
        "{what} is {found}" => format!("it takes {expected}");
    BadChoice { key: &'static str, text: String, nearest: Option<String>, choices: &'static [&'static str] },
        Error, "bad_choice",
        "`{text}` is no value of `{key}`" => or_nearest(nearest.as_ref(), || either(choices));

    // Single values.
    BadName { text: String }, Error, "bad_name",
        "`{text}` is not a name"
        => "use 1 to 63 letters, digits, `-`, `_` or `.`, starting with a letter or digit";
    BadInterface { text: String }, Error, "bad_interface",
        "`{text}` cannot be the name of an interface"
        => "Linux allows 1 to 15 bytes, without white space, `/` or `:`; `ip link` lists the names there are";
    BadPath { key: &'static str, path: String, why: &'static str }, Error, "bad_path",
        "`{path}` cannot be `{key}`: {why}" => "give an absolute path, like \"/run/xlb/xlb.sock\"";
    BadSeed { text: String }, Error, "bad_seed",
        "`{text}` cannot be a seed" => "give a text that is not empty, or a number from 0 to 18446744073709551615";
    NotAnAddress { text: String }, Error, "not_an_address",
        "`{text}` is not an IPv4 or IPv6 address" => if text.contains('/') {
            "give one address, without a prefix length"
        } else {
            "write it like 192.0.2.10 or 2001:db8::10, without a name, port or zone"
        };
    BadPrefix { text: String, max: u8 }, Error, "bad_prefix",
        "`{text}` is not a prefix" => format!("the length after the slash is a number from 0 to {max}");
    UnusableAddress { role: Role, net: Place, block: Place, word: &'static str },
        Error, "unusable_address",
        "`{net}` cannot be {role}: {block} is {word}" => role.wants();
    HostBits { net: IpNet }, Error, "host_bits",
        "`{net}` has host bits set" => format!("the prefix is {}, the single address {}", net.trunc(), net.addr());
    BadService { text: String }, Error, "bad_service",
        "`{text}` is not a service"
        => "write ADDRESS:PORT/PROTOCOL, like 192.0.2.10:80/tcp, 192.0.2.0/24:any/tcp or [2001:db8::10]:8000-8010/udp";
    WrongFamily { key: &'static str, net: Place }, Error, "wrong_family",
        "`{net}` cannot be `{key}`: it is of the other family" => match net.0 {
            IpNet::V4(_) => "put it in `source_ipv4`",
            IpNet::V6(_) => "put it in `source_ipv6`",
        };
    DrawTooWide { net: IpNet }, Error, "draw_too_wide",
        "`{net}` is too wide to draw an outer source from" => "at most 32 bits are drawn: give a prefix from /96 to /128";
    BadPort { text: String }, Error, "bad_port",
        "`{text}` is not a port"
        => "a port is a number from 1 to 65535; a service can also have a range like \"8000-8099\", or \"any\"";
    ReversedRange { first: u16, last: u16 }, Error, "reversed_range",
        "the port range {first}-{last} is reversed" => format!("write \"{last}-{first}\"");
    WideRange { first: u16, last: u16, count: u32, max: u32 }, Error, "wide_range",
        "the port range {first}-{last} has {count} ports"
        => format!("at most {max} fit one service: split it, or take \"any\"");
    BadWeight { text: String }, Error, "bad_weight",
        "`{text}` is not a weight" => "a weight is a number from 0 to 65535";
    BadSourcePrefix { key: &'static str, text: String, max: u8 }, Error, "bad_source_prefix",
        "`{text}` is no value of `{key}`" => format!("give a number of bits from 1 to {max}");
    HashFamily { service: Name, net: Place, key: &'static str }, Error, "hash_family",
        "service `{service}` is on {net}, and its hash does not say how many bits of such an address count"
        => format!("add `{key} = ...`");

    // The configuration as a whole.
    DuplicateService { service: Name, other: Name, what: String }, Error, "duplicate_service",
        "services `{service}` and `{other}` are both on {what}" => "remove one of them, or change its address or port";
    OverlappingServices { service: Name, other: Name, what: String }, Error, "overlapping_services",
        "services `{service}` and `{other}` overlap on {what}"
        => "no packet may have two services: change one of the port ranges";
    UnknownPool { service: Name, pool: Name, nearest: Option<String> }, Error, "unknown_pool",
        "service `{service}` names pool `{pool}`, which does not exist"
        => or_nearest(nearest.as_ref(), || format!("add [pools.{pool}], or name another pool"));
    DuplicateName { pool: Name, name: Name }, Error, "duplicate_name",
        "pool `{pool}` has two backends named `{name}`" => "rename one of them";
    DuplicateBackend { pool: Name, backend: Name, other: Name, address: IpAddr }, Error, "duplicate_backend",
        "backends `{backend}` and `{other}` of pool `{pool}` are the same server, {address}"
        => "remove one of them; to give a server a greater share, raise its weight";
    BackendPort { pool: Name, backend: Name, port: u16, service: Name, ports: Ports, forward: Forward },
        Error, "backend_port",
        "backend `{backend}` of pool `{pool}` has port {port}, but service `{service}` has port {ports}"
        => format!("forward = \"{}\" leaves the port as it is: remove the backend's `port`", forward.name());
    BackendIsService { pool: Name, backend: Name, address: IpAddr, service: Name, net: Place },
        Error, "backend_is_service",
        "backend `{backend}` of pool `{pool}` is {address}, which service `{service}` ({net}) takes in"
        => "packets to the backend would come back to the balancer: give the backend's own address, or narrow the service";
    BackendIsSource { pool: Name, backend: Name, address: IpAddr, key: &'static str, net: Place },
        Error, "backend_is_source",
        "backend `{backend}` of pool `{pool}` is {address}, which `{key}` ({net}) takes in"
        => "the backend would see packets from its own address and drop them: take a source without backends in it";
    ManyLocal { pool: Name, count: usize }, Error, "many_local",
        "pool `{pool}` forwards to this host, but has {count} backends"
        => "this host is one server: keep one backend, or take another `forward`";
    TooMany { what: Limited, count: usize, max: usize }, Error, "too_many",
        "{count} {what}: at most {max} fit" => match what {
            Limited::Keys4 | Limited::Keys6 | Limited::Prefixes4 | Limited::Prefixes6 => {
                "each port takes a key, and each address one more: take `port = \"any\"` where it does"
            }
            Limited::Interfaces | Limited::Pools | Limited::Services | Limited::Backends => "remove some",
        };
    NoInterface { name: String, nearest: Option<String> }, Error, "no_interface",
        "interface `{name}` does not exist" => or_nearest(nearest.as_ref(), || "`ip link` lists them".to_owned());

    // Changes at run time.
    NoPool { pool: Name, nearest: Option<String> }, Error, "no_pool",
        "there is no pool `{pool}`" => or_nearest(nearest.as_ref(), || "`xlb pool list` shows them".to_owned());
    NoBackend { pool: Name, backend: Name, nearest: Option<String> }, Error, "no_backend",
        "there is no backend `{backend}` in pool `{pool}`"
        => or_nearest(nearest.as_ref(), || format!("`xlb backend list {pool}` shows them"));

    // Not wrong, but hardly meant.
    DefaultSeed {}, Warning, "default_seed",
        "no seed is set"
        => "the built-in one is public, so that a client can choose its backend: add `seed = \"some secret text\"`, \
            the same on every balancer";
    NoInterfaces {}, Warning, "no_interfaces",
        "no interface is named: nothing will be attached"
        => "add [interfaces.NAME], or attach later with `xlb attach NAME`";
    NoServices {}, Warning, "no_services",
        "there are no services: every packet will be passed" => "add [services.NAME]";
    UnusedPool { pool: Name }, Warning, "unused_pool",
        "pool `{pool}` serves nothing" => format!("name it in a service (`pool = \"{pool}\"`), or remove it");
    EmptyPool { pool: Name }, Warning, "empty_pool",
        "pool `{pool}` has no backends: its packets will be dropped as no_backend" => "add some to `backends`";
    Weightless { pool: Name }, Warning, "weightless",
        "every backend of pool `{pool}` has weight 0: its packets will be dropped as no_backend"
        => "give at least one of them a weight";
}

impl Problem {
    /// Whether it is TOML's "duplicate key", which headings get too.
    pub(super) fn is_duplicate_key(&self) -> bool {
        matches!(self, Self::Syntax { message } if is_duplicate_key(message))
    }
}

fn is_duplicate_key(message: &str) -> bool {
    message.contains("duplicate key")
}
