//! Single values: from text or number to what they mean. No value here knows of another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use siphasher::sip::SipHasher24;

use super::model::{Algorithm, AttachMode, Forward, HashKey, Name, Ports, Protocol};
use super::problem::{Problem, Role};
use super::words::{Place, nearest};

/// The key of the flow hash that a text stands for: SipHash-2-4 with an all-zero key. Part of the contract between
/// balancers, as the seed itself is.
pub fn seed(text: &str) -> Result<u64, Problem> {
    if text.trim().is_empty() {
        return Err(Problem::BadSeed { text: text.to_owned() });
    }
    Ok(SipHasher24::new_with_keys(0, 0).hash(text.as_bytes()))
}

/// A name of a pool, backend or service.
pub fn name(text: &str) -> Result<Name, Problem> {
    text.parse().map_err(|_| Problem::BadName { text: text.to_owned() })
}

/// The name of a network interface, as Linux would allow it.
pub fn interface(text: &str) -> Result<String, Problem> {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    if (1..=15).contains(&text.len()) && !text.contains(odd) && text != "." && text != ".." {
        Ok(text.to_owned())
    } else {
        Err(Problem::BadInterface { text: text.to_owned() })
    }
}

/// An absolute path; `key` is `socket` or `pin_dir`.
pub fn path(key: &'static str, text: &str) -> Result<PathBuf, Problem> {
    let bad = |why| Err(Problem::BadPath { key, path: text.to_owned(), why });
    if !text.starts_with('/') {
        return bad("it is not absolute");
    }
    if text.contains(char::is_control) {
        return bad("it contains control characters");
    }
    if key == "socket" && text.len() > MAX_SOCKET_PATH {
        return bad("a socket's path has at most 107 bytes");
    }
    Ok(text.into())
}

/// One address. What it may be used for is [`usable`]'s question.
pub fn address(text: &str) -> Result<IpAddr, Problem> {
    text.parse().map_err(|_| Problem::NotAnAddress { text: text.to_owned() })
}

/// An address, or a prefix without host bits.
pub fn net(text: &str) -> Result<IpNet, Problem> {
    let Some((head, length)) = text.split_once('/') else { return address(text).map(IpNet::from) };
    let net = IpNet::from(address(head)?);
    let max = net.max_prefix_len();
    let bad = || Problem::BadPrefix { text: text.to_owned(), max };
    if !length.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let length: u8 = length.parse().map_err(|_| bad())?;
    let net = IpNet::new(net.addr(), length).map_err(|_| bad())?;
    if net == net.trunc() { Ok(net) } else { Err(Problem::HostBits { net }) }
}

/// Refuses what cannot have the role: loopback, multicast and the like, as a whole or in part.
pub fn usable(net: IpNet, role: Role) -> Result<(), Problem> {
    for (block, word, except) in BLOCKED {
        let overlap = block.contains(&net.network()) || net.contains(&block.network());
        if overlap && *except != Some(role) {
            return Err(Problem::UnusableAddress { role, net: Place(net), block: Place(*block), word });
        }
    }
    Ok(())
}

/// What clients connect to: an address or prefix that is fit for it.
pub fn service_address(text: &str) -> Result<IpNet, Problem> {
    let net = net(text)?;
    usable(net, Role::Service)?;
    Ok(net)
}

/// Refuses a backend address that packets cannot be sent to. With [`Forward::Local`] nothing is sent, and loopback
/// is as good a name for this host as any.
pub fn usable_backend(address: IpAddr, forward: Forward) -> Result<(), Problem> {
    if forward == Forward::Local && address.is_loopback() {
        return Ok(());
    }
    usable(address.into(), Role::Backend)
}

/// An outer source: an address, or a prefix of which at most 32 bits are drawn.
pub fn source(key: &'static str, text: &str) -> Result<IpNet, Problem> {
    let net = net(text)?;
    if matches!(net, IpNet::V4(_)) != (key == "source_ipv4") {
        return Err(Problem::WrongFamily { key, net: Place(net) });
    }
    usable(net, Role::Source)?;
    if net.max_prefix_len() - net.prefix_len() > 32 {
        return Err(Problem::DrawTooWide { net });
    }
    Ok(net)
}

/// One port.
pub fn port(text: &str) -> Result<u16, Problem> {
    match text.parse() {
        Ok(port) if port != 0 && digits(text) => Ok(port),
        Ok(_) | Err(_) => Err(Problem::BadPort { text: text.to_owned() }),
    }
}

/// A service's ports: one, a range, or any.
pub fn ports(text: &str) -> Result<Ports, Problem> {
    if text == "any" {
        return Ok(Ports::Any);
    }
    let Some((first, last)) = text.split_once('-') else {
        return port(text).map(|port| Ports::Range { first: port, last: port });
    };
    let whole = |_| Problem::BadPort { text: text.to_owned() };
    let (first, last) = (port(first).map_err(whole)?, port(last).map_err(whole)?);
    if first > last {
        return Err(Problem::ReversedRange { first, last });
    }
    let range = Ports::Range { first, last };
    if range.keys() > Ports::MAX {
        return Err(Problem::WideRange { first, last, count: range.keys(), max: Ports::MAX });
    }
    Ok(range)
}

/// How many bits of a client's address are hashed.
pub fn bits(key: &'static str, text: &str, max: u8) -> Result<u8, Problem> {
    match text.parse() {
        Ok(bits) if digits(text) && (1..=max).contains(&bits) => Ok(bits),
        Ok(_) | Err(_) => Err(Problem::BadSourcePrefix { key, text: text.to_owned(), max }),
    }
}

/// A hash key that needs no numbers.
pub fn hash_word(text: &str) -> Result<HashKey, Problem> {
    match text {
        "five-tuple" => Ok(HashKey::FiveTuple),
        "source" => Ok(HashKey::Source),
        _ => Err(Problem::BadChoice {
            key: "hash",
            text: text.to_owned(),
            nearest: nearest(text, HASH_WORDS.iter().copied()),
            choices: HASH_WORDS,
        }),
    }
}

/// A backend's weight.
pub fn weight(text: &str) -> Result<u16, Problem> {
    match text.parse() {
        Ok(weight) if digits(text) => Ok(weight),
        Ok(_) | Err(_) => Err(Problem::BadWeight { text: text.to_owned() }),
    }
}

/// A backend as the command line has it: an address, and a weight behind a `*`. IPv6 may be in brackets.
pub fn backend(text: &str) -> Result<(IpAddr, u16), Problem> {
    let (head, share) = match text.split_once('*') {
        Some((head, share)) => (head, weight(share)?),
        None => (text, super::defaults::WEIGHT),
    };
    let inner = head.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match inner.unwrap_or(head).parse() {
        Ok(IpAddr::V4(_)) if inner.is_some() => Err(()),
        Ok(address) => Ok(address),
        Err(_) => Err(()),
    };
    Ok((address.map_err(|()| Problem::NotAnAddress { text: head.to_owned() })?, share))
}

/// A name for a backend that has none: its address, with what a name cannot hold replaced.
pub fn name_of(address: IpAddr) -> Name {
    plain_name(&address.to_string())
}

/// A name made of a text that says what the thing is.
pub(super) fn plain_name(text: &str) -> Name {
    let mut plain: String = text
        .chars()
        .map(|c| match c {
            ':' => '-',
            '/' => '_',
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
            _ => '_',
        })
        .take(62)
        .collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        plain.insert(0, '0');
    }
    Name::try_from(plain).expect("1 to 63 plain characters, the first a digit or letter")
}

/// A value that is one of a few words.
pub trait Choice: Copy + 'static {
    /// The key that takes it.
    const KEY: &'static str;
    /// The words.
    const WORDS: &'static [&'static str];
    /// The values, in the order of the words.
    const VALUES: &'static [Self];

    /// The value that the word stands for.
    fn from_word(text: &str) -> Result<Self, Problem> {
        let found = Self::WORDS.iter().zip(Self::VALUES).find(|(word, _)| **word == text);
        found.map(|(_, value)| *value).ok_or_else(|| Problem::BadChoice {
            key: Self::KEY,
            text: text.to_owned(),
            nearest: nearest(text, Self::WORDS.iter().copied()),
            choices: Self::WORDS,
        })
    }
}

macro_rules! choice {
    ($($type:ty, $key:literal, $($value:ident)*;)*) => {
        $(impl Choice for $type {
            const KEY: &'static str = $key;
            const WORDS: &'static [&'static str] = &[$(<$type>::$value.name()),*];
            const VALUES: &'static [Self] = &[$(<$type>::$value),*];
        })*
    };
}

choice! {
    AttachMode, "mode", Native Generic;
    Algorithm, "algorithm", Maglev;
    Forward, "forward", Ipip Gue L2 Local;
    Protocol, "protocol", Tcp Udp;
}

/// Most bytes of a socket's path, the closing zero byte not counted (`sun_path` in unix(7)).
const MAX_SOCKET_PATH: usize = 107;

const HASH_WORDS: &[&str] = &["five-tuple", "source"];

/// Addresses that no service, backend or outer source can have, save one role for some.
const BLOCKED: &[(IpNet, &str, Option<Role>)] = &[
    (v4(0, 8), "unspecified", None),
    (v4(0x7f00_0000, 8), "loopback", None),
    (v4(0xe000_0000, 4), "multicast", None),
    (v4(u32::MAX, 32), "broadcast", None),
    (v6(0, 128), "unspecified", None),
    (v6(1, 128), "loopback", None),
    (v6(0xff00 << 112, 8), "multicast", None),
    (v6(0xffff << 32, 96), "IPv4 mapped into IPv6", None),
    (v6(0xfe80 << 112, 10), "link-local, without meaning on another link", Some(Role::Service)),
];

const fn v4(bits: u32, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::from_bits(bits), length))
}

const fn v6(bits: u128, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::from_bits(bits), length))
}

/// Rust's integer parser takes a leading plus; nobody else does.
fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}
