//! `xlb check`: the same validation that the daemon does, without the daemon.

use std::io::Write;

use serde::Serialize;

use super::Failure;
use super::grammar::Check;
use super::output::{self, Output, Reader};
use crate::config::{Config, ConfigErrors, Diagnostic, Interfaces, Loaded, Report, Style};

/// What `xlb check --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked<'a> {
    /// Whether `xlb run` would take it.
    pub valid: bool,
    /// Errors and warnings.
    pub diagnostics: Vec<Diagnostic>,
    /// The whole configuration, defaults filled in; only with `--print`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<&'a Config>,
}

/// `xlb check`.
pub fn check(check: &Check, output: Output) -> Result<Reader, Failure> {
    let names = if check.elsewhere { Vec::new() } else { crate::daemon::interface_names()? };
    let interfaces = if check.elsewhere { Interfaces::Unchecked } else { Interfaces::Required(&names) };
    match crate::config::load_on(&check.file, interfaces) {
        Ok(loaded) => valid(check, &loaded, output),
        Err(ConfigErrors::Invalid(report)) => invalid(&report, output),
        Err(error @ ConfigErrors::Unreadable { .. }) => Err(Failure::Refused(error.into())),
    }
}

fn valid(check: &Check, loaded: &Loaded, output: Output) -> Result<Reader, Failure> {
    let Loaded { config, warnings } = loaded;
    let config = check.print.then_some(config);
    let checked = Checked { valid: true, diagnostics: warnings.diagnostics(), config };
    if output != Output::Text {
        return output.print(&checked, |_| String::new());
    }
    if !warnings.is_empty() {
        complain(warnings);
    }
    let verdict = format!("{}: valid", check.file.display());
    match config {
        Some(config) => output::write(&format!("# {verdict}\n{}", crate::config::render(config))),
        None => output::write(&(verdict + "\n")),
    }
}

fn invalid(report: &Report, output: Output) -> Result<Reader, Failure> {
    match output {
        Output::Text => complain(report),
        Output::Json | Output::Pretty => {
            let checked = Checked { valid: false, diagnostics: report.diagnostics(), config: None };
            output.print(&checked, |_| String::new())?;
        }
    }
    Err(Failure::Told)
}

fn complain(report: &Report) {
    let stderr = std::io::stderr();
    let style = Style::of(&stderr, std::env::var_os("NO_COLOR").as_deref());
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(stderr.lock(), "{}", report.render(style).trim_end());
}
