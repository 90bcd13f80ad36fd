//! The words that problems are told in.

use std::fmt;

use ipnet::IpNet;

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Clients connect to it.
    Service,
    /// Packets are sent to it.
    Backend,
    /// Outer headers carry it as their source.
    Source,
}

impl Role {
    /// What it should be instead.
    pub(super) const fn wants(self) -> &'static str {
        match self {
            Self::Service => "give an address that clients can reach, or a prefix of such addresses",
            Self::Backend => "give the address that the server has on its network",
            Self::Source => "give an address of this balancer, or a prefix set aside for it",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Service => "a service's address",
            Self::Backend => "a backend's address",
            Self::Source => "an outer source",
        })
    }
}

/// A net as people write it: a single address without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub IpNet);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() {
            self.0.addr().fmt(f)
        } else {
            fmt::Display::fmt(&self.0, f)
        }
    }
}

/// What there can be too many of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Interfaces.
    Interfaces,
    /// Pools.
    Pools,
    /// Services.
    Services,
    /// Backends of all pools together.
    Backends,
    /// Keys that services on single IPv4 addresses take.
    Keys4,
    /// Keys that services on single IPv6 addresses take.
    Keys6,
    /// Keys that services on IPv4 prefixes take.
    Prefixes4,
    /// Keys that services on IPv6 prefixes take.
    Prefixes6,
}

impl fmt::Display for Limited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Interfaces => "interfaces",
            Self::Pools => "pools",
            Self::Services => "services",
            Self::Backends => "backends",
            Self::Keys4 => "keys for services on IPv4 addresses",
            Self::Keys6 => "keys for services on IPv6 addresses",
            Self::Prefixes4 => "keys for services on IPv4 prefixes",
            Self::Prefixes6 => "keys for services on IPv6 prefixes",
        })
    }
}

/// The nearest of some words to one that was not found; `None` when none is near.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const LONGEST: usize = 64;
    const MOST_CANDIDATES: usize = 1_024;
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    known
        .into_iter()
        .take(MOST_CANDIDATES)
        .filter(|candidate| candidate.len() <= LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len().max(word.len()) / 3))
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// "Did you mean" the nearest word, or something else where there is none.
pub(super) fn or_nearest(nearest: Option<&String>, otherwise: impl FnOnce() -> String) -> String {
    nearest.map_or_else(otherwise, |nearest| format!("did you mean `{nearest}`?"))
}

/// Words in backquotes, with commas.
pub(super) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// Values to choose from.
pub(super) fn either(choices: &[&str]) -> String {
    match choices {
        [one] => format!("the only one is \"{one}\""),
        many => {
            let quoted: Vec<_> = many.iter().map(|choice| format!("\"{choice}\"")).collect();
            format!("it takes one of {}", quoted.join(", "))
        }
    }
}
