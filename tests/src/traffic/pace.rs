//! How fast long transfers go: slowly until a test has done what it wanted to do to them, then as fast as they can.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Shared by the servers and clients of one test.
#[derive(Clone, Debug)]
pub struct Pace {
    released: Arc<watch::Sender<bool>>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { released: Arc::new(watch::Sender::new(false)) }
    }
}

impl Pace {
    /// Bytes per burst: eleven full segments and a bit.
    pub const BURST: usize = 16 * 1024;
    const INTERVAL: Duration = Duration::from_millis(40);

    /// Lets every transfer run as fast as it can.
    pub fn release(&self) {
        self.released.send_replace(true);
    }

    /// Makes transfers slow again.
    pub fn hold(&self) {
        self.released.send_replace(false);
    }

    /// Waits until the next burst may be sent.
    pub async fn next(&self) {
        let mut released = self.released.subscribe();
        // Either is a reason to go on; the sender lives as long as `self`.
        drop(tokio::time::timeout(Self::INTERVAL, released.wait_for(|released| *released)).await);
    }
}
