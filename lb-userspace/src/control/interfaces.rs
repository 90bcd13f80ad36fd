//! Which interfaces the balancer is on, and why not on the others.

use std::collections::BTreeMap;

use super::view::InterfaceView;
use crate::config::model::{AttachMode, Interface};
use crate::dataplane::{Attachment, Dataplane, Error};
use crate::net::Resolve;

type Wanted = BTreeMap<String, Interface>;

/// What went wrong with interfaces, by name.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    failures: BTreeMap<String, Failure>,
}

/// A failed attempt, and under which circumstances: in the same ones it is not repeated.
#[derive(Debug)]
struct Failure {
    ifindex: u32,
    up: bool,
    mode: AttachMode,
    problem: String,
}

impl Interfaces {
    /// Forgets that attaching to an interface failed.
    pub fn retry(&mut self, interface: &str) {
        self.failures.remove(interface);
    }

    /// Attaches to what is new in `wanted` or wants another mode. When one fails, all are as they were before.
    pub fn change(
        &mut self,
        dataplane: &mut dyn Dataplane,
        before: Option<&Wanted>,
        wanted: &Wanted,
        network: &dyn Resolve,
    ) -> Result<(), Error> {
        let attached = by_name(dataplane.attachments()?);
        let before = |name: &String| before.and_then(|before| before.get(name));
        let untried = |name: &String| !attached.contains_key(name) && !self.failures.contains_key(name);
        let new: Vec<(&String, &Interface)> = wanted
            .iter()
            .filter(|&(name, interface)| before(name) != Some(interface) || untried(name))
            // One that was wanted before and has gone from the machine is attached when it comes back.
            .filter(|(name, _)| before(name).is_none() || network.interface(name).is_some())
            .collect();
        for (done, (name, interface)) in new.iter().enumerate() {
            if let Err(error) = dataplane.attach(name, interface.mode) {
                for (name, _) in &new[..done] {
                    back(dataplane, name, attached.get(*name));
                }
                return Err(error);
            }
            self.failures.remove(*name);
        }
        self.ensure(dataplane, wanted, network);
        Ok(())
    }

    /// Attaches to every wanted interface that exists and has no balancer, or one that went with an earlier interface
    /// of the same name.
    pub fn ensure(&mut self, dataplane: &mut dyn Dataplane, wanted: &Wanted, network: &dyn Resolve) {
        let attached = match dataplane.attachments() {
            Ok(attached) => by_name(attached),
            Err(error) => return tracing::error!(%error, "cannot say what the balancer is attached to"),
        };
        for (name, &Interface { mode }) in wanted {
            let Some(facts) = network.interface(name) else { continue };
            let now = (facts.ifindex, mode);
            if attached.get(name).is_some_and(|attachment| (attachment.ifindex, attachment.mode) == now) {
                self.failures.remove(name);
                continue;
            }
            let known = |failure: &Failure| (failure.ifindex, failure.mode) == now && failure.up == facts.up;
            if self.failures.get(name).is_some_and(known) {
                continue;
            }
            match dataplane.attach(name, mode) {
                Ok(attachment) => {
                    tracing::info!(interface = name, ifindex = attachment.ifindex, "attached");
                    self.failures.remove(name);
                }
                Err(error) => {
                    tracing::error!(interface = name, %error, "cannot attach");
                    let problem = error.to_string();
                    self.failures.insert(
                        name.clone(),
                        Failure { ifindex: facts.ifindex, up: facts.up, mode, problem },
                    );
                }
            }
        }
    }

    /// Takes the balancer off everything that is not wanted.
    pub fn only(&mut self, dataplane: &mut dyn Dataplane, wanted: &Wanted) {
        self.failures.retain(|name, _| wanted.contains_key(name));
        let attached = dataplane.attachments().unwrap_or_default();
        for Attachment { interface, .. } in attached {
            if !wanted.contains_key(&interface)
                && let Err(error) = dataplane.detach(&interface)
            {
                tracing::error!(interface, %error, "cannot detach");
            }
        }
    }

    /// Wanted interfaces and those that the balancer is on, by name.
    pub fn view(
        &self,
        dataplane: &mut dyn Dataplane,
        wanted: &Wanted,
        network: &dyn Resolve,
    ) -> Vec<InterfaceView> {
        let attached = by_name(dataplane.attachments().unwrap_or_default());
        let modes = attached.iter().map(|(name, attachment)| (name, attachment.mode));
        let modes: BTreeMap<&String, AttachMode> =
            modes.chain(wanted.iter().map(|(name, interface)| (name, interface.mode))).collect();
        let view = |(name, mode): (&String, AttachMode)| {
            let ifindex = network.interface(name).map(|facts| facts.ifindex);
            let attachment = attached.get(name).filter(|attachment| ifindex == Some(attachment.ifindex));
            let problem = match (attachment, ifindex) {
                (Some(_), _) => None,
                (None, None) => Some(format!("interface {name} does not exist")),
                (None, Some(_)) => self.failures.get(name).map(|failure| failure.problem.clone()),
            };
            InterfaceView {
                name: name.clone(),
                mode,
                attached: attachment.is_some(),
                ifindex,
                program_id: attachment.map(|attachment| attachment.program_id),
                problem,
            }
        };
        modes.into_iter().map(view).collect()
    }
}

/// Brings one interface back to what it had.
fn back(dataplane: &mut dyn Dataplane, name: &str, before: Option<&Attachment>) {
    let result = match before {
        Some(attachment) => dataplane.attach(name, attachment.mode).map(|_| ()),
        None => dataplane.detach(name),
    };
    if let Err(error) = result {
        tracing::error!(interface = name, %error, "cannot take an attachment back");
    }
}

fn by_name(attachments: Vec<Attachment>) -> BTreeMap<String, Attachment> {
    attachments.into_iter().map(|attachment| (attachment.interface.clone(), attachment)).collect()
}
