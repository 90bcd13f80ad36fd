//! What to do with the lab: the commands that enter it, and waiting until it is no longer wanted.

use std::io::BufRead;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use xlb_tests::stage::Stage;
use xlb_tests::xlb::binary;

use crate::screen::Screen;

/// Where Ctrl-C and SIGTERM are heard.
///
/// While the demo plays they end the process: what it has made in the kernel goes with it, so only the lab's folder is
/// removed by hand. While the lab is held they only end the waiting.
#[derive(Debug)]
pub struct Signals {
    holding: Arc<AtomicBool>,
    wake: mpsc::Sender<()>,
    woken: mpsc::Receiver<()>,
}

impl Signals {
    /// Starts to listen.
    pub fn listen(folder: &Path) -> Result<Self> {
        let (wake, woken) = mpsc::channel();
        let holding = Arc::new(AtomicBool::new(false));
        let (held, waker, folder) = (holding.clone(), wake.clone(), folder.to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let entered = runtime.enter();
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        drop(entered);
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let code = runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => 130,
                    _ = terminate.recv() => 143,
                }
            });
            println!();
            if held.load(Ordering::SeqCst) && waker.send(()).is_ok() {
                return;
            }
            // Nothing is left to do with an error.
            drop(std::fs::remove_dir_all(&folder));
            std::process::exit(code)
        })?;
        Ok(Self { holding, wake, woken })
    }

    /// Waits for Enter or a signal. Where there is no terminal to press Enter on, only a signal ends it.
    pub fn hold(&self) -> Result<()> {
        self.holding.store(true, Ordering::SeqCst);
        let wake = self.wake.clone();
        std::thread::Builder::new().name("enter".to_owned()).spawn(move || {
            let mut line = String::new();
            if matches!(std::io::stdin().lock().read_line(&mut line), Ok(1..)) {
                // A signal may have come first.
                let _ = wake.send(());
            }
        })?;
        Ok(self.woken.recv()?)
    }
}

/// Prints how to look around in the lab.
pub fn explain(screen: &Screen, stage: &Stage) -> Result<()> {
    let folder = stage.lab.folder().display().to_string();
    let xlb = binary()?.display().to_string();
    screen.line("From another terminal, as root (curl and tcpdump where they are installed):");
    screen.line("");
    screen.quote(&format!(
        "L={folder}\n\
         export XLB_SOCKET=$L/xlb.sock\n\
         \n\
         # a shell on the client, and a request to the service\n\
         nsenter --net=$L/net/client bash\n\
         nsenter --net=$L/net/client curl http://192.0.2.10/who 'http://[2001:db8::10]/who'\n\
         \n\
         # the daemon\n\
         {xlb} status\n\
         {xlb} pool show web\n\
         {xlb} backend set web web-1 --weight 3\n\
         {xlb} drops --all\n\
         {xlb} log-packets --service web4 --count 20\n\
         \n\
         # packets on the balancer's and on a backend's interface\n\
         nsenter --net=$L/net/balancer tcpdump -ni lb0\n\
         nsenter --net=$L/net/router tcpdump -ni to-web-1\n\
         \n\
         # the balancer with its own /sys, where the programs and maps are pinned\n\
         nsenter --net=$L/net/balancer --mount=$L/mount/balancer ls /sys/fs/bpf/xlb\n\
         \n\
         # edit, then reload\n\
         ${{EDITOR:-vi}} $L/xlb.toml; {xlb} reload"
    ));
    Ok(())
}
