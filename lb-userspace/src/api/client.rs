//! The other end of the socket: what the command line and tests speak through.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::body::{AddBackend, Attach, LogEvent, LogPackets, Owners, SetBackend};
use super::problem::Problem;
use crate::config::model::{AttachMode, Name};
use crate::control::view::{Applied, InterfaceView, PoolView, ServiceView, Stats, View};

/// How long an answer may take: loading another variant of the program on a busy machine takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why there is no answer, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens.
    #[error(
        "no xlb daemon answers at {} ({source}): start one with `systemctl start xlb` or `xlb run -c \
         /etc/xlb/xlb.toml`, or name its socket with --socket",
        .socket.display()
    )]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why it could not be connected to.
        source: io::Error,
    },
    /// Connecting is not allowed.
    #[error("{} does not let you in: run as root, or as a member of the socket's group", .0.display())]
    Forbidden(PathBuf),
    /// The daemon went away, or took too long.
    #[error("the daemon at {} did not finish its answer: {reason}", .socket.display())]
    Cut {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        reason: String,
    },
    /// The daemon refused.
    #[error(transparent)]
    Refused(#[from] Problem),
}

/// A daemon's socket. Every request makes a connection of its own.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

impl Client {
    /// The daemon that listens at `socket`.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Where it asks.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The state of the whole daemon.
    pub async fn status(&self) -> Result<View, Error> {
        self.get("/v1/status".to_owned()).await
    }

    /// All counters.
    pub async fn stats(&self) -> Result<Stats, Error> {
        self.get("/v1/stats".to_owned()).await
    }

    /// All services.
    pub async fn services(&self) -> Result<Vec<ServiceView>, Error> {
        self.get("/v1/services".to_owned()).await
    }

    /// One service.
    pub async fn service(&self, service: &Name) -> Result<ServiceView, Error> {
        self.get(format!("/v1/services/{service}")).await
    }

    /// All pools.
    pub async fn pools(&self) -> Result<Vec<PoolView>, Error> {
        self.get("/v1/pools".to_owned()).await
    }

    /// One pool.
    pub async fn pool(&self, pool: &Name) -> Result<PoolView, Error> {
        self.get(format!("/v1/pools/{pool}")).await
    }

    /// Who owns each slot of a pool's table.
    pub async fn table(&self, pool: &Name) -> Result<Owners, Error> {
        self.get(format!("/v1/pools/{pool}/table")).await
    }

    /// Adds a backend to a pool.
    pub async fn add_backend(&self, pool: &Name, backend: &AddBackend) -> Result<Applied, Error> {
        self.send(Method::POST, format!("/v1/pools/{pool}/backends"), Some(backend)).await
    }

    /// Sets a backend's weight.
    pub async fn set_backend(&self, pool: &Name, backend: &Name, set: &SetBackend) -> Result<Applied, Error> {
        self.send(Method::PATCH, format!("/v1/pools/{pool}/backends/{backend}"), Some(set)).await
    }

    /// Removes a backend from a pool.
    pub async fn remove_backend(&self, pool: &Name, backend: &Name) -> Result<Applied, Error> {
        self.send(Method::DELETE, format!("/v1/pools/{pool}/backends/{backend}"), None::<&()>).await
    }

    /// All interfaces.
    pub async fn interfaces(&self) -> Result<Vec<InterfaceView>, Error> {
        self.get("/v1/interfaces".to_owned()).await
    }

    /// Attaches the balancer to an interface.
    pub async fn attach(&self, interface: &str, mode: AttachMode) -> Result<Applied, Error> {
        let path = format!("/v1/interfaces/{}", encode(interface));
        self.send(Method::POST, path, Some(&Attach { mode })).await
    }

    /// Takes the balancer off an interface.
    pub async fn detach(&self, interface: &str) -> Result<Applied, Error> {
        let path = format!("/v1/interfaces/{}", encode(interface));
        self.send(Method::DELETE, path, None::<&()>).await
    }

    /// Has the daemon read its configuration file again.
    pub async fn reload(&self) -> Result<Applied, Error> {
        self.send(Method::POST, "/v1/reload".to_owned(), None::<&()>).await
    }

    /// Logs packets and hands every event to `each` until that breaks or the daemon ends the stream.
    pub async fn log_packets(
        &self,
        request: &LogPackets,
        mut each: impl FnMut(LogEvent) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut response =
            self.within(self.request(Method::POST, "/v1/log-packets".to_owned(), Some(request))).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let mut partial = Vec::new();
        while let Some(frame) = response.frame().await {
            let frame = frame.map_err(|e| self.cut(e.to_string()))?;
            partial.extend_from_slice(frame.data_ref().map_or(&[][..], |bytes| &bytes[..]));
            while let Some(end) = partial.iter().position(|&b| b == b'\n') {
                let line: Vec<u8> = partial.drain(..=end).collect();
                let event = serde_json::from_slice(&line).map_err(|e| self.cut(e.to_string()))?;
                if each(event).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, Error> {
        self.send(Method::GET, path, None::<&()>).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: String,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.within(async {
            let response = self.request(method, path, body).await?;
            if !response.status().is_success() {
                return Err(self.refusal(response).await);
            }
            let bytes = response.collect().await.map_err(|e| self.cut(e.to_string()))?.to_bytes();
            serde_json::from_slice(&bytes).map_err(|e| self.cut(e.to_string()))
        })
        .await
    }

    async fn request(
        &self,
        method: Method,
        path: String,
        body: Option<&impl Serialize>,
    ) -> Result<Response<Incoming>, Error> {
        let bytes = body
            .map(serde_json::to_vec)
            .transpose()
            .map_err(|e| self.cut(e.to_string()))?
            .unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "xlb")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(bytes)))
            .map_err(|e| self.cut(e.to_string()))?;
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.unreachable(e))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| self.cut(e.to_string()))?;
        // Ends with the connection: when the response has been read, or dropped.
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|e| self.cut(e.to_string()))
    }

    async fn refusal(&self, response: Response<Incoming>) -> Error {
        let status = response.status();
        let bytes = match response.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => return self.cut(error.to_string()),
        };
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Error::Refused(problem),
            Err(_) => Problem::internal(format!("HTTP {status}: {}", String::from_utf8_lossy(&bytes))).into(),
        }
    }

    async fn within<T>(&self, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(PATIENCE, answer)
            .await
            .unwrap_or_else(|_| Err(self.cut(format!("nothing came for {} s", PATIENCE.as_secs()))))
    }

    fn unreachable(&self, source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::PermissionDenied => Error::Forbidden(self.socket.clone()),
            _ => Error::Unreachable { socket: self.socket.clone(), source },
        }
    }

    fn cut(&self, reason: impl Into<String>) -> Error {
        Error::Cut { socket: self.socket.clone(), reason: reason.into() }
    }
}

/// Percent-encodes what may not stand in a path segment (RFC 3986, 3.3). Interface names may hold anything but a
/// slash and white space.
fn encode(segment: &str) -> String {
    use std::fmt::Write;

    segment.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}
