//! Waiting for conditions, and the one thing that every kernel test needs.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds and says whether it did before `deadline` passed. It is looked at once more at the
/// end, so that a thread which got no CPU for long does not fail a test.
pub fn eventually(deadline: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + deadline;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return condition();
        }
        std::thread::sleep(EVERY);
    }
}

/// Ends the test with one sentence where the kernel would refuse everything it does. Never skips: a skipped test
/// looks like a passed one.
///
/// # Panics
///
/// When the caller is not root.
pub fn need_root() {
    assert!(nix::unistd::geteuid().is_root(), "needs root: run `sudo -E cargo xtask test`");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_until_the_condition_holds() {
        let mut looks = 0;
        assert!(eventually(Duration::from_secs(5), || {
            looks += 1;
            looks == 3
        }));
        assert_eq!(looks, 3);
    }

    #[test]
    fn gives_up_at_the_deadline() {
        let start = Instant::now();
        assert!(!eventually(Duration::from_millis(20), || false));
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
