//! A configuration from the command line, without a file.
//!
//! The arguments are written down as they were typed, one to a line, and every problem points into that text: one way
//! to show a mistake, wherever it was made.

use super::defaults;
use super::draft::{At, BackendDraft, Draft, EncapsulationDraft, PoolDraft, ServiceDraft};
use super::load::{Loaded, conclude};
use super::model::{AttachMode, Daemon, Forward, Interface, Name, Protocol};
use super::problem::Problem;
use super::report::{Finding, Report, Span};
use super::value::{self, Choice};
use super::words::Place;

/// The name of the pool that the backends form.
pub const POOL: &str = "default";
/// How reports call the command line.
pub const FILE: &str = "command line";

/// What the command line says, each list in the order of the arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// `--interface eth0`
    pub interfaces: Vec<String>,
    /// `--generic`: holds for all of them.
    pub mode: AttachMode,
    /// `--service 192.0.2.10:80/tcp`, `[2001:db8::1]:443/udp`, `192.0.2.0/24:any/tcp`, `192.0.2.10:8000-8010/tcp`
    pub services: Vec<String>,
    /// `--backend 10.0.0.3*4`, `fd00::1`, `[fd00::1]*2`
    pub backends: Vec<String>,
    /// `--forward ipip`
    pub forward: Forward,
    /// `--seed TEXT`; the built-in one without it.
    pub seed: Option<String>,
    /// `--socket PATH`; the default one without it.
    pub socket: Option<String>,
    /// `--pin-dir DIR`; the default one without it.
    pub pin_dir: Option<String>,
}

/// The configuration that the pieces say: one pool named [`POOL`], with services and backends named after what they
/// are, so that they keep their names when the order of the arguments changes.
pub fn oneshot(pieces: &Pieces) -> Result<Loaded, Report> {
    let mut line = Line::default();
    let interfaces = line.arguments("--interface", &pieces.interfaces);
    match pieces.mode {
        AttachMode::Native => {}
        AttachMode::Generic => line.0.push_str(" \\\n  --generic"),
    }
    let services = line.arguments("--service", &pieces.services);
    let backends = line.arguments("--backend", &pieces.backends);
    let forward = line.argument("--forward", pieces.forward.name()).with(pieces.forward);

    let mut findings = Findings::default();
    let seed = findings.option(&mut line, "--seed", pieces.seed.as_deref(), value::seed);
    let socket =
        findings.option(&mut line, "--socket", pieces.socket.as_deref(), |text| value::path("socket", text));
    let pin_dir = findings
        .option(&mut line, "--pin-dir", pieces.pin_dir.as_deref(), |text| value::path("pin_dir", text));
    let interfaces =
        interfaces.into_iter().filter_map(|name| findings.keep(value::interface(name.value), name.span));
    let draft = Draft {
        seed: seed.unwrap_or(defaults::SEED),
        daemon: Daemon {
            socket: socket.unwrap_or(defaults::SOCKET.into()),
            pin_dir: pin_dir.unwrap_or(defaults::PIN_DIR.into()),
        },
        encapsulation: EncapsulationDraft::default(),
        interfaces: interfaces.map(|name| (name, Interface { mode: pieces.mode })).collect(),
        pools: vec![PoolDraft {
            name: forward.with(value::plain_name(POOL)),
            algorithm: defaults::ALGORITHM,
            forward: Some(forward),
            stable: defaults::STABLE,
            backends: Some(backends.into_iter().map(|text| backend(&mut findings, text)).collect()),
        }],
        services: services.into_iter().filter_map(|text| service(&mut findings, text)).collect(),
    };
    conclude(draft, findings.0, &line.0, FILE)
}

/// The command line as it was typed, so far.
struct Line(String);

impl Default for Line {
    fn default() -> Self {
        Self("xlb run".to_owned())
    }
}

impl Line {
    fn argument<'a>(&mut self, flag: &str, value: &'a str) -> At<&'a str> {
        self.0.extend([" \\\n  ", flag, " "]);
        let start = self.0.len();
        self.0.push_str(value);
        At::new(value, Span { start, end: self.0.len() })
    }

    fn arguments<'a>(&mut self, flag: &str, values: &'a [String]) -> Vec<At<&'a str>> {
        values.iter().map(|value| self.argument(flag, value)).collect()
    }
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// The value with its place, or its problem recorded.
    fn keep<T>(&mut self, result: Result<T, Problem>, span: Span) -> Option<At<T>> {
        result
            .map_err(|problem| self.0.push(Finding::new(problem, span)))
            .ok()
            .map(|value| At::new(value, span))
    }

    fn option<T>(
        &mut self,
        line: &mut Line,
        flag: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let at = line.argument(flag, text?);
        self.keep(parse(at.value), at.span).map(|at| at.value)
    }
}

fn backend(findings: &mut Findings, text: At<&str>) -> BackendDraft {
    let parsed = findings.keep(value::backend(text.value), text.span);
    let address = parsed.map(|at| at.with(at.value.0));
    BackendDraft {
        name: address.map(|at| at.with(value::name_of(at.value))),
        address,
        port: None,
        weight: parsed.map_or(defaults::WEIGHT, |at| at.value.1),
    }
}

/// `ADDRESS:PORTS/PROTOCOL`, cut from the right: a prefix has a slash of its own, and IPv6 colons.
fn service(findings: &mut Findings, text: At<&str>) -> Option<ServiceDraft> {
    let cut = text.value.rsplit_once('/').and_then(|(rest, protocol)| {
        let (place, ports) = rest.rsplit_once(':')?;
        Some((place, ports, protocol))
    });
    let form = || Problem::BadService { text: text.value.to_owned() };
    let Some((place, ports, protocol)) = cut else {
        return findings.keep(Err(form()), text.span).map(|at| at.value);
    };
    let start = text.span.start;
    let ports_at = start + place.len() + 1;
    let protocol_at = ports_at + ports.len() + 1;
    let span = |start: usize, text: &str| Span { start, end: start + text.len() };

    let bare = unbracketed(place);
    let address = match bare {
        Some(bare) => findings.keep(value::service_address(&bare), span(start, place)),
        None => findings.keep(Err(form()), span(start, place)),
    };
    let ports = findings.keep(value::ports(ports), span(ports_at, ports));
    let protocol = findings.keep(Protocol::from_word(protocol), span(protocol_at, protocol));
    let (address, ports, protocol) = (address?, ports?, protocol?);
    let name = value::plain_name(&format!("{}-{}-{}", Place(address.value), ports.value, protocol.value));
    Some(ServiceDraft {
        name: text.with(name),
        address: Some(address),
        protocol: Some(protocol.value),
        ports: Some(ports),
        pool: Some(text.with(pool())),
        hash: defaults::HASH,
    })
}

fn pool() -> Name {
    value::plain_name(POOL)
}

/// The address without its brackets: IPv6 must have them, `[2001:db8::1]`, `[2001:db8::/64]` or `[2001:db8::]/64`, and
/// IPv4 must not.
fn unbracketed(place: &str) -> Option<String> {
    match place.strip_prefix('[') {
        Some(rest) => {
            let (inner, after) = rest.split_once(']')?;
            let fits =
                inner.contains(':') && (after.is_empty() || after.starts_with('/') && !inner.contains('/'));
            fits.then(|| format!("{inner}{after}"))
        }
        None => (!place.contains(':')).then(|| place.to_owned()),
    }
}
