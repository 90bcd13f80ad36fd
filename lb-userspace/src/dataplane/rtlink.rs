//! Which XDP program an interface carries, and why it does not want ours.
//!
//! Two questions that only rtnetlink answers: programs attached without a `bpf_link` are known to nothing else, and the
//! driver's reason for refusing a program ("Peer MTU is too large to set XDP") is in the extended acknowledgement of a
//! netlink request, while bpf(2) gives the bare errno. Attributes are read by hand: six of them do not need a library,
//! and `net/` alone speaks the rest of netlink.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use crate::config::model::AttachMode;

/// An XDP program on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnInterface {
    /// Where it runs; `None` for one that is offloaded to the NIC.
    pub mode: Option<AttachMode>,
    /// Its kernel id.
    pub program_id: u32,
}

/// The XDP program on an interface of the calling thread's network namespace.
pub fn attached(ifindex: u32) -> io::Result<Option<OnInterface>> {
    let mut request = Request::new(libc::RTM_GETLINK, 0, ifindex);
    request.attribute(libc::IFLA_EXT_MASK, &SKIP_STATISTICS.to_ne_bytes());
    match exchange(&request)? {
        Answer::Link(attributes) => Ok(program_of(&attributes)),
        Answer::Done => Ok(None),
        Answer::Error { error, .. } => Err(error),
    }
}

/// The kernel's words for not attaching `program` to the interface's driver.
///
/// It is asked to attach it once more, by netlink this time. Should it now agree, the program is taken off again: an
/// attachment that is no link would end with this process's mistakes, not with its pin.
pub fn refusal(ifindex: u32, program: BorrowedFd<'_>) -> Option<String> {
    match exchange(&set_request(ifindex, program.as_raw_fd(), XDP_FLAGS_UPDATE_IF_NOEXIST)).ok()? {
        Answer::Error { message, .. } => message,
        Answer::Link(_) | Answer::Done => {
            let _ = exchange(&set_request(ifindex, -1, 0));
            None
        }
    }
}

const SKIP_STATISTICS: u32 = 1 << 3;
const XDP_FLAGS_UPDATE_IF_NOEXIST: u32 = 1 << 0;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

// include/uapi/linux/if_link.h
const IFLA_XDP_FD: u16 = 1;
const IFLA_XDP_FLAGS: u16 = 3;
const IFLA_XDP_DRV_PROG_ID: u16 = 5;
const IFLA_XDP_SKB_PROG_ID: u16 = 6;
const IFLA_XDP_HW_PROG_ID: u16 = 7;

const NLA_TYPE_MASK: u16 = 0x3fff;
const NLM_F_CAPPED: u16 = 0x100;
const NLMSGERR_ATTR_MSG: u16 = 1;
const MESSAGE_HEADER: usize = 16;
const LINK_HEADER: usize = 16;

fn set_request(ifindex: u32, program: i32, flags: u32) -> Request {
    let mut inner = Request(Vec::new());
    inner.attribute(IFLA_XDP_FD, &program.to_ne_bytes());
    inner.attribute(IFLA_XDP_FLAGS, &(flags | XDP_FLAGS_DRV_MODE).to_ne_bytes());
    let mut request = Request::new(libc::RTM_SETLINK, libc::NLM_F_ACK, ifindex);
    request.attribute(libc::IFLA_XDP | NESTED, &inner.0);
    request
}

const NESTED: u16 = 1 << 15;

/// The bytes of a request that are not yet in order: [`exchange`] writes the length.
struct Request(Vec<u8>);

impl Request {
    fn new(kind: u16, flags: i32, ifindex: u32) -> Self {
        let flags = u16::try_from(flags | libc::NLM_F_REQUEST).unwrap_or_default();
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&0u32.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        // struct ifinfomsg: family, padding, type, index, flags, change.
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&ifindex.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        Self(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finished(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_ne_bytes();
        bytes[..4].copy_from_slice(&length);
        bytes
    }
}

/// What the kernel said.
enum Answer {
    /// A link, with its attributes.
    Link(Vec<u8>),
    /// Nothing but that it was done.
    Done,
    /// That it was not.
    Error { error: io::Error, message: Option<String> },
}

fn exchange(request: &Request) -> io::Result<Answer> {
    let socket: OwnedFd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    // Kernels before 4.12 have no extended acknowledgements: the answer is then the errno alone.
    enable(&socket, libc::NETLINK_EXT_ACK);
    enable(&socket, libc::NETLINK_CAP_ACK);
    sendto(socket.as_raw_fd(), &request.finished(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0u8; 64 * 1024];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
    answer(&buffer[..length])
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a netlink answer was cut short"))
}

fn enable(socket: &OwnedFd, option: libc::c_int) {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or_default();
    // SAFETY: the descriptor is an open socket, and the option's value is one `int` that outlives the call.
    let _ = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_NETLINK, option, (&raw const on).cast(), length)
    };
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let kind = u16_at(bytes, 4)?;
    let flags = u16_at(bytes, 6)?;
    let length = (u32_at(bytes, 0)? as usize).min(bytes.len());
    let body = bytes.get(MESSAGE_HEADER..length)?;
    if i32::from(kind) != libc::NLMSG_ERROR {
        return Some(Answer::Link(body.get(LINK_HEADER..)?.to_vec()));
    }
    let code = u32_at(body, 0)?.cast_signed();
    if code == 0 {
        return Some(Answer::Done);
    }
    // The failed request follows, whole unless it was capped to its header, and then the attributes.
    let request = if flags & NLM_F_CAPPED == 0 { u32_at(body, 4)? as usize } else { MESSAGE_HEADER };
    let message = body
        .get(4 + request.next_multiple_of(4)..)
        .and_then(|attributes| find(attributes, NLMSGERR_ATTR_MSG))
        .map(|text| String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
    Some(Answer::Error { error: io::Error::from_raw_os_error(-code), message })
}

fn program_of(link: &[u8]) -> Option<OnInterface> {
    let xdp = find(link, libc::IFLA_XDP)?;
    [
        (IFLA_XDP_DRV_PROG_ID, Some(AttachMode::Native)),
        (IFLA_XDP_SKB_PROG_ID, Some(AttachMode::Generic)),
        (IFLA_XDP_HW_PROG_ID, None),
    ]
    .into_iter()
    .find_map(|(kind, mode)| {
        let program_id = u32_at(find(xdp, kind)?, 0)?;
        (program_id != 0).then_some(OnInterface { mode, program_id })
    })
}

/// The value of the first attribute of a kind.
fn find(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = u16_at(attributes, 0)? as usize;
        let kind = u16_at(attributes, 2)? & NLA_TYPE_MASK;
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_wherever_it_runs() {
        for (kind, mode) in [
            (IFLA_XDP_DRV_PROG_ID, Some(AttachMode::Native)),
            (IFLA_XDP_SKB_PROG_ID, Some(AttachMode::Generic)),
            (IFLA_XDP_HW_PROG_ID, None),
        ] {
            let mut xdp = Request(Vec::new());
            xdp.attribute(2, &[1]);
            xdp.attribute(kind, &77u32.to_ne_bytes());
            let mut link = Request(Vec::new());
            link.attribute(libc::IFLA_IFNAME, b"eth0\0");
            link.attribute(libc::IFLA_XDP | NESTED, &xdp.0);
            assert_eq!(program_of(&link.0), Some(OnInterface { mode, program_id: 77 }));
        }
    }

    #[test]
    fn an_interface_without_a_program_has_none() {
        let mut xdp = Request(Vec::new());
        xdp.attribute(2, &[0]);
        let mut link = Request(Vec::new());
        link.attribute(libc::IFLA_XDP, &xdp.0);
        assert_eq!(program_of(&link.0), None);
        assert_eq!(program_of(&[]), None);
    }

    #[test]
    fn a_cut_or_lying_answer_is_no_answer() {
        assert!(answer(&[]).is_none());
        let mut bytes = Request::new(libc::RTM_NEWLINK, 0, 1).finished();
        bytes[0] = 0xff;
        assert!(matches!(answer(&bytes), Some(Answer::Link(rest)) if rest.is_empty()));
        // An attribute that claims to be longer than what is there, or shorter than its own header.
        assert_eq!(find(&[0xff, 0, 1, 0], 1), None);
        assert_eq!(find(&[0, 0, 2, 0, 0, 0, 0, 0], 1), None);
    }
}
