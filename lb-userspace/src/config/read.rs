//! A file's text to a draft.

use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::defaults::{self, Section};
use super::draft::{At, BackendDraft, Draft, EncapsulationDraft, PoolDraft, ServiceDraft};
use super::model::{Daemon, HashKey, Interface, Name, Protocol};
use super::problem::Problem;
use super::reader::{Entry, Reader, Table, decimal};
use super::report::{Finding, Span};
use super::value::{self, Choice};
use super::words::Place;

/// Most syntax errors that are told: after one the parser guesses.
const MAX_SYNTAX_ERRORS: usize = 10;

/// Reads a text. The draft is `None` when it is not TOML.
pub(super) fn read(text: &str) -> (Option<Draft>, Vec<Finding>) {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return (None, syntax(text, &errors));
    }
    let mut reader = Reader::default();
    let draft = root(&mut reader, document.get_ref());
    (Some(draft), reader.findings)
}

/// Syntax errors, without those that only follow from another: the parser goes on after an error, and stumbles over
/// the rest of the line, or over every key below a heading that stands twice.
fn syntax(text: &str, errors: &[toml::de::Error]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut repeated_heading = false;
    let mut told = 0;
    for error in errors {
        let span = Span::from(error.span().unwrap_or(text.len()..text.len()));
        let since = text.get(told..span.start).unwrap_or_default();
        let line = text.get(..span.start).unwrap_or_default().rsplit('\n').next().unwrap_or_default();
        if !findings.is_empty() && !since.contains('\n') {
            continue;
        }
        let problem = Problem::Syntax { message: error.message().to_owned() };
        let in_heading = line.trim_start().starts_with('[');
        let same_table = !since.lines().any(|line| line.trim_start().starts_with('['));
        if repeated_heading && same_table && !in_heading && problem.is_duplicate_key() {
            continue;
        }
        repeated_heading = in_heading && problem.is_duplicate_key();
        told = span.start;
        findings.push(Finding::new(problem, span));
        if findings.len() == MAX_SYNTAX_ERRORS {
            break;
        }
    }
    findings
}

fn root(reader: &mut Reader, document: &DeTable<'_>) -> Draft {
    let root = reader.table(Section::Root, "the top level".to_owned(), document, Span::default());
    let interfaces = reader.named(&root, "interfaces", Section::Interface);
    let pools = reader.named(&root, "pools", Section::Pool);
    let services = reader.named(&root, "services", Section::Service);
    Draft {
        seed: seed(reader, &root),
        daemon: daemon(reader, &root),
        encapsulation: encapsulation(reader, &root),
        interfaces: interfaces
            .into_iter()
            .filter_map(|(name, table)| interface(reader, &name, &table))
            .collect(),
        pools: pools.into_iter().filter_map(|(name, table)| pool(reader, &name, &table)).collect(),
        services: services.into_iter().filter_map(|(name, table)| service(reader, &name, &table)).collect(),
    }
}

fn seed(reader: &mut Reader, root: &Table<'_, '_>) -> u64 {
    let Some(entry) = root.get("seed") else {
        reader.record(Problem::DefaultSeed {}, Span::default());
        return defaults::SEED;
    };
    let seed = match entry.value.get_ref() {
        DeValue::String(text) => value::seed(text),
        DeValue::Integer(number) => {
            let text = decimal(number);
            text.parse().map_err(|_| Problem::BadSeed { text })
        }
        DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            reader.wrong_type(entry, root);
            return defaults::SEED;
        }
    };
    reader.keep(seed, entry.span()).map_or(defaults::SEED, |at| at.value)
}

/// A table of the root that may be absent.
fn section<'t, 's>(
    reader: &mut Reader,
    root: &Table<'t, 's>,
    name: &'static str,
    section: Section,
) -> Option<Table<'t, 's>> {
    let entry = root.get(name)?;
    let entries = reader.entries(entry, root)?;
    Some(reader.table(section, format!("`{name}`"), entries, entry.span()))
}

fn daemon(reader: &mut Reader, root: &Table<'_, '_>) -> Daemon {
    let table = section(reader, root, "daemon", Section::Daemon);
    let mut path = |key: &'static str, default: &str| {
        let table = table.as_ref()?;
        let entry = table.get(key)?;
        reader.parse(entry, table, |text| value::path(key, text)).map(|at| at.value).or(Some(default.into()))
    };
    Daemon {
        socket: path("socket", defaults::SOCKET).unwrap_or(defaults::SOCKET.into()),
        pin_dir: path("pin_dir", defaults::PIN_DIR).unwrap_or(defaults::PIN_DIR.into()),
    }
}

fn encapsulation(reader: &mut Reader, root: &Table<'_, '_>) -> EncapsulationDraft {
    let Some(table) = section(reader, root, "encapsulation", Section::Encapsulation) else {
        return EncapsulationDraft::default();
    };
    let mut source =
        |key: &'static str| reader.parse(table.get(key)?, &table, |text| value::source(key, text));
    let (source_ipv4, source_ipv6) = (source("source_ipv4"), source("source_ipv6"));
    let port = table.get("gue_port").and_then(|entry| reader.number(entry, &table, value::port));
    EncapsulationDraft {
        source_ipv4,
        source_ipv6,
        gue_port: port.map_or(defaults::GUE_PORT, |at| at.value),
        gue_zero_checksum: reader.truth(&table, "gue_zero_checksum", defaults::GUE_ZERO_CHECKSUM),
    }
}

fn interface(
    reader: &mut Reader,
    name: &At<String>,
    table: &Table<'_, '_>,
) -> Option<(At<String>, Interface)> {
    let mode = reader.choice(table, defaults::MODE);
    let name = reader.keep(value::interface(&name.value), name.span)?;
    Some((name, Interface { mode }))
}

fn pool(reader: &mut Reader, name: &At<String>, table: &Table<'_, '_>) -> Option<PoolDraft> {
    let forward = reader.required(table, "forward");
    let forward = forward.and_then(|entry| reader.parse(entry, table, Choice::from_word));
    let algorithm = reader.choice(table, defaults::ALGORITHM);
    let stable = reader.truth(table, "stable", defaults::STABLE);
    let backends = backends(reader, table);
    let name = reader.keep(value::name(&name.value), name.span)?;
    Some(PoolDraft { name, algorithm, forward, stable, backends })
}

fn backends(reader: &mut Reader, table: &Table<'_, '_>) -> Option<Vec<BackendDraft>> {
    let Some(entry) = table.get("backends") else { return Some(Vec::new()) };
    let Some(items) = entry.value.get_ref().as_array() else {
        reader.wrong_type(entry, table);
        return None;
    };
    let mut found = Vec::new();
    for item in items {
        let title = format!("a backend of {}", table.title());
        let Some(entries) = item.get_ref().as_table() else {
            let kind = super::reader::article(item.get_ref());
            let expected = "a table like { name = \"web-1\", address = \"10.0.1.1\" }";
            reader.record(Problem::WrongType { what: title, expected, found: kind }, item.span().into());
            continue;
        };
        let item = reader.table(Section::Backend, title, entries, item.span().into());
        found.push(backend(reader, &item));
    }
    Some(found)
}

fn backend(reader: &mut Reader, table: &Table<'_, '_>) -> BackendDraft {
    let address = reader.required(table, "address");
    let address = address.and_then(|entry| reader.parse(entry, table, value::address));
    let name = match table.get("name") {
        Some(entry) => reader.parse(entry, table, value::name),
        None => address.map(|at| At::new(value::name_of(at.value), at.span)),
    };
    let port = table.get("port").and_then(|entry| reader.number(entry, table, value::port));
    let weight = table.get("weight").and_then(|entry| reader.number(entry, table, value::weight));
    BackendDraft { name, address, port, weight: weight.map_or(defaults::WEIGHT, |at| at.value) }
}

fn service(reader: &mut Reader, name: &At<String>, table: &Table<'_, '_>) -> Option<ServiceDraft> {
    let address = reader.required(table, "address");
    let address = address.and_then(|entry| reader.parse(entry, table, value::service_address));
    let protocol = reader.required(table, Protocol::KEY);
    let protocol = protocol.and_then(|entry| reader.parse(entry, table, Protocol::from_word));
    let ports = reader.required(table, "port").and_then(|entry| match entry.value.get_ref() {
        DeValue::String(_) => reader.parse(entry, table, value::ports),
        _ => reader.number(entry, table, value::ports),
    });
    let pool = reader.required(table, "pool").and_then(|entry| reader.parse(entry, table, value::name));
    let name = reader.keep(value::name(&name.value), name.span);
    let hash = match table.get("hash") {
        Some(entry) => hash(reader, entry, table, name.as_ref().zip(address.as_ref())),
        None => defaults::HASH,
    };
    Some(ServiceDraft { name: name?, address, protocol: protocol.map(|at| at.value), ports, pool, hash })
}

fn hash(
    reader: &mut Reader,
    entry: Entry<'_, '_>,
    service: &Table<'_, '_>,
    of: Option<(&At<Name>, &At<IpNet>)>,
) -> HashKey {
    match entry.value.get_ref() {
        DeValue::String(text) => {
            let hash = value::hash_word(text);
            reader.keep(hash, entry.span()).map_or(defaults::HASH, |at| at.value)
        }
        DeValue::Table(entries) => {
            let title = format!("`hash` of {}", service.title());
            let table = reader.table(Section::Hash, title, entries, entry.span());
            source_prefix(reader, &table, entry.span(), of)
        }
        _ => {
            reader.wrong_type(entry, service);
            defaults::HASH
        }
    }
}

fn source_prefix(
    reader: &mut Reader,
    table: &Table<'_, '_>,
    span: Span,
    of: Option<(&At<Name>, &At<IpNet>)>,
) -> HashKey {
    let mut bits = |key: &'static str, max: u8, default: u8| {
        let given = table.get(key);
        let bits = given.and_then(|entry| reader.number(entry, table, |text| value::bits(key, text, max)));
        (given.is_some(), bits.map_or(default, |at| at.value))
    };
    let (given4, ipv4) = bits("source_prefix_ipv4", 32, defaults::SOURCE_PREFIX_IPV4);
    let (given6, ipv6) = bits("source_prefix_ipv6", 128, defaults::SOURCE_PREFIX_IPV6);
    if let Some((name, net)) = of {
        let (given, key) = match net.value {
            IpNet::V4(_) => (given4, "source_prefix_ipv4"),
            IpNet::V6(_) => (given6, "source_prefix_ipv6"),
        };
        if !given {
            let (service, net) = (name.value.clone(), Place(net.value));
            reader.record(Problem::HashFamily { service, net, key }, span);
        }
    }
    HashKey::SourcePrefix { ipv4, ipv6 }
}
