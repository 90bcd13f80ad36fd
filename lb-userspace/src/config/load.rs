//! The ways in: a file, or a text.

use std::path::Path;

use super::check;
use super::model::Config;
use super::problem::Problem;
use super::read::read;
use super::report::{Diagnostic, Finding, Report, Severity, Style};
use super::words::nearest;

/// Largest file that is read, in bytes: more than all that fits the kernel's tables needs.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// A configuration, and what is questionable about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Warnings; empty when there are none.
    pub warnings: Report,
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigErrors {
    /// The file could not be read.
    #[error("cannot read {file}: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why not, in the system's words.
        reason: String,
    },
    /// What it says is no valid configuration.
    #[error("{0}")]
    Invalid(Report),
}

impl ConfigErrors {
    /// As values for programs.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        match self {
            Self::Unreadable { file, .. } => vec![Diagnostic::of_file(file, "unreadable", self.to_string())],
            Self::Invalid(report) => report.diagnostics(),
        }
    }

    /// For people.
    pub fn render(&self, style: Style) -> String {
        match self {
            Self::Unreadable { .. } => self.to_string(),
            Self::Invalid(report) => report.render(style),
        }
    }
}

/// Whether interfaces must exist. Names are those of the machine's interfaces.
#[derive(Clone, Copy, Debug, Default)]
pub enum Interfaces<'a> {
    /// Nobody asks.
    #[default]
    Unchecked,
    /// One that is not there is a warning: it may come later.
    Expected(&'a [String]),
    /// One that is not there is an error.
    Required(&'a [String]),
}

/// Reads a file, without asking which interfaces exist.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    load_on(path, Interfaces::Unchecked)
}

/// Reads a file for a machine with these interfaces.
pub fn load_on(path: &Path, interfaces: Interfaces<'_>) -> Result<Loaded, ConfigErrors> {
    let file = path.display().to_string();
    match contents(path) {
        Ok(text) => parse_on(&text, &file, interfaces).map_err(ConfigErrors::Invalid),
        Err(reason) => Err(ConfigErrors::Unreadable { file, reason }),
    }
}

/// The configuration that a text says. `file` is how the report calls it.
pub fn parse(text: &str, file: &str) -> Result<Config, Report> {
    parse_on(text, file, Interfaces::Unchecked).map(|loaded| loaded.config)
}

/// The configuration that a text says, on a machine with these interfaces, with its warnings.
pub fn parse_on(text: &str, file: &str, interfaces: Interfaces<'_>) -> Result<Loaded, Report> {
    let (draft, mut findings) = read(text);
    let Some(draft) = draft else { return Err(Report::new(file, text, findings)) };
    findings.extend(absent(&draft.interfaces, interfaces));
    conclude(draft, findings, text, file)
}

/// Checks a draft as a whole and makes it a configuration.
pub(super) fn conclude(
    draft: super::draft::Draft,
    mut findings: Vec<Finding>,
    text: &str,
    file: &str,
) -> Result<Loaded, Report> {
    findings.extend(check::check(&draft));
    let refused = findings.iter().any(|finding| finding.severity == Severity::Error);
    if !refused {
        findings.extend(check::warnings(&draft));
    }
    let report = Report::new(file, text, findings);
    match draft.finish() {
        Some(config) if !refused => Ok(Loaded { config, warnings: report }),
        Some(_) | None => Err(report),
    }
}

fn absent(
    named: &[(super::draft::At<String>, super::model::Interface)],
    interfaces: Interfaces<'_>,
) -> Vec<Finding> {
    let (existing, severity) = match interfaces {
        Interfaces::Unchecked => return Vec::new(),
        Interfaces::Expected(existing) => (existing, Severity::Warning),
        Interfaces::Required(existing) => (existing, Severity::Error),
    };
    let missing = named.iter().filter(|(name, _)| !existing.contains(&name.value));
    let finding = |name: &super::draft::At<String>| {
        let nearest = nearest(&name.value, existing.iter().map(String::as_str));
        let problem = Problem::NoInterface { name: name.value.clone(), nearest };
        Finding { severity, ..Finding::new(problem, name.span) }
    };
    missing.map(|(name, _)| finding(name)).collect()
}

fn contents(path: &Path) -> Result<String, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if metadata.len() > MAX_FILE_BYTES {
        return Err(format!("it has {} bytes, more than any configuration needs", metadata.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes()[..error.utf8_error().valid_up_to()].split(|byte| *byte == b'\n').count();
        format!("line {line} is not UTF-8")
    })
}
