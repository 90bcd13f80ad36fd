//! The configuration as a whole: conflicts between values that are good one by one.

mod backends;
mod limits;
mod services;
mod warnings;

use super::draft::Draft;
use super::report::Finding;

/// Everything that is wrong with a draft as a whole.
pub(super) fn check(draft: &Draft) -> Vec<Finding> {
    let mut findings = services::check(draft);
    findings.extend(backends::check(draft));
    findings.extend(limits::check(draft));
    findings.extend(warnings::check(draft));
    findings
}
