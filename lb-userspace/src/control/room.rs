//! The control room itself: desired state in, steps out. Synchronous and without a clock; the actor runs it off its own
//! thread, tests run it directly.
//!
//! Every change takes the same way: a whole new configuration is compiled against what the kernel holds, the difference
//! is planned, and the plan is applied or taken back. Nothing in here changes a part of the kernel's state directly.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use super::command::{Answer, Command, Error, LogPackets};
use super::desired::{Compiled, Input, Members, Placed, compile};
use super::interfaces::Interfaces;
use super::moves::moved;
use super::show::Digests;
use super::view::{Applied, View};
use super::{carry, edit, plan, show, stats};
use crate::config::Config;
use crate::config::model::{Forward, Name};
use crate::dataplane::{Dataplane, Image, Step};
use crate::net::Resolve;

/// Desired state, what the kernel holds, and the door to it.
pub struct Room {
    dataplane: Box<dyn Dataplane>,
    config_file: Option<PathBuf>,
    /// What was read last, before changes at run time.
    file: Option<Config>,
    config: Option<Config>,
    log: Option<LogPackets>,
    running: Running,
    interfaces: Interfaces,
    digests: Digests,
    /// Why the last reload was refused.
    refused: Option<String>,
    /// Why the network's last change could not be followed.
    trouble: Option<String>,
}

/// What the kernel holds, and what is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    pub image: Image,
    pub members: Members,
    pub placed: BTreeMap<(Name, Name), Placed>,
    pub warnings: Vec<String>,
}

/// What it takes to undo a change that reached the kernel.
struct Undo {
    before: Running,
    done: Vec<Step>,
}

impl Room {
    /// Adopts what the kernel holds and brings it to `config`; without one, everything stays as it is.
    pub fn start(
        mut dataplane: Box<dyn Dataplane>,
        config: Option<Config>,
        config_file: Option<PathBuf>,
        network: &dyn Resolve,
    ) -> Result<Self, Error> {
        let image = dataplane.read()?;
        let mut room = Self {
            dataplane,
            config_file,
            file: config.clone(),
            config: None,
            log: None,
            running: Running { image, ..Running::default() },
            interfaces: Interfaces::default(),
            digests: Digests::default(),
            refused: None,
            trouble: None,
        };
        if let Some(config) = config {
            room.publish(&config, network)?;
            room.interfaces.ensure(&mut *room.dataplane, &config.interfaces, network);
            room.interfaces.only(&mut *room.dataplane, &config.interfaces);
            room.config = Some(config);
        }
        Ok(room)
    }

    /// Does what a command says.
    pub fn handle(&mut self, command: Command, network: &dyn Resolve) -> Result<Answer, Error> {
        match command {
            Command::Reload(config) => {
                self.check_reload(&config)?;
                let applied = self.change(*config, network)?;
                self.file.clone_from(&self.config);
                self.refused = None;
                Ok(Answer::Applied(applied))
            }
            Command::RefusedReload(why) => {
                self.refused = Some(why);
                Ok(Answer::Applied(self.nothing_changed()))
            }
            Command::AddBackend { pool, name, address, port, weight } => {
                let config = edit::add(self.config()?, &pool, name, address, port, weight)?;
                self.change(config, network).map(Answer::Applied)
            }
            Command::SetBackend { pool, name, weight } => {
                let config = edit::weigh(self.config()?, &pool, &name, weight)?;
                self.change(config, network).map(Answer::Applied)
            }
            Command::RemoveBackend { pool, name } => {
                let config = edit::remove(self.config()?, &pool, &name)?;
                self.change(config, network).map(Answer::Applied)
            }
            Command::Attach { interface, mode } => {
                if network.interface(&interface).is_none() {
                    return Err(crate::dataplane::Error::NoInterface(interface).into());
                }
                self.interfaces.retry(&interface);
                let config = edit::attach(self.config()?, interface, mode);
                self.change(config, network).map(Answer::Applied)
            }
            Command::Detach { interface } => {
                let config = edit::detach(self.config()?, &interface)?;
                self.change(config, network).map(Answer::Applied)
            }
            Command::LogPackets(log) => self.log_packets(log, network).map(Answer::Applied),
            Command::Stats => {
                Ok(Answer::Stats(stats::stats(&self.running.image, &self.dataplane.counters()?)))
            }
            Command::Table { pool } => show::table(self.config()?, &self.running, &pool),
        }
    }

    /// Follows a change of the network. What goes wrong is shown as a warning and tried again with the next change.
    pub fn follow(&mut self, network: &dyn Resolve) {
        let Some(config) = self.config.clone() else { return };
        self.trouble = self.publish(&config, network).err().map(|error| {
            tracing::error!(%error, "cannot follow a change of the network");
            format!("cannot follow a change of the network: {error}")
        });
        self.interfaces.ensure(&mut *self.dataplane, &config.interfaces, network);
    }

    /// A snapshot for everybody else.
    pub fn view(&mut self, network: &dyn Resolve) -> View {
        let mut warnings = self.running.warnings.clone();
        warnings.extend(self.trouble.clone());
        warnings.extend(self.refused.as_ref().map(|why| format!("the last reload was refused: {why}")));
        let scene = show::Scene {
            config: self.config.as_ref(),
            file: self.file.as_ref(),
            config_file: self.config_file.as_deref(),
            running: &self.running,
            network,
        };
        let interfaces = self.interfaces.view(&mut *self.dataplane, scene.interfaces(), network);
        scene.view(interfaces, warnings, &mut self.digests)
    }

    /// The addresses whose next hops matter.
    pub fn backends(&self) -> BTreeSet<IpAddr> {
        self.config.as_ref().map(backends).unwrap_or_default()
    }

    fn config(&self) -> Result<&Config, Error> {
        self.config.as_ref().ok_or_else(|| {
            Error::Refused("there is no configuration yet: fix the file and `xlb reload`".into())
        })
    }

    fn check_reload(&self, config: &Config) -> Result<(), Error> {
        match &self.config {
            Some(running) if running.daemon != config.daemon => Err(Error::Refused(
                "daemon.socket and daemon.pin_dir cannot change while the daemon runs: restart it".into(),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes `config` what is wanted: all of it, or none.
    ///
    /// Interfaces that leave do so between two changes, so that as long as a program runs on an interface it knows
    /// all the others.
    fn change(&mut self, config: Config, network: &dyn Resolve) -> Result<Applied, Error> {
        let old = self.config.clone();
        let mut both = config.clone();
        for (name, interface) in old.iter().flat_map(|old| &old.interfaces) {
            both.interfaces.entry(name.clone()).or_insert(*interface);
        }
        let undo = self.publish(&both, network)?;
        let before = old.as_ref().map(|old| &old.interfaces);
        if let Err(error) = self.interfaces.change(&mut *self.dataplane, before, &config.interfaces, network)
        {
            self.take_back(undo);
            return Err(error.into());
        }
        self.interfaces.only(&mut *self.dataplane, &config.interfaces);
        if both != config {
            // What is left to do only narrows: if it fails, the kernel holds more than it need.
            self.trouble = self.publish(&config, network).err().map(|error| error.to_string());
        }
        let applied = Applied {
            generation: self.running.image.generation,
            changes: edit::sentences(old.as_ref(), &config),
            moved: moved(&undo.before.image, &self.running.image),
        };
        for change in &applied.changes {
            tracing::info!(generation = applied.generation, "{change}");
        }
        self.config = Some(config);
        Ok(applied)
    }

    fn log_packets(&mut self, log: Option<LogPackets>, network: &dyn Resolve) -> Result<Applied, Error> {
        let config = self.config()?.clone();
        if let Some(LogPackets { service: Some(service), .. }) = &log
            && !config.services.contains_key(service)
        {
            return Err(Error::NoService(service.clone()));
        }
        let before = std::mem::replace(&mut self.log, log);
        if let Err(error) = self.publish(&config, network) {
            self.log = before;
            return Err(error);
        }
        Ok(self.nothing_changed())
    }

    fn nothing_changed(&self) -> Applied {
        Applied { generation: self.running.image.generation, changes: Vec::new(), moved: Vec::new() }
    }

    /// Brings the kernel to `config`, all of it or none.
    fn publish(&mut self, config: &Config, network: &dyn Resolve) -> Result<Undo, Error> {
        let Running { image: previous, members, .. } = &self.running;
        let input = Input { config, previous, members, log: self.log.as_ref(), network };
        let Compiled { mut image, members, backends, warnings } =
            compile(&input).map_err(|error| Error::Refused(error.to_string()))?;
        if carry::is_needed(&image, previous) {
            carry::settle(&mut image, previous, &self.dataplane.counters()?);
        }
        let mut steps = plan::plan(previous, &image);
        if !steps.is_empty() {
            image.generation += 1;
            steps.push(Step::Generation(image.generation));
        }
        self.apply(&steps)?;
        // Also where nobody asked: at a start whose file differs from what ran, or when a next hop appeared.
        for moved in moved(&self.running.image, &image) {
            tracing::info!("{moved}");
        }
        let next = Running { image, members, placed: backends, warnings };
        Ok(Undo { before: std::mem::replace(&mut self.running, next), done: steps })
    }

    fn apply(&mut self, steps: &[Step]) -> Result<(), Error> {
        for (done, step) in steps.iter().enumerate() {
            if let Err(error) = self.dataplane.apply(step) {
                tracing::error!(%error, step = done + 1, of = steps.len(), "a change failed and is taken back");
                let inverses = plan::undo(&self.running.image, &steps[..done]);
                self.run_back(&inverses);
                return Err(error.into());
            }
        }
        Ok(())
    }

    fn take_back(&mut self, undo: Undo) {
        let inverses = plan::undo(&undo.before.image, &undo.done);
        self.running = undo.before;
        self.run_back(&inverses);
    }

    /// Applies inverse steps. If even they fail, what the kernel really holds is the base of the next change.
    fn run_back(&mut self, inverses: &[Step]) {
        let mut whole = true;
        for step in inverses {
            if let Err(error) = self.dataplane.apply(step) {
                tracing::error!(%error, "a step of taking back failed");
                whole = false;
            }
        }
        if whole {
            return;
        }
        match self.dataplane.read() {
            Ok(image) => self.running = Running { image, ..Running::default() },
            Err(error) => tracing::error!(%error, "cannot read back what the kernel holds"),
        }
    }
}

/// The addresses of a configuration's backends that packets are sent to.
pub(super) fn backends(config: &Config) -> BTreeSet<IpAddr> {
    let sent = config.pools.values().filter(|pool| pool.forward != Forward::Local);
    sent.flat_map(|pool| pool.backends.values().map(|backend| backend.address)).collect()
}
