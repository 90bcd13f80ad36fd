//! Lines of the log variant, from the kernel's ring buffer to whoever reads them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aya_log::EbpfLogger;

use super::Error;
use super::loader::Program;

/// Takes one line.
pub type Sink = Arc<dyn Fn(&str) + Send + Sync>;

/// A thread that reads the ring buffer for as long as the value lives.
pub struct PacketLog {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PacketLog {
    /// Starts reading what `program`, a log variant, writes.
    pub fn start(program: &mut Program, sink: Sink) -> Result<Self, Error> {
        let failed = |source| Error::Kernel { what: "reading the packet log".into(), source };
        let mut logger = EbpfLogger::init_with_logger(program.object_mut(), Lines(sink))
            .map_err(|e| failed(std::io::Error::other(e)))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("packet-log".into())
            .spawn(move || {
                while !stopped.load(Ordering::Acquire) {
                    logger.flush();
                    thread::park_timeout(INTERVAL);
                }
                logger.flush();
            })
            .map_err(failed)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for PacketLog {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A reader that panicked has nothing left to tell.
            let _ = thread.join();
        }
    }
}

/// Where lines go unless somebody asks for them: to the daemon's own log.
pub fn to_tracing() -> Sink {
    Arc::new(|line| tracing::info!(target: "xlb::packets", "{line}"))
}

/// How long a line may wait. Polling keeps the ring buffer from waking a thread for every packet.
const INTERVAL: Duration = Duration::from_millis(50);

/// The sink as what aya-log writes to.
struct Lines(Sink);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        (self.0)(&record.args().to_string());
    }

    fn flush(&self) {}
}
