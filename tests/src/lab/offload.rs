//! Turns a veth's offloads off.
//!
//! With them on, packets between namespaces are up to 64 KiB long and their checksums are left to hardware that does
//! not exist: nothing that a wire would show. Spoken over ethtool's netlink, because its ioctl needs `unsafe`.

use std::mem::size_of;

use anyhow::{Context, Result, bail};
use rtnetlink::sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

/// Features by ethtool's names that make one packet of many, or leave a checksum open.
const FEATURES: &[&str] = &[
    "tx-checksum-ip-generic",
    "tx-checksum-sctp",
    "tx-generic-segmentation",
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-udp-segmentation",
    "rx-gro",
    "rx-gro-list",
    "rx-udp-gro-forwarding",
];

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and its attributes (`linux/genetlink.h`).
mod control {
    pub const FAMILY: u16 = 0x10;
    pub const GET_FAMILY: u8 = 3;
    pub const FAMILY_ID: u16 = 1;
    pub const FAMILY_NAME: u16 = 2;
}

/// `ETHTOOL_MSG_FEATURES_SET` and its attributes (`linux/ethtool_netlink_generated.h`).
mod ethtool {
    pub const FEATURES_SET: u8 = 12;
    pub const HEADER: u16 = 1;
    pub const HEADER_NAME: u16 = 2;
    pub const WANTED: u16 = 3;
    pub const BITSET_BITS: u16 = 3;
    pub const BIT: u16 = 1;
    pub const BIT_NAME: u16 = 2;
    pub const BIT_VALUE: u16 = 3;
}

const NESTED: u16 = 1 << 15;
const REQUEST_AND_ACK: u16 = 1 | 4;
const ERROR: u16 = 2;
const HEADERS: usize = 16 + 4;

/// Turns the offloads of `interface`, in the calling thread's namespace, off.
pub fn turn_off(interface: &str) -> Result<()> {
    let mut socket = Socket::new(NETLINK_GENERIC).context("cannot open a generic netlink socket")?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let family = family(&socket)?;
    // The kernel compares with what was asked for before, not with what is: where a veth that got a program has GRO
    // on although nobody asked, only a change of mind turns it off.
    for (features, flag) in [(&["rx-gro"][..], Some(ethtool::BIT_VALUE)), (FEATURES, None)] {
        ask(&socket, family, ethtool::FEATURES_SET, &wanted(interface, features, flag))
            .with_context(|| format!("cannot change the offloads of {interface}"))?;
    }
    Ok(())
}

/// The body of a request that wants `features` on (with `flag`) or off (without).
fn wanted(interface: &str, features: &[&str], flag: Option<u16>) -> Vec<u8> {
    let bit = |name: &&str| {
        let mut bit = attribute(ethtool::BIT_NAME, &text(name));
        bit.extend(flag.map(|flag| attribute(flag, &[])).unwrap_or_default());
        attribute(ethtool::BIT | NESTED, &bit)
    };
    let bits: Vec<u8> = features.iter().flat_map(bit).collect();
    let mut body = attribute(ethtool::HEADER | NESTED, &attribute(ethtool::HEADER_NAME, &text(interface)));
    body.extend(attribute(ethtool::WANTED | NESTED, &attribute(ethtool::BITSET_BITS | NESTED, &bits)));
    body
}

/// The number that the kernel gave the family `ethtool`.
fn family(socket: &Socket) -> Result<u16> {
    let name = attribute(control::FAMILY_NAME, &text("ethtool"));
    let answer = ask(socket, control::FAMILY, control::GET_FAMILY, &name)
        .context("this kernel has no ethtool netlink (CONFIG_ETHTOOL_NETLINK)")?;
    let mut rest = answer.get(HEADERS..).unwrap_or_default();
    while let [l0, l1, k0, k1, body @ ..] = rest {
        let length = usize::from(u16::from_ne_bytes([*l0, *l1]));
        if u16::from_ne_bytes([*k0, *k1]) == control::FAMILY_ID
            && let [a, b, ..] = body
        {
            return Ok(u16::from_ne_bytes([*a, *b]));
        }
        rest = rest.get(length.next_multiple_of(4).max(4)..).unwrap_or_default();
    }
    bail!("the kernel named no id for the ethtool family");
}

/// Sends one request and reads until its acknowledgement; returns the first message that was none.
fn ask(socket: &Socket, family: u16, command: u8, body: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(HEADERS + body.len())?;
    let mut request = Vec::new();
    request.extend(length.to_ne_bytes());
    request.extend(family.to_ne_bytes());
    request.extend(REQUEST_AND_ACK.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([command, 1, 0, 0]);
    request.extend(body);
    socket.send(&request, 0)?;
    let mut answer = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full()?;
        let kind = datagram.get(4..6).map(|kind| u16::from_ne_bytes([kind[0], kind[1]]));
        if kind != Some(ERROR) {
            answer = datagram;
            continue;
        }
        let code = datagram.get(16..16 + size_of::<i32>()).context("short netlink acknowledgement")?;
        return match i32::from_ne_bytes(code.try_into()?) {
            0 => Ok(answer),
            code => Err(std::io::Error::from_raw_os_error(-code).into()),
        };
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).expect("attributes here are short");
    let mut bytes = Vec::from(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}
