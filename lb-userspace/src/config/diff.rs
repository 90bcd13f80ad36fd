//! What changes from one configuration to the next, in sentences.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use super::model::{Backend, Config, HashKey, Name, Pool, Service, target};
use super::words::Place;

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A key of the root, `[daemon]` or `[encapsulation]`.
    Setting(&'static str),
    /// An interface.
    Interface(String),
    /// A pool.
    Pool(Name),
    /// A backend of a pool.
    Backend {
        /// The pool.
        pool: Name,
        /// The backend.
        backend: Name,
    },
    /// A service.
    Service(Name),
}

/// One difference. Its `Display` is the sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was not there before; the text says what it is.
    Added(Subject, String),
    /// It is there no more; the text says what it was.
    Removed(Subject, String),
    /// One property of it has another value.
    Changed {
        /// Of what.
        subject: Subject,
        /// Which property; the setting itself has an empty one.
        property: &'static str,
        /// The value before.
        old: String,
        /// The value after.
        new: String,
    },
    /// It has another value, which is nobody's business.
    Secret(Subject),
    /// The same server has another name: nothing moves.
    Renamed {
        /// The backend, by its new name.
        subject: Subject,
        /// The name before.
        old: Name,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting(key) => f.write_str(key),
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Pool(name) => write!(f, "pool {name}"),
            Self::Backend { pool, backend } => write!(f, "pool {pool}: backend {backend}"),
            Self::Service(name) => write!(f, "service {name}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(subject, what) => write!(f, "{subject} {what} added"),
            Self::Removed(subject, what) => write!(f, "{subject} {what} removed"),
            Self::Changed { subject, property: "", old, new } => write!(f, "{subject} {old} -> {new}"),
            Self::Changed { subject: subject @ Subject::Backend { .. }, property, old, new } => {
                write!(f, "{subject} {property} {old} -> {new}")
            }
            Self::Changed { subject, property, old, new } => {
                write!(f, "{subject}: {property} {old} -> {new}")
            }
            Self::Secret(subject) => write!(f, "{subject} changed"),
            Self::Renamed { subject, old } => {
                write!(f, "{subject} renamed, was {old}")
            }
        }
    }
}

/// Every difference: settings, interfaces, pools with their backends, services.
pub fn diff(old: &Config, new: &Config) -> Vec<Change> {
    let mut changes = Vec::new();
    settings(old, new, &mut changes);
    each(
        &old.interfaces,
        &new.interfaces,
        &mut changes,
        |name, interface| (Subject::Interface(name.clone()), format!("({})", interface.mode)),
        |subject, old, new, changes| property(changes, subject, "mode", &old.mode, &new.mode),
    );
    each(&old.pools, &new.pools, &mut changes, describe_pool, pool);
    each(&old.services, &new.services, &mut changes, describe_service, service);
    changes
}

fn settings(old: &Config, new: &Config, changes: &mut Vec<Change>) {
    if old.seed != new.seed {
        changes.push(Change::Secret(Subject::Setting("seed")));
    }
    let mut setting = |key, old: &dyn fmt::Display, new: &dyn fmt::Display| {
        property(changes, &Subject::Setting(key), "", old, new);
    };
    let source =
        |net: Option<ipnet::IpNet>| net.map_or("the host's own".to_owned(), |net| Place(net).to_string());
    let (before, after) = (&old.encapsulation, &new.encapsulation);
    setting("daemon.socket", &old.daemon.socket.display(), &new.daemon.socket.display());
    setting("daemon.pin_dir", &old.daemon.pin_dir.display(), &new.daemon.pin_dir.display());
    setting("encapsulation.source_ipv4", &source(before.source_ipv4), &source(after.source_ipv4));
    setting("encapsulation.source_ipv6", &source(before.source_ipv6), &source(after.source_ipv6));
    setting("encapsulation.gue_port", &before.gue_port, &after.gue_port);
    setting("encapsulation.gue_zero_checksum", &before.gue_zero_checksum, &after.gue_zero_checksum);
}

/// What was removed, changed and added between two maps, in this order.
fn each<K: Ord, V: PartialEq>(
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    changes: &mut Vec<Change>,
    describe: impl Fn(&K, &V) -> (Subject, String),
    changed: impl Fn(&Subject, &V, &V, &mut Vec<Change>),
) {
    for (name, value) in old.iter().filter(|(name, _)| !new.contains_key(name)) {
        let (subject, what) = describe(name, value);
        changes.push(Change::Removed(subject, what));
    }
    for (name, after) in new {
        let (subject, what) = describe(name, after);
        match old.get(name) {
            Some(before) => changed(&subject, before, after, changes),
            None => changes.push(Change::Added(subject, what)),
        }
    }
}

fn property(
    changes: &mut Vec<Change>,
    subject: &Subject,
    property: &'static str,
    old: &dyn fmt::Display,
    new: &dyn fmt::Display,
) {
    let (old, new) = (old.to_string(), new.to_string());
    if old != new {
        changes.push(Change::Changed { subject: subject.clone(), property, old, new });
    }
}

fn describe_pool(name: &Name, pool: &Pool) -> (Subject, String) {
    let count = match pool.backends.len() {
        1 => "1 backend".to_owned(),
        many => format!("{many} backends"),
    };
    (Subject::Pool(name.clone()), format!("({}, {count})", pool.forward))
}

fn pool(subject: &Subject, old: &Pool, new: &Pool, changes: &mut Vec<Change>) {
    property(changes, subject, "algorithm", &old.algorithm, &new.algorithm);
    property(changes, subject, "forward", &old.forward, &new.forward);
    property(changes, subject, "stable", &old.stable, &new.stable);
    if let Subject::Pool(name) = subject {
        backends(name, old, new, changes);
    }
}

/// Backends are compared by what they are, address and port; the name comes second.
fn backends(pool: &Name, old: &Pool, new: &Pool, changes: &mut Vec<Change>) {
    let (before, after) = (by_identity(old), by_identity(new));
    let subject = |backend: &Name| Subject::Backend { pool: pool.clone(), backend: backend.clone() };
    each(
        &before,
        &after,
        changes,
        |identity, (name, backend)| (subject(name), describe_backend(*identity, backend)),
        |of, (old_name, old), (new_name, new), changes| {
            if old_name != new_name {
                changes.push(Change::Renamed { subject: of.clone(), old: (*old_name).clone() });
            }
            property(changes, of, "weight", &old.weight, &new.weight);
        },
    );
}

fn by_identity(pool: &Pool) -> BTreeMap<(IpAddr, Option<u16>), (&Name, &Backend)> {
    pool.backends.iter().map(|(name, backend)| ((backend.address, backend.port), (name, backend))).collect()
}

fn describe_backend((address, port): (IpAddr, Option<u16>), backend: &Backend) -> String {
    let port = port.map_or(String::new(), |port| format!(" port {port}"));
    let weight = if backend.weight == super::defaults::WEIGHT {
        String::new()
    } else {
        format!(" weight {}", backend.weight)
    };
    format!("{address}{port}{weight}")
}

fn describe_service(name: &Name, service: &Service) -> (Subject, String) {
    let what = target(service.address, service.ports, service.protocol);
    (Subject::Service(name.clone()), format!("{what} of pool {}", service.pool))
}

fn service(subject: &Subject, old: &Service, new: &Service, changes: &mut Vec<Change>) {
    let place = |service: &Service| target(service.address, service.ports, service.protocol);
    property(changes, subject, "address", &place(old), &place(new));
    property(changes, subject, "pool", &old.pool, &new.pool);
    property(changes, subject, "hash", &hash(old), &hash(new));
}

fn hash(service: &Service) -> String {
    match service.hash {
        HashKey::FiveTuple => "five-tuple".to_owned(),
        HashKey::Source => "source".to_owned(),
        HashKey::SourcePrefix { ipv4, ipv6 } => format!("source/{ipv4} and source/{ipv6}"),
    }
}
