//! Fixtures: a frame, what should come of it, and a table of them that is run as a whole.

use std::fmt::Write as _;

use lb_common::Reason;

use super::kernel::Run;
use super::{Action, Scene};

/// What was counted for a frame: each exactly once, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The reason.
    pub reason: Reason,
    /// The service's id.
    pub service: Option<u32>,
    /// The backend's id.
    pub backend: Option<u32>,
}

/// What should come of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The verdict.
    pub action: Action,
    /// The frame afterwards; of a dropped one it does not matter.
    pub bytes: Option<Vec<u8>>,
    /// What is counted.
    pub outcome: Outcome,
}

impl Expect {
    /// The frame is passed on as it is.
    pub fn pass(reason: Reason, input: &[u8]) -> Self {
        let outcome = Outcome { reason, service: None, backend: None };
        Self { action: Action::Pass, bytes: Some(input.to_vec()), outcome }
    }

    /// The frame is dropped; it was for a service, or was it not.
    pub fn drop(reason: Reason, service: Option<u32>) -> Self {
        Self { action: Action::Drop, bytes: None, outcome: Outcome { reason, service, backend: None } }
    }
}

/// A case of a table.
#[derive(Clone, Debug)]
pub struct Fixture {
    /// What it is about.
    pub description: String,
    /// The frame.
    pub input: Vec<u8>,
    /// What should come of it.
    pub expect: Expect,
}

/// Fixtures by the dozen.
#[derive(Clone, Debug, Default)]
pub struct Table {
    fixtures: Vec<Fixture>,
}

impl Table {
    /// Adds a case.
    pub fn add(&mut self, description: impl Into<String>, input: Vec<u8>, expect: Expect) {
        self.fixtures.push(Fixture { description: description.into(), input, expect });
    }

    /// Adds a case of a frame that is passed on as it is.
    pub fn passes(&mut self, description: impl Into<String>, reason: Reason, input: Vec<u8>) {
        let expect = Expect::pass(reason, &input);
        self.add(description, input, expect);
    }

    /// Adds a case of a frame of a service that is dropped.
    pub fn drops(
        &mut self,
        description: impl Into<String>,
        reason: Reason,
        scene: &Scene,
        service: &str,
        input: Vec<u8>,
    ) {
        self.add(description, input, Expect::drop(reason, Some(scene.service(service).id)));
    }

    /// Runs every case.
    ///
    /// # Panics
    ///
    /// At the end, with all that failed.
    pub fn check(&self, what: &str, mut run: impl FnMut(&[u8]) -> Run) {
        assert!(!self.fixtures.is_empty(), "an empty table shows nothing");
        let mut failures = String::new();
        let mut failed = 0;
        for fixture in &self.fixtures {
            if let Err(difference) = fixture.compare(&run(&fixture.input)) {
                failed += 1;
                writeln!(failures, "\n{what}: {}:\n{difference}", fixture.description).expect("to a string");
            }
        }
        assert!(failed == 0, "{failed} of {} fixtures failed\n{failures}", self.fixtures.len());
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.fixtures.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fixtures.is_empty()
    }
}

impl Fixture {
    fn compare(&self, run: &Run) -> Result<(), String> {
        let Self { input, expect, .. } = self;
        let right = run.action == expect.action
            && run.outcome == expect.outcome
            && expect.bytes.as_ref().is_none_or(|bytes| *bytes == run.bytes);
        if right {
            return Ok(());
        }
        let mut text = format!(
            "  expected {:?} {:?}\n       got {:?} {:?}\n     input {}\n",
            expect.action,
            expect.outcome,
            run.action,
            run.outcome,
            hex(input)
        );
        if let Some(bytes) = expect.bytes.as_ref().filter(|bytes| **bytes != run.bytes) {
            let at = bytes.iter().zip(&run.bytes).take_while(|(a, b)| a == b).count();
            write!(
                text,
                "  expected {}\n       got {}\n  first different at byte {at}",
                hex(bytes),
                hex(&run.bytes)
            )
            .expect("to a string");
        }
        Err(text)
    }
}

fn hex(bytes: &[u8]) -> String {
    let shown = bytes.iter().take(160).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("to a string");
        text
    });
    if bytes.len() > 160 { format!("{shown}... ({} bytes)", bytes.len()) } else { shown }
}
