//! Counters: `xlb stats` and `xlb drops`.

use std::fmt::Write;

use serde::Serialize;

use crate::cli::columns::{Align, Columns};
use crate::control::view::{ReasonCount, Stats};

/// Which reasons `xlb drops` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that happened.
    Happened,
    /// All.
    All,
}

/// What `xlb drops` shows; `--json` prints it as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Drops {
    /// Why packets were discarded.
    pub dropped: Vec<ReasonCount>,
    /// Why packets were left to the local stack.
    pub passed: Vec<ReasonCount>,
}

impl Drops {
    /// The reasons among `stats` that lose or leave packets.
    pub fn of(stats: &Stats, which: Which) -> Self {
        let select = |verdict: &str| {
            let wanted = |r: &&ReasonCount| r.verdict == verdict && (which == Which::All || r.packets > 0);
            stats.reasons.iter().filter(wanted).cloned().collect()
        };
        Self { dropped: select("drop"), passed: select("pass") }
    }
}

/// `xlb stats`.
pub fn stats(stats: &Stats) -> String {
    let mut services =
        Columns::new([("SERVICE", Align::Left), ("PACKETS", Align::Right), ("BYTES", Align::Right)]);
    for count in &stats.services {
        services.row([count.name.to_string(), count.packets.to_string(), count.bytes.to_string()]);
    }
    let mut backends = Columns::new([
        ("POOL", Align::Left),
        ("BACKEND", Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
    ]);
    for count in &stats.backends {
        backends.row([
            count.pool.to_string(),
            count.backend.to_string(),
            count.packets.to_string(),
            count.bytes.to_string(),
        ]);
    }
    format!("{services}\n{backends}\n{}", reasons(&stats.reasons))
}

/// `xlb agent stats`, and the last part of `xlb stats`.
pub fn reasons(reasons: &[ReasonCount]) -> String {
    let mut columns = Columns::new([
        ("REASON", Align::Left),
        ("VERDICT", Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
    ]);
    for count in reasons {
        columns.row([
            count.reason.clone(),
            count.verdict.clone(),
            count.packets.to_string(),
            count.bytes.to_string(),
        ]);
    }
    columns.to_string()
}

/// `xlb drops`.
pub fn drops(drops: &Drops) -> String {
    let mut out = String::new();
    section(&mut out, "dropped", &drops.dropped);
    out.push('\n');
    section(&mut out, "passed", &drops.passed);
    out
}

fn section(out: &mut String, title: &str, reasons: &[ReasonCount]) {
    if reasons.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "nothing was {title}");
        return;
    }
    let mut columns = Columns::new([
        (title.to_uppercase().as_str(), Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
        ("WHY", Align::Left),
    ]);
    for count in reasons {
        columns.row([
            count.reason.clone(),
            count.packets.to_string(),
            count.bytes.to_string(),
            count.description.trim().to_owned(),
        ]);
    }
    let _ = write!(out, "{columns}");
}
