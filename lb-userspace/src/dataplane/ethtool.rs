//! Offloads of an interface, read and set.
//!
//! Generic XDP sees what the stack sees: with GRO or LRO on that is super-packets of up to 64 KiB, which no encapsulation
//! fits. The legacy `SIOCETHTOOL` commands are used, not the ethtool netlink family: they exist on every kernel, need
//! no family lookup, and act in the network namespace of the calling thread, which is where the socket is made.

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// Offloads that matter to an XDP program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offloads {
    /// Generic receive offload: the stack merges received segments.
    pub gro: State,
    /// Large receive offload: the driver merges them.
    pub lro: State,
    /// The NIC takes VLAN tags off received frames; XDP then does not see them in the packet.
    pub rx_vlan: State,
    /// Checksums of transmitted packets are left to the NIC.
    pub tx_checksum: State,
}

/// An offload that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Generic receive offload.
    Gro,
    /// Large receive offload.
    Lro,
    /// VLAN tags taken off received frames.
    RxVlan,
    /// Checksums of transmitted packets.
    TxChecksum,
}

/// Whether an offload works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    On,
    /// It does not.
    Off,
}

/// Reads the offloads of an interface. An offload that its driver does not know is off.
pub fn offloads(interface: &str) -> io::Result<Offloads> {
    let door = Door::open(interface)?;
    let flags = door.get(GET_FLAGS)?;
    Ok(Offloads {
        gro: State::of(door.get(GET_GRO)?),
        lro: State::of(flags & FLAG_LRO),
        rx_vlan: State::of(flags & FLAG_RX_VLAN),
        tx_checksum: State::of(door.get(GET_TX_CHECKSUM)?),
    })
}

/// Sets one offload and reads it back: a driver that cannot change it is an error, not a silence.
pub fn set(interface: &str, feature: Feature, state: State) -> io::Result<()> {
    let door = Door::open(interface)?;
    if door.state(feature)? == state {
        return Ok(());
    }
    let value = u32::from(state == State::On);
    match feature {
        Feature::Gro => door.set(SET_GRO, value)?,
        Feature::TxChecksum => door.set(SET_TX_CHECKSUM, value)?,
        Feature::Lro => door.set_flag(FLAG_LRO, state)?,
        Feature::RxVlan => door.set_flag(FLAG_RX_VLAN, state)?,
    }
    if door.state(feature)? == state {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!("the driver of {interface} does not let {feature:?} be turned {state:?}"),
        ))
    }
}

impl State {
    fn of(bits: u32) -> Self {
        if bits == 0 { Self::Off } else { Self::On }
    }
}

// include/uapi/linux/ethtool.h
const GET_TX_CHECKSUM: u32 = 0x16;
const SET_TX_CHECKSUM: u32 = 0x17;
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
const GET_GRO: u32 = 0x2b;
const SET_GRO: u32 = 0x2c;
const FLAG_RX_VLAN: u32 = 1 << 8;
const FLAG_LRO: u32 = 1 << 15;

/// `struct ethtool_value`.
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// A socket to ask by, and the interface it asks about.
struct Door {
    socket: std::os::fd::OwnedFd,
    name: [libc::c_char; libc::IFNAMSIZ],
}

impl Door {
    fn open(interface: &str) -> io::Result<Self> {
        let mut name: [libc::c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
        if interface.is_empty() || interface.len() >= name.len() || interface.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("`{interface}` is not an interface name"),
            ));
        }
        for (to, from) in name.iter_mut().zip(interface.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        Ok(Self { socket, name })
    }

    fn get(&self, command: u32) -> io::Result<u32> {
        match self.ask(command, 0) {
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(0),
            other => other,
        }
    }

    fn set(&self, command: u32, data: u32) -> io::Result<()> {
        self.ask(command, data).map(drop)
    }

    /// The command sets all flags at once: the others keep what they are.
    fn set_flag(&self, flag: u32, state: State) -> io::Result<()> {
        let flags = self.get(GET_FLAGS)?;
        let flags = match state {
            State::On => flags | flag,
            State::Off => flags & !flag,
        };
        self.set(SET_FLAGS, flags)
    }

    fn state(&self, feature: Feature) -> io::Result<State> {
        let bits = match feature {
            Feature::Gro => self.get(GET_GRO)?,
            Feature::TxChecksum => self.get(GET_TX_CHECKSUM)?,
            Feature::Lro => self.get(GET_FLAGS)? & FLAG_LRO,
            Feature::RxVlan => self.get(GET_FLAGS)? & FLAG_RX_VLAN,
        };
        Ok(State::of(bits))
    }

    fn ask(&self, command: u32, data: u32) -> io::Result<u32> {
        let mut value = Value { command, data };
        let mut request = libc::ifreq {
            ifr_name: self.name,
            ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut value).cast() },
        };
        // SAFETY: the descriptor is an open socket; `request` is a whole `struct ifreq` with a terminated name, and its
        // data pointer names `value`, which lives until the call returns. The commands used here read and write
        // exactly one `struct ethtool_value` there.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut request) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value.data) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_the_kernel_cannot_hold_is_refused() {
        for name in ["", "a-name-of-16-byte", "a\0b"] {
            assert_eq!(offloads(name).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name:?}");
        }
    }

    #[test]
    fn an_interface_that_is_not_there_is_an_error() {
        let error = offloads("xlb-nowhere").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    }

    #[test]
    fn loopback_can_be_read() {
        // Always a checksum-free device with GRO known to the stack.
        assert_eq!(offloads("lo").unwrap().tx_checksum, State::On);
    }
}
