//! A data plane that is only an image: for tests, with faults to order.
//!
//! It is cloned to be looked at while the control room owns the other end: both see the same state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Attachment, Counters, Dataplane, Error, Image, Step};
use crate::config::model::AttachMode;

/// A data plane in memory.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<State>>);

/// What a [`Memory`] holds.
#[derive(Debug, Default)]
pub struct State {
    /// What was applied.
    pub image: Image,
    /// Every step that was applied, in order.
    pub log: Vec<Step>,
    /// Counters to be read.
    pub counters: Counters,
    /// Interfaces that exist, with their ifindex; attaching to another is refused.
    pub interfaces: BTreeMap<String, u32>,
    /// What the balancer is attached to.
    pub attached: BTreeMap<String, Attachment>,
    /// Interfaces on which attaching fails.
    pub occupied: BTreeSet<String>,
    /// How many steps still succeed before one fails; `None`: all do.
    pub fail_after: Option<usize>,
    /// How often a program was attached.
    pub attach_calls: u32,
}

impl Memory {
    /// Looks at the state, or changes it behind the control room's back.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dataplane for Memory {
    fn read(&mut self) -> Result<Image, Error> {
        Ok(self.state().image.clone())
    }

    fn apply(&mut self, step: &Step) -> Result<(), Error> {
        let mut state = self.state();
        match &mut state.fail_after {
            Some(0) => {
                state.fail_after = None;
                return Err(Error::Kernel {
                    what: format!("apply {step:?}"),
                    source: std::io::Error::other("ordered fault"),
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        state.image.apply(step);
        state.log.push(step.clone());
        Ok(())
    }

    fn attach(&mut self, interface: &str, mode: AttachMode) -> Result<Attachment, Error> {
        let mut state = self.state();
        let Some(&ifindex) = state.interfaces.get(interface) else {
            return Err(Error::NoInterface(interface.to_owned()));
        };
        if state.occupied.contains(interface) {
            return Err(Error::Occupied {
                interface: interface.to_owned(),
                name: "somebody_else".to_owned(),
                id: 7,
            });
        }
        state.attach_calls += 1;
        let attachment = Attachment { interface: interface.to_owned(), ifindex, mode, program_id: 1 };
        state.attached.insert(interface.to_owned(), attachment.clone());
        Ok(attachment)
    }

    fn detach(&mut self, interface: &str) -> Result<(), Error> {
        self.state().attached.remove(interface);
        Ok(())
    }

    fn attachments(&mut self) -> Result<Vec<Attachment>, Error> {
        Ok(self.state().attached.values().cloned().collect())
    }

    fn counters(&mut self) -> Result<Counters, Error> {
        Ok(self.state().counters.clone())
    }
}
