//! What was found in a text, and how it is shown: to people with the line and a caret, to programs as values.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Most findings that are written out as text. [`Report::diagnostics`] has them all.
const MOST_SHOWN: usize = 50;

/// Bytes of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Self {
        Self { start: range.start, end: range.end }
    }
}

/// How grave a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused.
    Error,
    /// It is taken, but hardly meant so.
    Warning,
}

/// A problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub problem: Problem,
    /// How grave it is here.
    pub severity: Severity,
    /// The place to change.
    pub span: Span,
    /// The other side of a conflict.
    pub related: Option<(Span, &'static str)>,
}

impl Finding {
    /// A problem at a place.
    pub(super) fn new(problem: Problem, span: Span) -> Self {
        Self { severity: problem.severity(), problem, span, related: None }
    }

    /// The same, with the other side of the conflict.
    pub(super) fn with(mut self, span: Span, label: &'static str) -> Self {
        self.related = Some((span, label));
        self
    }
}

/// Everything that was found in one text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    text: String,
    findings: Vec<Finding>,
}

/// A finding as a value for programs. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, or `command line`.
    pub file: String,
    /// Line of the place to change.
    pub line: usize,
    /// Column of the place to change.
    pub column: usize,
    /// Error or warning.
    pub severity: Severity,
    /// [`Problem::code`].
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: String,
    /// The other side of a conflict.
    pub related: Option<Related>,
}

impl Diagnostic {
    /// About a file as a whole: line and column are 0.
    pub(super) fn of_file(file: &str, code: &str, message: String) -> Self {
        Self {
            file: file.to_owned(),
            line: 0,
            column: 0,
            severity: Severity::Error,
            code: code.to_owned(),
            message,
            hint: "check the path and its permissions".to_owned(),
            related: None,
        }
    }
}

/// The other side of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// Its line.
    pub line: usize,
    /// Its column.
    pub column: usize,
    /// What it is.
    pub label: String,
}

/// With or without colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// With terminal colours.
    Coloured,
}

impl Style {
    /// Colours where the stream is a terminal and nobody asked for none (<https://no-color.org>). `no_color` is the
    /// environment's `NO_COLOR`.
    pub fn of(stream: &impl IsTerminal, no_color: Option<&std::ffi::OsStr>) -> Self {
        let refused = no_color.is_some_and(|value| !value.is_empty());
        if stream.is_terminal() && !refused { Self::Coloured } else { Self::Plain }
    }
}

impl Report {
    /// Findings in a text, sorted by place.
    pub(super) fn new(file: &str, text: &str, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| (finding.severity, finding.span.start));
        Self { file: file.to_owned(), text: text.to_owned(), findings }
    }

    /// What was found: errors first, each kind in the order of the text.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many findings are of a severity.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// All findings as values for programs.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let lines = self.lines();
        self.findings.iter().map(|finding| self.diagnostic(finding, &lines)).collect()
    }

    /// The findings for people: line, caret, hint.
    pub fn render(&self, style: Style) -> String {
        let renderer = match style {
            Style::Plain => Renderer::plain(),
            Style::Coloured => Renderer::styled(),
        };
        let mut text = String::new();
        for finding in self.findings.iter().take(MOST_SHOWN) {
            text.push_str(&renderer.render(&[self.group(finding)]));
            text.push_str("\n\n");
        }
        if self.findings.len() > MOST_SHOWN {
            let _ = write!(text, "... and {} more\n\n", self.findings.len() - MOST_SHOWN);
        }
        text.push_str(&self.summary());
        text
    }

    /// `xlb.toml: 2 errors, 1 warning`.
    pub fn summary(&self) -> String {
        let count = |severity, word| match self.count(severity) {
            0 => None,
            1 => Some(format!("1 {word}")),
            many => Some(format!("{many} {word}s")),
        };
        let counts: Vec<_> = [count(Severity::Error, "error"), count(Severity::Warning, "warning")]
            .into_iter()
            .flatten()
            .collect();
        let counts = if counts.is_empty() { "no problems".to_owned() } else { counts.join(", ") };
        format!("{}: {counts}", normalize_untrusted_str(&self.file))
    }

    fn group(&self, finding: &Finding) -> Group<'_> {
        let level = match finding.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level
            .primary_title(normalize_untrusted_str(&finding.problem.to_string()))
            .id(finding.problem.code());
        let primary = AnnotationKind::Primary.span(self.within(finding.span));
        let mut snippet =
            Snippet::source(self.text.as_str()).path(normalize_untrusted_str(&self.file)).annotation(primary);
        if let Some((span, label)) = finding.related {
            snippet = snippet.annotation(AnnotationKind::Context.span(self.within(span)).label(label));
        }
        let hint = Level::HELP.message(normalize_untrusted_str(&finding.problem.hint()));
        title.element(snippet).element(hint)
    }

    fn diagnostic(&self, finding: &Finding, lines: &[usize]) -> Diagnostic {
        let (line, column) = self.position(finding.span, lines);
        Diagnostic {
            file: self.file.clone(),
            line,
            column,
            severity: finding.severity,
            code: finding.problem.code().to_owned(),
            message: finding.problem.to_string(),
            hint: finding.problem.hint(),
            related: finding.related.map(|(span, label)| {
                let (line, column) = self.position(span, lines);
                Related { line, column, label: label.to_owned() }
            }),
        }
    }

    /// Offset of each line's first byte.
    fn lines(&self) -> Vec<usize> {
        let newlines = self.text.match_indices('\n').map(|(at, _)| at + 1);
        std::iter::once(0).chain(newlines).collect()
    }

    fn position(&self, span: Span, lines: &[usize]) -> (usize, usize) {
        let start = self.within(span).start;
        let line = lines.partition_point(|first| *first <= start);
        let first = lines.get(line.wrapping_sub(1)).copied().unwrap_or_default();
        (line, self.text[first..start].chars().count() + 1)
    }

    /// The span, made to lie within the text, on whole characters and on one line.
    fn within(&self, span: Span) -> Range<usize> {
        let floor = |at: usize| {
            let mut at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(span.start), floor(span.end));
        let line_end = self.text[start..].find('\n').map_or(self.text.len(), |newline| start + newline);
        start..end.clamp(start, line_end)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Style::Plain))
    }
}

impl std::error::Error for Report {}
