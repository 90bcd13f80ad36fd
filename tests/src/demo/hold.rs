//! What to do with the lab: the commands that enter it, and waiting until it is no longer wanted.

use std::io::BufRead;
use std::path::Path;

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use xlb_tests::stage::Stage;
use xlb_tests::xlb::binary;

use crate::screen::Screen;

/// Ends the process in order when it is told to end: what it has made in the kernel goes with it, so only the lab's
/// folder is removed by hand.
pub fn end_on_signal(folder: &Path) -> Result<()> {
    let folder = folder.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let code = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 130,
                _ = terminate.recv() => 143,
            }
        });
        // Nothing is left to do with an error.
        drop(std::fs::remove_dir_all(&folder));
        println!();
        std::process::exit(code)
    })?;
    Ok(())
}

/// Prints how to look around in the lab.
pub fn explain(screen: &Screen, stage: &Stage) -> Result<()> {
    let folder = stage.lab.folder().display().to_string();
    let xlb = binary()?.display().to_string();
    screen.line("From another terminal, as root:");
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

/// Waits for Enter; a signal ends the process. Where there is no terminal to press Enter on, only a signal does.
pub fn wait() {
    let mut line = String::new();
    if matches!(std::io::stdin().lock().read_line(&mut line), Ok(1..)) {
        return;
    }
    loop {
        std::thread::park();
    }
}
