//! Telling the service manager how far the daemon is (`sd_notify(3)`): a datagram to the socket that it names in the
//! environment, and nothing at all where it names none.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What the service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Everything is attached and published.
    Ready,
    /// A stop has begun.
    Stopping,
}

/// Tells the service manager; a failure is logged, the daemon's work does not depend on it.
pub fn notify(milestone: Milestone) {
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send(&socket, milestone)
    {
        tracing::warn!(%error, "cannot tell the service manager at {}", socket.display());
    }
}

fn send(socket: &OsStr, milestone: Milestone) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let message = match milestone {
        Milestone::Ready => "READY=1",
        Milestone::Stopping => "STOPPING=1",
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::{Milestone, send};

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).expect("a datagram");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_socket_by_path_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        send(path.as_os_str(), Milestone::Ready).expect("sent");
        assert_eq!(received(&socket), "READY=1");
    }

    #[test]
    fn an_abstract_socket_is_told() {
        let name = format!("xlb-notify-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        send(&OsString::from(format!("@{name}")), Milestone::Stopping).expect("sent");
        assert_eq!(received(&socket), "STOPPING=1");
    }
}
