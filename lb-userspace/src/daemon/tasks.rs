//! The daemon's tasks, by name. None of them is meant to end before a stop: when one does, by an error, a panic or just
//! so, the daemon ends with an error, because half a daemon would look alive and do half its work.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::anyhow;
use tokio::task::{Id, JoinError, JoinSet};

/// Running tasks.
#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task.
    pub fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let id = self.set.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until a task ends and says which and why. Never returns while all run.
    pub async fn unexpected_end(&mut self) -> anyhow::Error {
        match self.set.join_next_with_id().await {
            Some(end) => {
                let (name, end) = self.name(end);
                match end {
                    Ok(()) => anyhow!("the {name} task ended although nobody stopped it"),
                    Err(error) => error.context(format!("the {name} task failed")),
                }
            }
            None => std::future::pending().await,
        }
    }

    /// Waits until all tasks have ended after they were told to; those that take longer than `patience` are cut off.
    /// The first error is returned.
    pub async fn finish(mut self, patience: Duration) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        let all = async {
            while let Some(end) = self.set.join_next_with_id().await {
                let (name, end) = self.name(end);
                let end =
                    end.map_err(|error| error.context(format!("the {name} task failed while stopping")));
                outcome = std::mem::replace(&mut outcome, Ok(())).and(end);
            }
        };
        if tokio::time::timeout(patience, all).await.is_err() {
            let late: Vec<_> = self.names.values().copied().collect();
            return Err(anyhow!("did not stop within {} s: {}", patience.as_secs(), late.join(", ")));
        }
        outcome
    }

    fn name(
        &mut self,
        end: Result<(Id, anyhow::Result<()>), JoinError>,
    ) -> (&'static str, anyhow::Result<()>) {
        let (id, end) = match end {
            Ok((id, end)) => (id, end),
            Err(error) => (error.id(), Err(error.into())),
        };
        (self.names.remove(&id).unwrap_or("unknown"), end)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Tasks;

    #[tokio::test]
    async fn an_end_before_the_stop_is_an_error_with_a_name() {
        let mut tasks = Tasks::default();
        tasks.spawn("quiet", async { Ok(()) });
        let end = tasks.unexpected_end().await;
        assert_eq!(end.to_string(), "the quiet task ended although nobody stopped it");
        tasks.spawn("broken", async { anyhow::bail!("disk on fire") });
        assert_eq!(format!("{:#}", tasks.unexpected_end().await), "the broken task failed: disk on fire");
        tasks.spawn("panicking", async { panic!("oops") });
        assert!(format!("{:#}", tasks.unexpected_end().await).starts_with("the panicking task failed: "));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_stop_is_cut_off_and_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("prompt", async { Ok(()) });
        tasks.spawn("stuck", std::future::pending());
        let late = tasks.finish(Duration::from_secs(5)).await.expect_err("late");
        assert_eq!(late.to_string(), "did not stop within 5 s: stuck");
    }

    #[tokio::test]
    async fn the_first_error_of_a_stop_is_told() {
        let mut tasks = Tasks::default();
        tasks.spawn("fine", async { Ok(()) });
        tasks.spawn("broken", async { anyhow::bail!("no") });
        let error = tasks.finish(Duration::from_secs(5)).await.expect_err("an error");
        assert_eq!(format!("{error:#}"), "the broken task failed while stopping: no");
        Tasks::default().finish(Duration::ZERO).await.expect("nothing to wait for");
    }
}
