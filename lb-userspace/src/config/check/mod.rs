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
    findings
}

/// What is questionable about a draft as a whole. Of a draft with errors this would be guesswork: what seems unused
/// may be used where an error is.
pub(super) fn warnings(draft: &Draft) -> Vec<Finding> {
    warnings::check(draft)
}
