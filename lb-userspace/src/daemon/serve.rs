//! The daemon once everything is made: serve until a stop, then end in order.

use std::path::Path;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::notify::{Milestone, notify};
use super::signals::Signals;
use super::tasks::Tasks;
use crate::api::reload::{Read, Reload};
use crate::api::{self, Api, Socket};
use crate::control::Handle;

/// How long answers in flight, and then everything else, may take to end at a stop.
const PATIENCE: Duration = Duration::from_secs(10);

/// Everything that serving needs.
#[derive(Debug)]
pub struct Parts {
    /// The tasks behind the control room's door, running.
    pub tasks: Tasks,
    /// Ends them.
    pub stop: CancellationToken,
    /// The control room.
    pub handle: Handle,
    /// Reads the configuration file at a reload.
    pub read: Read,
    /// Lines that the log variant of the program writes.
    pub lines: broadcast::Sender<String>,
    /// Where the API is served.
    pub socket: (Socket, UnixListener),
}

/// Serves until a signal says stop, or until a task ends by itself, which is an error.
///
/// The API stops first: its last answers, and swapping out the log variant, need the control room.
pub async fn serve(parts: Parts, signals: Signals) -> anyhow::Result<()> {
    let Parts { mut tasks, stop, handle, read, lines, socket: (socket, listener) } = parts;
    let Signals { stop: mut stop_wish, reload: mut reload_wish } = signals;
    let stop_front = CancellationToken::new();
    let mut front = Tasks::default();

    let reload = Reload::new(handle.clone(), read);
    let router = api::router(Api::new(handle.clone(), reload.clone(), lines, stop_front.clone()));
    let stopped = stop_front.clone().cancelled_owned();
    front.spawn(
        "api",
        async move { Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?) },
    );
    let stopped = stop_front.clone();
    front.spawn("reload", async move {
        while let Some(Some(())) = stopped.run_until_cancelled(reload_wish.recv()).await {
            // Logged, and shown as a warning by the control room; nobody waits for the answer.
            let _ = reload.run().await;
        }
        // No more wishes can come; that alone is no reason to end.
        stopped.cancelled().await;
        Ok(())
    });
    announce(&handle, socket.path());

    let outcome = tokio::select! {
        Some(signal) = stop_wish.recv() => Ok(signal),
        error = tasks.unexpected_end() => Err(error),
        error = front.unexpected_end() => Err(error),
    };
    notify(Milestone::Stopping);
    match &outcome {
        Ok(signal) => tracing::info!(signal, "stopping; what is attached stays and forwards on"),
        Err(error) => tracing::error!("stopping: {}", crate::cli::whole(error)),
    }
    stop_front.cancel();
    let front = front.finish(PATIENCE).await;
    drop(handle);
    stop.cancel();
    let back = tasks.finish(PATIENCE).await;
    outcome.map(drop).and(front).and(back)
}

/// The line that says that everything is attached and published, and those that say what is not.
fn announce(handle: &Handle, socket: &Path) {
    let view = handle.view();
    for interface in view.interfaces.iter().filter(|interface| !interface.attached) {
        let problem = interface.problem.as_deref().unwrap_or("for no known reason");
        tracing::warn!(interface = interface.name, "not attached: {problem}");
    }
    tracing::info!(
        generation = view.generation,
        interfaces = view.interfaces.iter().filter(|interface| interface.attached).count(),
        services = view.services.len(),
        pools = view.pools.len(),
        socket = %socket.display(),
        "ready"
    );
    notify(Milestone::Ready);
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::path::PathBuf;

    use tokio::sync::{broadcast, mpsc};
    use tokio_util::sync::CancellationToken;

    use super::{Parts, serve};
    use crate::api::body::LogPackets;
    use crate::api::fixture::{Seen, actor};
    use crate::api::{Client, Socket};
    use crate::daemon::signals::Signals;
    use crate::daemon::tasks::Tasks;

    struct Running {
        daemon: tokio::task::JoinHandle<anyhow::Result<()>>,
        client: Client,
        seen: Seen,
        stop: mpsc::Sender<&'static str>,
        reload: mpsc::Sender<()>,
        _directory: tempfile::TempDir,
    }

    fn start(tasks: Tasks, stop: CancellationToken) -> Running {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("xlb.sock");
        let (handle, seen) = actor(Some(PathBuf::from("xlb.toml")));
        let socket = Socket::bind(&path).expect("a socket");
        let lines = broadcast::channel(4).0;
        let (stop_wish, stop_wishes) = mpsc::channel(1);
        let (reload_wish, reload_wishes) = mpsc::channel(1);
        let parts = Parts { tasks, stop, handle, read: |_| Err("broken".to_owned()), lines, socket };
        let daemon = tokio::spawn(serve(parts, Signals { stop: stop_wishes, reload: reload_wishes }));
        let client = Client::new(path);
        Running { daemon, client, seen, stop: stop_wish, reload: reload_wish, _directory: directory }
    }

    /// Tasks with one that ends when it is told to.
    fn tasks(stop: &CancellationToken) -> Tasks {
        let mut tasks = Tasks::default();
        let stopped = stop.clone();
        tasks.spawn("patient", async move {
            stopped.cancelled().await;
            Ok(())
        });
        tasks
    }

    async fn until_seen(seen: &Seen, count: usize) {
        let found = async {
            while seen.lock().expect("nobody panics with the lock").len() < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), found).await.expect("within ten seconds");
    }

    #[tokio::test]
    async fn a_stop_swaps_the_log_variant_out_before_the_control_room_ends() {
        let stop = CancellationToken::new();
        let running = start(tasks(&stop), stop.clone());
        let client = running.client.clone();
        let reader = tokio::spawn(async move {
            let request = LogPackets { service: None, rate: 1, count: None };
            client.log_packets(&request, |_| ControlFlow::Continue(())).await
        });
        until_seen(&running.seen, 1).await;
        running.stop.send("SIGTERM").await.expect("the daemon listens");
        running.daemon.await.expect("no panic").expect("a clean stop");
        reader.await.expect("no panic").expect("an orderly end");
        assert_eq!(running.seen.lock().expect("no panic")[1..], ["LogPackets(None)"]);
        assert!(stop.is_cancelled());
        assert!(!running.client.socket().exists(), "the socket is gone");
    }

    #[tokio::test]
    async fn a_hangup_reloads() {
        let stop = CancellationToken::new();
        let running = start(tasks(&stop), stop);
        running.reload.send(()).await.expect("the daemon listens");
        until_seen(&running.seen, 1).await;
        assert!(running.seen.lock().expect("no panic")[0].starts_with("RefusedReload("));
        running.client.status().await.expect("still there");
        running.stop.send("SIGINT").await.expect("the daemon listens");
        running.daemon.await.expect("no panic").expect("a clean stop");
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_ends_the_daemon_with_an_error() {
        let stop = CancellationToken::new();
        let mut tasks = tasks(&stop);
        tasks.spawn("fragile", async { anyhow::bail!("netlink is gone") });
        let error = start(tasks, stop).daemon.await.expect("no panic").expect_err("an error");
        assert_eq!(format!("{error:#}"), "the fragile task failed: netlink is gone");
    }
}
