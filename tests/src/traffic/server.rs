//! A web server and a UDP echo on one thread inside a namespace.
//!
//! `GET /who` says who answers; `GET /bytes/N` sends N bytes of the pattern, at the test's pace; `PUT /sink` takes as
//! many as announced. Every answer names its server in `x-backend`, an upload's before its first byte.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::{Context, Result, anyhow};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::oneshot;

use super::{Pace, pattern};
use crate::lab::Namespace;

/// What a server serves.
#[derive(Clone, Debug)]
pub struct Serving {
    /// What it calls itself.
    pub name: String,
    /// Ports on which it speaks HTTP, on every address.
    pub http: Vec<u16>,
    /// Addresses and ports on which it echoes datagrams, its name in front.
    pub echo: Vec<(IpAddr, u16)>,
    /// How fast it sends.
    pub pace: Pace,
}

/// A running server. Ends when dropped.
#[derive(Debug)]
pub struct Server {
    name: String,
    accepted: Arc<AtomicU64>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server in `namespace` and waits until it listens.
    pub fn start(namespace: &Namespace, serving: Serving) -> Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, listening) = mpsc::channel();
        let accepted = Arc::new(AtomicU64::new(0));
        let (name, count) = (serving.name.clone(), accepted.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = namespace.spawn(&name, move || {
            runtime.block_on(async move {
                let opened = open(&serving).await;
                let fine = opened.is_ok();
                // Whoever starts the server waits for this.
                drop(ready.send(opened.map(|sockets| serve(sockets, &serving, &count))));
                if fine {
                    // Dropped or sent: both mean stop.
                    drop(stopped.await);
                }
            });
        })?;
        listening.recv().map_err(|_| anyhow!("server {name} ended before it listened"))??;
        Ok(Self { name, accepted, stop: Some(stop), thread: Some(thread) })
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many connections it has accepted.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has been printed.
            drop(thread.join());
        }
    }
}

struct Sockets {
    http: Vec<TcpListener>,
    echo: Vec<UdpSocket>,
}

async fn open(serving: &Serving) -> Result<Sockets> {
    let mut sockets = Sockets { http: Vec::new(), echo: Vec::new() };
    for &port in &serving.http {
        // An IPv6 socket on the unspecified address takes IPv4 too.
        let address = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let listener = TcpListener::bind(address).await;
        sockets.http.push(listener.with_context(|| format!("{} cannot listen on {address}", serving.name))?);
    }
    for &address in &serving.echo {
        let socket = UdpSocket::bind(address).await;
        sockets.echo.push(socket.with_context(|| format!("{} cannot listen on {address:?}", serving.name))?);
    }
    Ok(sockets)
}

/// Starts one task per socket on the runtime of the calling task.
fn serve(sockets: Sockets, serving: &Serving, accepted: &Arc<AtomicU64>) {
    for listener in sockets.http {
        let (name, pace, accepted) = (serving.name.clone(), serving.pace.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::Relaxed);
                let (name, pace) = (name.clone(), pace.clone());
                // A client that went away is the client's to notice.
                tokio::spawn(async move { drop(answer(stream, &name, &pace).await) });
            }
        });
    }
    for socket in sockets.echo {
        let name = serving.name.clone();
        tokio::spawn(async move { drop(echo(&socket, &name).await) });
    }
}

async fn echo(socket: &UdpSocket, name: &str) -> io::Result<()> {
    let mut datagram = vec![0; 65_536];
    loop {
        let (length, from) = socket.recv_from(&mut datagram).await?;
        let answer = [name.as_bytes(), b"\n", &datagram[..length]].concat();
        socket.send_to(&answer, from).await?;
    }
}

async fn answer(mut stream: TcpStream, name: &str, pace: &Pace) -> io::Result<()> {
    let (head, body) = read_head(&mut stream).await?;
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = format!("x-backend: {name}\r\nconnection: close\r\n");
    match (method, path.strip_prefix("/bytes/").map(str::parse::<u64>)) {
        ("GET", None) if path == "/who" => {
            let length = name.len() + 1;
            let answer = format!("HTTP/1.1 200 OK\r\n{header}content-length: {length}\r\n\r\n{name}\n");
            stream.write_all(answer.as_bytes()).await?;
        }
        ("GET", Some(Ok(length))) => {
            let head = format!("HTTP/1.1 200 OK\r\n{header}content-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            send_pattern(&mut stream, length, pace, |_| ()).await?;
        }
        ("PUT" | "POST", None) if path == "/sink" => sink(&mut stream, &head, body, name).await?,
        _ => {
            let answer = format!("HTTP/1.1 404 Not Found\r\n{header}content-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
        }
    }
    stream.shutdown().await
}

async fn sink(stream: &mut TcpStream, head: &str, mut body: Vec<u8>, name: &str) -> io::Result<()> {
    let length: u64 = header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    stream.write_all(format!("HTTP/1.1 100 Continue\r\nx-backend: {name}\r\n\r\n").as_bytes()).await?;
    let (mut received, mut right) = (0, 0);
    loop {
        if received == right {
            right += pattern::right(received, &body) as u64;
        }
        received += body.len() as u64;
        if received >= length {
            break;
        }
        body.clear();
        if stream.read_buf(&mut body).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = if right == length { "200 OK" } else { "422 Wrong Bytes" };
    let text = format!("{name} took {received} bytes, {right} of them right\n");
    let answer = format!(
        "HTTP/1.1 {status}\r\nx-backend: {name}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await
}

/// Sends `length` bytes of the pattern and tells `progress` how many are gone.
pub(super) async fn send_pattern(
    stream: &mut TcpStream,
    length: u64,
    pace: &Pace,
    progress: impl Fn(u64),
) -> io::Result<()> {
    let mut sent = 0;
    while sent < length {
        let burst = usize::try_from(length - sent).unwrap_or(usize::MAX).min(Pace::BURST);
        let bytes = pattern::at(sent, burst);
        stream.write_all(bytes).await?;
        sent += bytes.len() as u64;
        progress(sent);
        pace.next().await;
    }
    Ok(())
}

/// Reads up to the empty line; returns the head and what came after it.
pub(super) async fn read_head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    const LONGEST: usize = 8 * 1024;
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if bytes.len() > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the message does not end"));
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The value of a header.
pub(super) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
