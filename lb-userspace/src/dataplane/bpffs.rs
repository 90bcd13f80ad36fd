//! The pin directory: where in bpffs things are, and who may touch them.
//!
//! Links are pinned as `link-<ifindex>`, not by the interface's name: bpffs allows no dot in a name and VLAN interfaces
//! have one, a renamed interface keeps its link, and a re-created interface (a new ifindex) cannot be mistaken for the
//! one that is gone.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use super::Error;

/// A directory on a bpffs that this process alone works in, as long as the value lives.
#[derive(Debug)]
pub struct PinDir {
    path: PathBuf,
    _lock: Flock<File>,
}

impl PinDir {
    /// Makes the directory where it is missing, and claims it.
    pub fn claim(path: &Path) -> Result<Self, Error> {
        check_bpffs(path)?;
        loop {
            fs::create_dir_all(path).map_err(|e| failed(format!("creating {}", path.display()), e))?;
            if let Some(claimed) = Self::lock(path)? {
                return Ok(claimed);
            }
        }
    }

    /// Claims the directory if it is there.
    pub fn claim_existing(path: &Path) -> Result<Option<Self>, Error> {
        while path.is_dir() {
            check_bpffs(path)?;
            if let Some(claimed) = Self::lock(path)? {
                return Ok(Some(claimed));
            }
        }
        Ok(None)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a map is pinned.
    pub fn map(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Where the link to an interface is pinned.
    pub fn link(&self, ifindex: u32) -> PathBuf {
        self.path.join(format!("{LINK_PREFIX}{ifindex}"))
    }

    /// The ifindexes that a link is pinned for, dead links included, in order.
    pub fn links(&self) -> Result<Vec<u32>, Error> {
        let mut found: Vec<u32> =
            self.names()?.iter().filter_map(|name| name.strip_prefix(LINK_PREFIX)?.parse().ok()).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// Removes every pin and the directory itself.
    pub fn remove(self) -> Result<(), Error> {
        for name in self.names()? {
            unpin(&self.path.join(name))?;
        }
        fs::remove_dir(&self.path).map_err(|e| failed(format!("removing {}", self.path.display()), e))
    }

    /// Removes the pin of a link; one that is not there is no error.
    pub fn unpin_link(&self, ifindex: u32) -> Result<(), Error> {
        unpin(&self.link(ifindex))
    }

    /// `None` when the directory was removed while this process waited for nobody to hold it.
    fn lock(path: &Path) -> Result<Option<Self>, Error> {
        let what = || format!("opening {}", path.display());
        let directory = match OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| failed(what(), e))?,
        };
        let lock = match Flock::lock(directory, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => lock,
            Err((directory, nix::Error::EWOULDBLOCK)) => {
                let pid = directory.metadata().ok().and_then(|m| holder(&m, &read_locks()));
                let holder = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
                return Err(Error::Busy { pin_dir: path.display().to_string(), holder });
            }
            Err((_, errno)) => return Err(failed(format!("locking {}", path.display()), errno.into())),
        };
        // Whoever held it before may have removed it: a lock on a directory that nobody can find protects nothing.
        let held = lock.metadata().map_err(|e| failed(what(), e))?;
        match fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (held.dev(), held.ino()) => {
                Ok(Some(Self { path: path.to_owned(), _lock: lock }))
            }
            Ok(_) | Err(_) => Ok(None),
        }
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let what = || format!("listing {}", self.path.display());
        fs::read_dir(&self.path)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>())
            .map(|names| names.into_iter().filter_map(|name| name.into_string().ok()).collect())
            .map_err(|e| failed(what(), e))
    }
}

const LINK_PREFIX: &str = "link-";

fn failed(what: String, source: io::Error) -> Error {
    Error::Kernel { what, source }
}

fn unpin(pin: &Path) -> Result<(), Error> {
    match fs::remove_file(pin) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed(format!("removing the pin {}", pin.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The directory, or the nearest one above it that exists, must be on a bpffs.
fn check_bpffs(path: &Path) -> Result<(), Error> {
    let existing = path.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    let kind = statfs(existing)
        .map_err(|errno| failed(format!("looking at {}", existing.display()), errno.into()))?
        .filesystem_type();
    if kind == BPF_FS_MAGIC { Ok(()) } else { Err(Error::NoBpffs { pin_dir: path.display().to_string() }) }
}

fn read_locks() -> String {
    fs::read_to_string("/proc/locks").unwrap_or_default()
}

/// The process that holds a flock on the file, from lines such as `1: FLOCK ADVISORY WRITE 812 00:1f:4711 0 EOF`.
fn holder(file: &fs::Metadata, locks: &str) -> Option<u32> {
    let (major, minor) = (libc::major(file.dev()), libc::minor(file.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", file.ino());
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, "FLOCK", _, _, pid, place, ..] = words[..] else { return None };
        (place == wanted).then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_of_a_lock_is_found_by_device_and_inode() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let meta = file.as_file().metadata().unwrap();
        let place = format!("{:02x}:{:02x}:{}", libc::major(meta.dev()), libc::minor(meta.dev()), meta.ino());
        let locks =
            format!("1: POSIX ADVISORY WRITE 7 {place} 0 EOF\n2: FLOCK ADVISORY WRITE 812 {place} 0 EOF\n");
        assert_eq!(holder(&meta, &locks), Some(812));
        assert_eq!(holder(&meta, "1: FLOCK ADVISORY WRITE 812 ff:ff:1 0 EOF\n"), None);
    }

    #[test]
    fn a_directory_that_is_on_no_bpffs_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let error = PinDir::claim(&folder.path().join("xlb")).unwrap_err().to_string();
        assert!(error.contains("mount -t bpf bpf"), "{error}");
        assert!(!folder.path().join("xlb").exists());
    }
}
