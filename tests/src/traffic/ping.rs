//! ICMP echo, for traffic that is none of the balancer's business.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, connect, recv, send,
    setsockopt, socket,
};
use nix::sys::time::TimeVal;

use crate::lab::Namespace;

/// Sends one echo request with `payload` from `namespace` and says whether the reply holds the same payload.
pub fn ping(namespace: &Namespace, target: IpAddr, payload: &[u8], within: Duration) -> Result<bool> {
    namespace.sysctl("net/ipv4/ping_group_range", "0 0")?;
    let payload = payload.to_vec();
    namespace.run(move || {
        let (family, protocol, request) = match target {
            IpAddr::V4(_) => (AddressFamily::Inet, SockProtocol::Icmp, 8),
            IpAddr::V6(_) => (AddressFamily::Inet6, SockProtocol::IcmpV6, 128),
        };
        let socket = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, protocol)
            .context("cannot open a ping socket")?;
        let seconds = within.as_secs().max(1).try_into()?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::new(seconds, 0))?;
        connect(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(target, 0)))?;
        // Type, code, checksum and identifier (the kernel's to fill), sequence number.
        let mut message = vec![request, 0, 0, 0, 0, 0, 0, 1];
        message.extend(&payload);
        send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = vec![0; 65_536];
        Ok(match recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()) {
            Ok(length) => answer.get(8..length) == Some(payload.as_slice()),
            Err(_) => false,
        })
    })
}
