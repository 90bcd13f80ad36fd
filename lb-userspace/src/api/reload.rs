//! Reading the configuration file again: for `POST /v1/reload` and for SIGHUP.

use std::path::Path;

use super::problem::Problem;
use super::route::applied;
use crate::config::Config;
use crate::control::command::{Command, Handle};
use crate::control::view::Applied;

/// Reads and validates a configuration file; the error is the whole report.
pub type Read = fn(&Path) -> Result<Config, String>;

/// Reloads the file that the daemon was started with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reload {
    handle: Handle,
    read: Read,
}

impl Reload {
    /// A way to reload into the actor behind `handle`.
    pub fn new(handle: Handle, read: Read) -> Self {
        Self { handle, read }
    }

    /// Reads and validates the file and hands it to the control room. A file that does not validate changes nothing:
    /// the whole report is logged and returned, and shown as a warning until a reload succeeds.
    pub async fn run(&self) -> Result<Applied, Problem> {
        let Some(path) = self.handle.config_file() else {
            return Err(Problem::conflict(
                "the daemon was started without a configuration file, so there is nothing to reload: start it with \
                 `xlb run -c FILE`",
            ));
        };
        let outcome = self.apply(path).await;
        match &outcome {
            Ok(applied) => {
                tracing::info!(generation = applied.generation, changes = ?applied.changes, "reloaded");
            }
            Err(problem) => {
                tracing::error!(
                    "reload of {} refused, nothing was changed:\n{}",
                    path.display(),
                    problem.detail
                );
                // The caller gets the problem itself; that the warning could not be noted as well changes nothing.
                let _ = self.handle.ask(Command::RefusedReload(problem.detail.clone())).await;
            }
        }
        outcome
    }

    async fn apply(&self, path: &Path) -> Result<Applied, Problem> {
        let config = (self.read)(path).map_err(Problem::invalid_config)?;
        applied(self.handle.ask(Command::Reload(Box::new(config))).await?)
    }
}
