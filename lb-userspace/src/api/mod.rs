//! HTTP/JSON over a Unix socket: how the command line, and anybody else on this host, talks to the daemon.
//!
//! Bodies are the types of [`crate::control::view`] and of [`body`], errors are problem documents ([`Problem`], RFC
//! 9457), and paths use the words of the command line. Who may connect is decided by the socket file's mode and group
//! alone ([`socket`]); there is no other authentication.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`View`](crate::control::view::View) |
//! | `GET /v1/stats` | | [`Stats`](crate::control::view::Stats) |
//! | `GET /v1/services`, `/v1/services/{service}` | | [`ServiceView`](crate::control::view::ServiceView), one or all |
//! | `GET /v1/pools`, `/v1/pools/{pool}` | | [`PoolView`](crate::control::view::PoolView), one or all |
//! | `GET /v1/pools/{pool}/table` | | [`body::Owners`] |
//! | `POST /v1/pools/{pool}/backends` | [`body::AddBackend`] | [`Applied`](crate::control::view::Applied) |
//! | `PATCH /v1/pools/{pool}/backends/{backend}` | [`body::SetBackend`] | `Applied` |
//! | `DELETE /v1/pools/{pool}/backends/{backend}` | | `Applied` |
//! | `GET /v1/interfaces` | | [`InterfaceView`](crate::control::view::InterfaceView), all |
//! | `POST /v1/interfaces/{interface}` | [`body::Attach`] | `Applied` |
//! | `DELETE /v1/interfaces/{interface}` | | `Applied` |
//! | `POST /v1/reload` | | `Applied` |
//! | `POST /v1/log-packets` | [`body::LogPackets`] | a line of JSON per [`body::LogEvent`], until either side closes |

pub mod body;
pub mod client;
pub mod log_line;
pub mod log_packets;
pub mod problem;
pub mod reload;
pub mod route;
pub mod socket;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use problem::Problem;
pub use route::{Api, router};
pub use socket::Socket;

/// Where the socket is unless something else is configured.
pub const DEFAULT_SOCKET: &str = "/run/xlb/xlb.sock";
