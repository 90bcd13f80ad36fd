//! Long downloads and uploads, watched to the byte: which flows live, which were cut, and when.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::future::join_all;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::TcpMaxSeg;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::client::Failure;
use super::server::{header, read_head, send_pattern};
use super::{Pace, pattern};
use crate::lab::Namespace;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the client.
    Download,
    /// From the client.
    Upload,
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Download => "download",
            Self::Upload => "upload",
        })
    }
}

/// One transfer, as far as it has come.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Which way the bytes go.
    pub direction: Direction,
    /// The service's end.
    pub remote: SocketAddr,
    /// The client's end, once connected.
    pub local: Option<SocketAddr>,
    /// Bytes of payload in a full segment, once connected.
    pub segment: Option<u32>,
    /// Who serves it, once that is known.
    pub by: Option<String>,
    /// Bytes of the body that have passed.
    pub bytes: u64,
    /// How and when it ended, if it did. `Ok`: every byte arrived and was right.
    pub end: Option<(Result<(), Failure>, Instant)>,
}

impl Transfer {
    /// What cut it, if anything has.
    pub fn cut(&self) -> Option<&Failure> {
        match &self.end {
            Some((Err(failure), _)) => Some(failure),
            Some((Ok(()), _)) | None => None,
        }
    }

    /// Whether it ended with every byte where it belongs.
    pub fn complete(&self) -> bool {
        matches!(self.end, Some((Ok(()), _)))
    }
}

/// Transfers that run side by side.
#[derive(Debug)]
pub struct Transfers {
    state: Arc<Mutex<Vec<Transfer>>>,
    pace: Pace,
    thread: Option<JoinHandle<()>>,
}

impl Transfers {
    /// Bytes of each transfer: at the slow pace they last for 25 seconds, released for an instant.
    const LENGTH: u64 = 10 * 1024 * 1024;
    /// A transfer on which nothing moves for so long is dead.
    const SILENCE: Duration = Duration::from_secs(5);

    /// Starts transfers from `namespace` and waits until bytes flow on every one of them.
    pub fn start(namespace: &Namespace, flows: &[(Direction, SocketAddr)], pace: &Pace) -> Result<Self> {
        Self::start_sized(namespace, flows, pace, Self::LENGTH)
    }

    /// The same with so many bytes each, where nothing is to happen to them on the way.
    pub fn start_sized(
        namespace: &Namespace,
        flows: &[(Direction, SocketAddr)],
        pace: &Pace,
        length: u64,
    ) -> Result<Self> {
        let transfers = flows.iter().map(|&(direction, remote)| Transfer {
            direction,
            remote,
            local: None,
            segment: None,
            by: None,
            bytes: 0,
            end: None,
        });
        let state = Arc::new(Mutex::new(transfers.collect::<Vec<_>>()));
        let (seen, paced, count) = (state.clone(), pace.clone(), flows.len());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = namespace.spawn("transfers", move || {
            let seats = (0..count).map(|index| Seat { state: &seen, index, length });
            runtime.block_on(join_all(seats.map(|seat| seat.run(paced.clone()))));
        })?;
        let transfers = Self { state, pace: pace.clone(), thread: Some(thread) };
        let flowing = |transfer: &Transfer| transfer.bytes > 2 * Pace::BURST as u64 || transfer.end.is_some();
        let all = || transfers.now().iter().all(flowing);
        ensure!(
            crate::eventually(Duration::from_secs(30), all),
            "some transfers never began: {:#?}",
            transfers.now()
        );
        Ok(transfers)
    }

    /// How they stand.
    pub fn now(&self) -> Vec<Transfer> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets them run to their end, fast, and says how each ended.
    pub fn finish(mut self) -> Vec<Transfer> {
        self.pace.release();
        self.join();
        self.now()
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been printed.
            drop(thread.join());
        }
    }
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.pace.release();
        self.join();
    }
}

/// One transfer's place in the shared list.
struct Seat<'a> {
    state: &'a Mutex<Vec<Transfer>>,
    index: usize,
    length: u64,
}

impl Seat<'_> {
    fn with<T>(&self, change: impl FnOnce(&mut Transfer) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner)[self.index])
    }

    async fn run(self, pace: Pace) {
        let (direction, remote) = self.with(|transfer| (transfer.direction, transfer.remote));
        let work = async {
            let stream = TcpStream::connect(remote).await?;
            let local = stream.local_addr()?;
            let segment = getsockopt(&stream, TcpMaxSeg).ok();
            self.with(|transfer| (transfer.local, transfer.segment) = (Some(local), segment));
            match direction {
                Direction::Download => self.download(stream).await,
                Direction::Upload => self.upload(stream, &pace).await,
            }
        };
        let result = tokio::select! {
            result = work => result,
            () = self.silence() => Err(Failure::TimedOut),
        };
        self.with(|transfer| transfer.end = Some((result, Instant::now())));
    }

    /// Ends when nothing has moved for too long.
    async fn silence(&self) {
        let mut before = None;
        loop {
            let bytes = self.with(|transfer| transfer.bytes);
            if before.replace(bytes) == Some(bytes) {
                return;
            }
            tokio::time::sleep(Transfers::SILENCE).await;
        }
    }

    async fn download(&self, mut stream: TcpStream) -> Result<(), Failure> {
        let request = format!("GET /bytes/{} HTTP/1.1\r\nhost: lab\r\n\r\n", self.length);
        stream.write_all(request.as_bytes()).await?;
        let (head, mut body) = read_head(&mut stream).await?;
        self.name(&head)?;
        let mut received = 0;
        loop {
            let right = pattern::right(received, &body);
            if right < body.len() {
                return Err(Failure::WrongBytes(received + right as u64));
            }
            received += right as u64;
            self.with(|transfer| transfer.bytes = received);
            if received == self.length {
                return Ok(());
            }
            body.clear();
            body.reserve(64 * 1024);
            if stream.read_buf(&mut body).await? == 0 {
                return Err(Failure::Closed);
            }
        }
    }

    async fn upload(&self, mut stream: TcpStream, pace: &Pace) -> Result<(), Failure> {
        let length = self.length;
        let request = format!(
            "PUT /sink HTTP/1.1\r\nhost: lab\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let (head, _) = read_head(&mut stream).await?;
        self.name(&head)?;
        send_pattern(&mut stream, length, pace, |sent| self.with(|transfer| transfer.bytes = sent)).await?;
        let (head, _) = read_head(&mut stream).await?;
        if head.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(Failure::Answer(head)) }
    }

    fn name(&self, head: &str) -> Result<(), Failure> {
        let by = header(head, "x-backend").ok_or_else(|| Failure::Answer(head.to_owned()))?;
        self.with(|transfer| transfer.by = Some(by.to_owned()));
        Ok(())
    }
}
