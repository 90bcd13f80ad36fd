//! The lab's folder: sockets, configuration, logs, and doors into its namespaces.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};

const PREFIX: &str = "xlb-lab-";

/// A folder under the system's temporary one, named after the process and removed with it.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes one, and removes those of processes that are gone.
    pub fn new() -> Result<Self> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let parent = std::env::temp_dir();
        sweep(&parent);
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}", std::process::id()));
        // A leftover of an earlier process with this very pid.
        drop(std::fs::remove_dir_all(&path));
        for folder in [&path, &path.join("net"), &path.join("mount")] {
            std::fs::create_dir(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes `DOORS/NAME` a link to `target`, for `nsenter`.
    pub fn door(&self, doors: &str, name: &str, target: &Path) -> Result<PathBuf> {
        let door = self.path.join(doors).join(name);
        std::os::unix::fs::symlink(target, &door)
            .with_context(|| format!("cannot make {}", door.display()))?;
        Ok(door)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.path));
    }
}

/// Removes folders whose process is gone. Everything else of a dead lab went with its process.
fn sweep(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Another run may be sweeping too.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_only_what_dead_processes_left() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("xlb-lab-4194999-0");
        let ours = parent.path().join(format!("xlb-lab-{}-0", std::process::id()));
        let other = parent.path().join("xlb-lab-notes");
        for folder in [&dead, &ours, &other] {
            std::fs::create_dir(folder).unwrap();
        }
        sweep(parent.path());
        assert!(!dead.exists() && ours.exists() && other.exists());
    }
}
