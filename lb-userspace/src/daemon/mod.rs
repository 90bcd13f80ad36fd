//! The daemon: makes the rooms, connects them, and ends when it is told to or when one of them ends by itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use crate::api::Socket;
use crate::config::{self, Config, Interfaces};
use crate::control::{self, Handle, Start};
use crate::dataplane::Kernel;
use crate::net::{self, Watcher};

pub mod log;
pub mod notify;
pub mod serve;
pub mod signals;
pub mod tasks;

use serve::Parts;
use signals::Signals;
use tasks::Tasks;

/// How long the first tables, and changes that bring backends, wait for next hops.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines of the packet log that wait for a reader before the oldest are lost.
const LOG_LINES: usize = 4_096;

/// How long threads that hang in the kernel may keep the process from ending.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// Runs the daemon until it is stopped. `config_file` is what a reload reads.
pub fn run(config: Config, config_file: Option<PathBuf>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the runtime")?;
    let outcome = runtime.block_on(start(config, config_file));
    runtime.shutdown_timeout(LAST_PATIENCE);
    outcome
}

async fn start(config: Config, config_file: Option<PathBuf>) -> anyhow::Result<()> {
    // From here on a signal waits until there is something that can be stopped in order.
    let signals = Signals::listen()?;
    let socket = Socket::bind(&config.daemon.socket)?;
    let stop = CancellationToken::new();
    let mut tasks = Tasks::default();
    let (lines, _) = broadcast::channel::<String>(LOG_LINES);
    match connect(config, config_file, &mut tasks, &stop, &lines).await {
        Ok(handle) => serve::serve(Parts { tasks, stop, handle, read, lines, socket }, signals).await,
        Err(error) => {
            // What the network's task has set up in the kernel is to be taken down. The reason to stop is known.
            stop.cancel();
            let _ = tasks.finish(LAST_PATIENCE).await;
            Err(error)
        }
    }
}

/// Makes the rooms behind the control room's door and brings the kernel to the configuration.
async fn connect(
    config: Config,
    config_file: Option<PathBuf>,
    tasks: &mut Tasks,
    stop: &CancellationToken,
    lines: &broadcast::Sender<String>,
) -> anyhow::Result<Handle> {
    let pin_dir = config.daemon.pin_dir.clone();
    let sink = lines.clone();
    let kernel = tokio::task::spawn_blocking(move || {
        let mut kernel = Kernel::open(&pin_dir)?;
        // Without a reader a line has nowhere to go, and that is no error.
        kernel.log_to(Arc::new(move |line| drop(sink.send(line.to_owned()))));
        Ok::<_, crate::dataplane::Error>(kernel)
    });
    let dataplane = Box::new(kernel.await??);

    let (watcher, following) = Watcher::start(net::Settings::default(), stop.clone()).await?;
    tasks.spawn("network", async move { Ok(following.await?) });
    let network = watcher.network();
    let begin = Start { config: Some(config), config_file, dataplane, patience: PATIENCE };
    let (handle, actor) = control::spawn(begin, network, move |backends| watcher.keep(backends)).await?;
    tasks.spawn("control", async move { Ok(actor.await??) });
    Ok(handle)
}

/// Reads and validates a configuration file as a running daemon does: an interface that is not there may come later.
pub fn read(path: &Path) -> Result<Config, String> {
    let names = interface_names().map_err(|error| format!("{error:#}"))?;
    let loaded = config::load_on(path, Interfaces::Expected(&names)).map_err(|errors| errors.to_string())?;
    if !loaded.warnings.is_empty() {
        tracing::warn!("{}", loaded.warnings);
    }
    Ok(loaded.config)
}

/// The names of this network namespace's interfaces.
pub fn interface_names() -> anyhow::Result<Vec<String>> {
    let interfaces = nix::net::if_::if_nameindex().context("cannot list interfaces")?;
    Ok(interfaces.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect())
}
