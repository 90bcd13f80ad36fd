//! Values on the command line that need a form of their own.

use std::net::IpAddr;

use clap::ValueEnum;
use ipnet::IpNet;

use crate::config::model::{AttachMode, Forward};

/// Where in the kernel an XDP program runs, as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ModeArg {
    /// In the driver
    Native,
    /// After the driver: works everywhere, slower
    Generic,
}

impl From<ModeArg> for AttachMode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::Native => Self::Native,
            ModeArg::Generic => Self::Generic,
        }
    }
}

/// How packets reach the backends, as an argument.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ForwardArg {
    /// IP in IP
    Ipip,
    /// Generic UDP encapsulation
    Gue,
    /// To the backend's MAC address
    L2,
    /// To this host
    Local,
}

impl From<ForwardArg> for Forward {
    fn from(forward: ForwardArg) -> Self {
        match forward {
            ForwardArg::Ipip => Self::Ipip,
            ForwardArg::Gue => Self::Gue,
            ForwardArg::L2 => Self::L2,
            ForwardArg::Local => Self::Local,
        }
    }
}

/// A prefix, or an address as a prefix of its own.
pub fn prefix(text: &str) -> Result<IpNet, String> {
    let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| format!("`{text}` is neither a prefix (10.0.0.0/24) nor an address"))
}

/// What tracing takes as a filter.
pub fn log_filter(text: &str) -> Result<String, String> {
    match tracing_subscriber::EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; use error, warn, info, debug or trace")),
    }
}
