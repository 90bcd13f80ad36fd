//! Printing: text for people, JSON in the API's own shapes for programs, errors to stderr.

use std::io::{self, Write};

use anyhow::Context;
use serde::Serialize;

use super::{Failure, whole};
use crate::api::client;
use crate::api::problem::Problem;

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// For people.
    Text,
    /// JSON, one line.
    Json,
    /// JSON, indented.
    Pretty,
}

impl Output {
    /// Prints `value`, as JSON or as what `text` makes of it.
    pub fn print<T: Serialize + ?Sized>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<Reader, Failure> {
        write(&self.render(value, text).context("cannot print the answer")?)
    }

    /// What [`Output::print`] prints.
    pub fn render<T: Serialize + ?Sized>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> serde_json::Result<String> {
        match self {
            Self::Text => Ok(text(value)),
            Self::Json => Ok(serde_json::to_string(value)? + "\n"),
            Self::Pretty => Ok(serde_json::to_string_pretty(value)? + "\n"),
        }
    }

    /// Tells on stderr why a command did not do what it should; with JSON, as a problem document.
    pub fn failure(self, failure: &Failure) {
        let problem = match failure {
            Failure::Told => return,
            Failure::Daemon(client::Error::Refused(problem)) => problem.clone(),
            Failure::Refused(error) => Problem {
                kind: "urn:xlb:refused".to_owned(),
                title: "The command is refused".to_owned(),
                status: 0,
                detail: whole(error),
            },
            Failure::Daemon(error) => Problem {
                kind: "urn:xlb:unreachable".to_owned(),
                title: "The daemon is unreachable".to_owned(),
                status: 0,
                detail: error.to_string(),
            },
        };
        // A report on a configuration says itself where an error begins.
        let text = |problem: &Problem| match problem.detail.trim_end() {
            report if report.starts_with("error") => format!("{report}\n"),
            sentence => format!("error: {sentence}\n"),
        };
        let rendered = self.render(&problem, text).unwrap_or_else(|_| text(&problem));
        // Nobody is left to be told that stderr is gone.
        let _ = io::stderr().write_all(rendered.as_bytes());
    }
}

/// Whether anybody reads on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// Everything was written.
    Listening,
    /// The other end of the pipe has seen enough.
    Gone,
}

/// Writes to stdout. A reader that has seen enough (`| head`) is no error.
pub fn write(text: &str) -> Result<Reader, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(Reader::Listening),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::Refused(anyhow::Error::new(error).context("cannot write to stdout"))),
    }
}
