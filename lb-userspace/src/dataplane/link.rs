//! Programs on interfaces: attached by a pinned `bpf_link`, found again by a later process, replaced without a gap.
//!
//! The pins are the only record. A link that outlived its interface names none; a living one's interface must carry the
//! very program that the link names, or it is another network namespace's.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, ProgramInfo, XdpMode, loaded_programs};
use nix::net::if_::{if_indextoname, if_nametoindex};

use super::bpffs::PinDir;
use super::loader::Program;
use super::offload::Offloads;
use super::rtlink::{self, OnInterface};
use super::{Attachment, Error, bpf};
use crate::config::model::AttachMode;

/// Attaches a program. What is attached already is given this program, without a gap unless the mode changes.
pub fn attach(
    pins: &PinDir,
    offloads: &mut Offloads,
    program: &mut Program,
    interface: &str,
    mode: AttachMode,
) -> Result<Attachment, Error> {
    let ifindex = index_of(interface)?;
    if let Some(now) = living(pins, ifindex)? {
        if now == mode {
            replace(pins, program, ifindex)?;
            return Ok(attachment(interface, ifindex, mode, program.id()?));
        }
        tracing::info!(
            "{interface} changes from {now:?} to {mode:?} mode: a link cannot, so there is a short gap"
        );
        detach_index(pins, offloads, interface, ifindex)?;
        return match attach_new(pins, offloads, program, interface, ifindex, mode) {
            Ok(attachment) => Ok(attachment),
            Err(error) => {
                // Better in the old mode than not at all.
                attach_new(pins, offloads, program, interface, ifindex, now)?;
                Err(error)
            }
        };
    }
    // A pin of an interface that had this ifindex before.
    pins.unpin_link(ifindex)?;
    attach_new(pins, offloads, program, interface, ifindex, mode)
}

/// Takes the program off an interface and restores its offloads. Nothing to take off is no error.
pub fn detach(pins: &PinDir, offloads: &mut Offloads, interface: &str) -> Result<(), Error> {
    let ifindex = index_of(interface)?;
    match living(pins, ifindex)? {
        Some(_) => detach_index(pins, offloads, interface, ifindex),
        None => pins.unpin_link(ifindex),
    }
}

/// Takes the program off every interface.
pub fn detach_all(pins: &PinDir, offloads: &mut Offloads) -> Result<Vec<String>, Error> {
    let attached = attachments(pins, offloads)?;
    for attachment in &attached {
        detach_index(pins, offloads, &attachment.interface, attachment.ifindex)?;
    }
    Ok(attached.into_iter().map(|attachment| attachment.interface).collect())
}

/// Where a program is attached now. Pins of links whose interface is gone are removed on the way.
pub fn attachments(pins: &PinDir, offloads: &mut Offloads) -> Result<Vec<Attachment>, Error> {
    let mut found = Vec::new();
    for ifindex in pins.links()? {
        let name = if_indextoname(ifindex).ok().and_then(|name| name.into_string().ok());
        if let (Some(interface), Some(mode)) = (name, living(pins, ifindex)?) {
            let program_id = pinned(&pins.link(ifindex))?.program_id;
            found.push(attachment(&interface, ifindex, mode, program_id));
        } else {
            tracing::info!("interface {ifindex} is gone, and the link to it with it");
            pins.unpin_link(ifindex)?;
            offloads.forget(ifindex)?;
        }
    }
    Ok(found)
}

/// Puts `to` where `from` is attached, on every interface. When one refuses, the others get `from` again.
pub fn replace_all(
    pins: &PinDir,
    offloads: &mut Offloads,
    from: Option<&mut Program>,
    to: &mut Program,
) -> Result<(), Error> {
    let attached = attachments(pins, offloads)?;
    let mut done = Vec::new();
    for Attachment { ifindex, .. } in attached {
        if let Err(error) = replace(pins, to, ifindex) {
            if let Some(from) = from {
                for ifindex in done {
                    replace(pins, from, ifindex)?;
                }
            }
            return Err(error);
        }
        done.push(ifindex);
    }
    Ok(())
}

/// A program on an interface for as long as the value lives.
pub struct Guard {
    _link: FdLink,
    _program: Program,
}

/// Attaches the program that passes everything, natively.
///
/// `XDP_TX` and redirects out of a veth deliver only to a peer that runs an XDP program too.
pub fn attach_pass(interface: &str) -> Result<Guard, Error> {
    let ifindex = index_of(interface)?;
    let mut program = Program::pass()?;
    refuse_occupied(interface, ifindex)?;
    let link = create(&mut program, interface, ifindex, AttachMode::Native)?;
    Ok(Guard { _link: link, _program: program })
}

/// The ifindex of an interface, which must exist.
pub fn index_of(interface: &str) -> Result<u32, Error> {
    if_nametoindex(interface).map_err(|_| Error::NoInterface(interface.into()))
}

fn attach_new(
    pins: &PinDir,
    offloads: &mut Offloads,
    program: &mut Program,
    interface: &str,
    ifindex: u32,
    mode: AttachMode,
) -> Result<Attachment, Error> {
    refuse_occupied(interface, ifindex)?;
    if mode == AttachMode::Generic {
        offloads.quiet(interface, ifindex)?;
    }
    let pinned = create(program, interface, ifindex, mode).and_then(|link| {
        let pin = pins.link(ifindex);
        link.pin(&pin).map_err(|e| failed(format!("pinning {}", pin.display()), io::Error::other(e)))
    });
    match pinned {
        Ok(_) => Ok(attachment(interface, ifindex, mode, program.id()?)),
        Err(error) => {
            offloads.restore(interface, ifindex)?;
            Err(error)
        }
    }
}

fn create(program: &mut Program, interface: &str, ifindex: u32, mode: AttachMode) -> Result<FdLink, Error> {
    let xdp = program.xdp()?;
    let (xdp_mode, native) = match mode {
        AttachMode::Native => (XdpMode::Driver, true),
        AttachMode::Generic => (XdpMode::Skb, false),
    };
    let id = match xdp.attach_to_if_index(ifindex, xdp_mode) {
        Ok(id) => id,
        Err(error) => {
            // Somebody may have been faster since we looked.
            refuse_occupied(interface, ifindex)?;
            let refused = io_error(error);
            if native {
                let words = xdp.fd().ok().and_then(|fd| rtlink::refusal(ifindex, fd.as_fd()));
                let reason = words.unwrap_or_else(|| refused.to_string());
                return Err(Error::NoNative { interface: interface.into(), reason });
            }
            return Err(failed(format!("attaching to {interface}"), refused));
        }
    };
    let link = xdp.take_link(id).map_err(|e| failed(format!("attaching to {interface}"), io_error(e)))?;
    // Where the kernel has no links for XDP, aya attaches by netlink and says nothing. That is taken off again here, by
    // being dropped: it would not outlive this process.
    FdLink::try_from(link).map_err(|_| {
        failed(
            format!("attaching to {interface}: this kernel has no bpf_link for XDP (Linux 5.9)"),
            io::ErrorKind::Unsupported.into(),
        )
    })
}

/// Puts the program into a pinned link.
fn replace(pins: &PinDir, program: &mut Program, ifindex: u32) -> Result<(), Error> {
    let pin = pins.link(ifindex);
    let what = || format!("replacing the program of {}", pin.display());
    let other = |e: aya::programs::links::LinkError| failed(what(), io::Error::other(e));
    let link = FdLink::from(PinnedLink::from_pin(&pin).map_err(other)?);
    let link = XdpLink::try_from(link).map_err(other)?;
    let xdp = program.xdp()?;
    let id = xdp.attach_to_link(link).map_err(|e| failed(what(), io_error(e)))?;
    // The pin holds the link; a second hold by the program would only be in the way.
    xdp.take_link(id).map(drop).map_err(|e| failed(what(), io_error(e)))
}

fn detach_index(pins: &PinDir, offloads: &mut Offloads, interface: &str, ifindex: u32) -> Result<(), Error> {
    let pin = pins.link(ifindex);
    let link: OwnedFd = bpf::open_pin(&pin).map_err(|e| failed(format!("opening {}", pin.display()), e))?;
    bpf::detach_link(link.as_fd()).map_err(|e| failed(format!("detaching from {interface}"), e))?;
    pins.unpin_link(ifindex)?;
    offloads.restore(interface, ifindex)
}

/// The mode of the living link that is pinned for an interface, if there is one.
fn living(pins: &PinDir, ifindex: u32) -> Result<Option<AttachMode>, Error> {
    let pin = pins.link(ifindex);
    if !pin.exists() {
        return Ok(None);
    }
    let at_first = pinned(&pin)?;
    if at_first.ifindex == 0 {
        return Ok(None);
    }
    match rtlink::attached(ifindex) {
        Ok(Some(OnInterface { mode, program_id })) if program_id == at_first.program_id => return Ok(mode),
        Err(error) if error.raw_os_error() != Some(libc::ENODEV) => {
            return Err(failed(format!("asking what interface {ifindex} runs"), error));
        }
        Ok(_) | Err(_) => {}
    }
    // The interface may have gone between the two questions. Otherwise the link runs where this process cannot see it,
    // and is not this process's to remove.
    if pinned(&pin)?.ifindex == 0 {
        Ok(None)
    } else {
        Err(Error::Elsewhere { link: pin.display().to_string() })
    }
}

fn pinned(pin: &Path) -> Result<bpf::XdpLinkInfo, Error> {
    bpf::open_pin(pin)
        .and_then(|link| bpf::xdp_link_info(link.as_fd()))
        .map_err(|e| failed(format!("looking at {}", pin.display()), e))
}

/// An interface that carries a program has somebody who put it there.
fn refuse_occupied(interface: &str, ifindex: u32) -> Result<(), Error> {
    let Some(OnInterface { program_id, .. }) =
        rtlink::attached(ifindex).map_err(|e| failed(format!("asking what {interface} runs"), e))?
    else {
        return Ok(());
    };
    let is_it = |info: &ProgramInfo| info.id() == program_id;
    let name = loaded_programs()
        .filter_map(Result::ok)
        .find(is_it)
        .and_then(|info| info.name_as_str().map(ToOwned::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "without a name".into());
    Err(Error::Occupied { interface: interface.into(), name, id: program_id })
}

fn attachment(interface: &str, ifindex: u32, mode: AttachMode, program_id: u32) -> Attachment {
    Attachment { interface: interface.into(), ifindex, mode, program_id }
}

fn failed(what: String, source: io::Error) -> Error {
    Error::Kernel { what, source }
}

fn io_error(error: ProgramError) -> io::Error {
    match error {
        ProgramError::SyscallError(error) => error.io_error,
        ProgramError::IOError(error) => error,
        other => io::Error::other(other),
    }
}
