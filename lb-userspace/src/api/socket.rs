//! The daemon's Unix socket.
//!
//! A file next to it is locked for as long as the daemon lives. A socket file cannot say whether anybody listens
//! without being connected to, and two daemons that start together would each find the other's leftovers; a lock is
//! let go by the kernel however its holder ends.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::UnixListener;

/// Mode of the socket file: owner and group may connect.
pub const MODE: u32 = 0o660;

/// Why the daemon has no socket.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another daemon has it.
    #[error("another xlb daemon{} serves {}: stop it first, or give this one another --socket", pid_note(*.pid), .path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
        /// The other daemon's process id, where it answered.
        pid: Option<i32>,
    },
    /// There is something else.
    #[error("{} exists and is not a socket: remove it, or give another --socket", .0.display())]
    NotASocket(PathBuf),
    /// A system call failed.
    #[error("cannot {what} {}: {source}", .path.display())]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

/// A listening socket and the lock that makes it ours. The socket file is removed when this is dropped.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    _lock: Flock<File>,
}

impl Socket {
    /// Creates the directory (mode 0755) where it is missing, replaces what a dead daemon left, and listens. Needs a
    /// tokio runtime.
    pub fn bind(path: &Path) -> Result<(Self, UnixListener), Error> {
        let fail = |what, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { what, path, source }
        };
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            let make = DirBuilder::new().recursive(true).mode(0o755).create(directory);
            make.map_err(fail("create the directory", directory))?;
        }
        let lock = lock(path)?;
        refuse_foreign(path)?;
        // Made under another name and renamed: nobody can connect before the mode is right, and a stale file is
        // replaced in one step.
        let fresh = beside(path, ".new");
        let _ = std::fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh).map_err(fail("listen on", &fresh))?;
        std::fs::set_permissions(&fresh, Permissions::from_mode(MODE))
            .map_err(fail("set the mode of", &fresh))?;
        std::fs::rename(&fresh, path).map_err(fail("put the socket at", path))?;
        Ok((Self { path: path.to_owned(), _lock: lock }, listener))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The lock is still held, so the file is still ours. Left behind it does no harm: the next daemon replaces it.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn lock(path: &Path) -> Result<Flock<File>, Error> {
    let file_path = beside(path, ".lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&file_path);
    let file = file.map_err(|source| Error::Io { what: "open", path: file_path.clone(), source })?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| match errno {
        nix::errno::Errno::EWOULDBLOCK => Error::Taken { path: path.to_owned(), pid: peer(path) },
        other => Error::Io { what: "lock", path: file_path, source: other.into() },
    })
}

/// Whatever else has that name, a program that listens there included, is left alone.
fn refuse_foreign(path: &Path) -> Result<(), Error> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(Error::Io { what: "look at", path: path.to_owned(), source }),
        Ok(file) if !file.file_type().is_socket() => Err(Error::NotASocket(path.to_owned())),
        Ok(_) => match UnixStream::connect(path) {
            Ok(_) => Err(Error::Taken { path: path.to_owned(), pid: peer(path) }),
            Err(_) => Ok(()),
        },
    }
}

/// The process that listens on a socket.
fn peer(path: &Path) -> Option<i32> {
    let stream = UnixStream::connect(path).ok()?;
    let credentials =
        nix::sys::socket::getsockopt(&stream, nix::sys::socket::sockopt::PeerCredentials).ok()?;
    Some(credentials.pid())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn pid_note(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
