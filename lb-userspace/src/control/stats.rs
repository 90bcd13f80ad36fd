//! Raw counters as people read them: by name.

use lb_common::Reason;
use lb_common::reason::Verdict;

use super::carry::total;
use super::desired::{OWNED, text};
use super::view::{BackendCount, NamedCount, ReasonCount, Stats};
use crate::dataplane::{Counters, Image};

/// The counters of everything that the image names.
pub fn stats(image: &Image, counters: &Counters) -> Stats {
    let mut services: Vec<NamedCount> = image
        .service_records
        .iter()
        .filter_map(|(id, record)| {
            let raw = counters.services.get(id).copied().unwrap_or_default();
            let count = total(record.base, record.carried, raw);
            Some(NamedCount { name: text(&record.name)?, packets: count.packets, bytes: count.bytes })
        })
        .collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));

    let mut backends: Vec<BackendCount> = image
        .backend_records
        .iter()
        .filter(|(_, record)| record.state == OWNED)
        .filter_map(|(id, record)| {
            let raw = counters.backends.get(id).copied().unwrap_or_default();
            let count = total(record.base, record.carried, raw);
            let pool = text(&image.pool_records.get(&record.table)?.name)?;
            Some(BackendCount {
                pool,
                backend: text(&record.name)?,
                packets: count.packets,
                bytes: count.bytes,
            })
        })
        .collect();
    backends.sort_by(|a, b| (&a.pool, &a.backend).cmp(&(&b.pool, &b.backend)));

    let reasons = Reason::ALL.iter().map(|&reason| {
        let count = counters.reasons.get(reason as usize).copied().unwrap_or_default();
        ReasonCount {
            reason: reason.name().to_owned(),
            verdict: verdict(reason.verdict()).to_owned(),
            description: reason.describe().trim().to_owned(),
            packets: count.packets,
            bytes: count.bytes,
        }
    });
    Stats { services, backends, reasons: reasons.collect() }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Drop => "drop",
        Verdict::Transmit => "transmit",
        Verdict::Redirect => "redirect",
    }
}
