//! Requests, each on a connection of its own, and what can become of them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::server::{header, read_head};
use crate::lab::Namespace;

/// A request that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Who answered.
    pub by: String,
    /// The client's end of the flow.
    pub local: SocketAddr,
    /// The service's end of the flow.
    pub remote: SocketAddr,
}

/// What became of a flow that did not end well.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The other end answered with a reset: it does not know the flow.
    #[error("reset")]
    Reset,
    /// Nobody listens there.
    #[error("refused")]
    Refused,
    /// The other end closed before it had sent everything.
    #[error("closed early")]
    Closed,
    /// Nothing came for so long that the client gave up.
    #[error("no answer in time")]
    TimedOut,
    /// What came is not what was sent.
    #[error("wrong bytes from offset {0}")]
    WrongBytes(u64),
    /// An answer that is none of those agreed on.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// Anything else, in the kernel's words.
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// Runs `work` in `namespace` on a thread and runtime of its own and waits for its result.
///
/// # Panics
///
/// With the work's own panic.
pub fn block_on<T, F>(namespace: &Namespace, work: impl FnOnce() -> F + Send + 'static) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match namespace.spawn("client", move || runtime.block_on(async { work().await }))?.join() {
        Ok(value) => Ok(value),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Asks once who serves `target`.
pub async fn who(target: SocketAddr, within: Duration) -> Result<Served, Failure> {
    tokio::time::timeout(within, ask_who(target)).await.unwrap_or(Err(Failure::TimedOut))
}

/// Asks `count` times who serves `target`, at most `at_once` at a time.
pub async fn ask(
    target: SocketAddr,
    count: usize,
    at_once: usize,
    within: Duration,
) -> Vec<Result<Served, Failure>> {
    use futures_util::StreamExt;
    futures_util::stream::iter((0..count).map(|_| who(target, within)))
        .buffered(at_once.max(1))
        .collect()
        .await
}

/// Sends one datagram to `target` from a port of its own and waits for the echo, which must hold what was sent.
/// Sent again if no answer comes, as every client of UDP does: neighbours on the way may be unknown yet.
pub async fn echo(target: SocketAddr, payload: &[u8], within: Duration) -> Result<Served, Failure> {
    const AGAIN: Duration = Duration::from_millis(250);
    let any = match target.ip() {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(target).await?;
    let exchange = async {
        let mut answer = vec![0; 65_536];
        loop {
            socket.send(payload).await?;
            if let Ok(length) = tokio::time::timeout(AGAIN, socket.recv(&mut answer)).await {
                return Ok::<_, Failure>(answer[..length?].to_vec());
            }
        }
    };
    let answer = tokio::time::timeout(within, exchange).await.unwrap_or(Err(Failure::TimedOut))?;
    let end = answer.iter().position(|&byte| byte == b'\n').unwrap_or(0);
    if answer.get(end + 1..) != Some(payload) {
        return Err(Failure::WrongBytes(0));
    }
    let by = String::from_utf8_lossy(&answer[..end]).into_owned();
    Ok(Served { by, local: socket.local_addr()?, remote: target })
}

async fn ask_who(target: SocketAddr) -> Result<Served, Failure> {
    let mut stream = TcpStream::connect(target).await?;
    let local = stream.local_addr()?;
    stream.write_all(format!("GET /who HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes()).await?;
    let (head, mut body) = read_head(&mut stream).await?;
    stream.read_to_end(&mut body).await?;
    let by = header(&head, "x-backend").ok_or_else(|| Failure::Answer(head.clone()))?.to_owned();
    if !head.starts_with("HTTP/1.1 200 ") || body != format!("{by}\n").as_bytes() {
        return Err(Failure::Answer(head));
    }
    Ok(Served { by, local, remote: target })
}
