//! What is valid, but hardly meant.

use std::collections::BTreeSet;

use crate::config::draft::{Draft, PoolDraft};
use crate::config::model::Name;
use crate::config::problem::Problem;
use crate::config::report::{Finding, Span};

pub(super) fn check(draft: &Draft) -> Vec<Finding> {
    let used: BTreeSet<&Name> =
        draft.services.iter().filter_map(|s| s.pool.as_ref()).map(|p| &p.value).collect();
    let mut findings = Vec::new();
    if draft.interfaces.is_empty() {
        findings.push(Finding::new(Problem::NoInterfaces {}, Span::default()));
    }
    if draft.services.is_empty() {
        findings.push(Finding::new(Problem::NoServices {}, Span::default()));
    }
    for pool in &draft.pools {
        let name = &pool.name.value;
        let mut warn = |problem| findings.push(Finding::new(problem, pool.name.span));
        if !used.contains(name) {
            warn(Problem::UnusedPool { pool: name.clone() });
        }
        if is_empty(pool) {
            warn(Problem::EmptyPool { pool: name.clone() });
        } else if pool.backends.is_some() && pool.backends().all(|backend| backend.weight == 0) {
            warn(Problem::Weightless { pool: name.clone() });
        }
    }
    findings
}

fn is_empty(pool: &PoolDraft) -> bool {
    pool.backends.as_ref().is_some_and(Vec::is_empty)
}
