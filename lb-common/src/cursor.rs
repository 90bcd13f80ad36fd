//! Reading and writing headers, bounds-checked in the way the kernel's verifier can follow.
//!
//! A slice would be the obvious thing, but the verifier proves an access only from a comparison of a packet pointer
//! with the end of the packet, and forgets it as soon as the compiler recomputes the pointer. So the cursor keeps two
//! raw pointers, compares before each access, and hides a pointer that moved by a variable from the optimiser. The
//! host runs the same code over a `Vec`. This is the only `unsafe` in the crate.

use core::marker::PhantomData;

use crate::Reason;
use crate::header::{Ethernet, Extension, Gue, Hop4, Hop6, Ipv4, Ipv6, Ports, TagRest, Tcp, Udp};

/// A header that can be read from and written to a packet as it stands in memory.
///
/// # Safety
///
/// The type is `repr(C)` over integers, has no padding, and every bit pattern is a value of it.
pub unsafe trait Wire: Copy {}

macro_rules! wire {
    ($($name:ty: $size:literal),* $(,)?) => {
        $(
            // SAFETY: `repr(C)` over integers; the size, asserted here, leaves no room for padding.
            unsafe impl Wire for $name {}
            const _: () = assert!(size_of::<$name>() == $size);
        )*
    };
}

wire!(
    Ethernet: 14, TagRest: 4, Ipv4: 20, Ipv6: 40, Extension: 8, Tcp: 20, Udp: 8, Ports: 4, Gue: 4, Hop4: 4, Hop6: 4,
    [u32; 8]: 32, [u32; 4]: 16, [u32; 3]: 12, [u32; 2]: 8, u32: 4, u16: 2, u8: 1,
);

/// A position in a packet, and the packet's end.
///
/// `'a` is the borrow of the frame: a frame that is moved, grown or cut hands out a new cursor.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    position: *mut u8,
    end: *mut u8,
    frame: PhantomData<&'a mut [u8]>,
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    #[inline(always)]
    pub fn over(bytes: &'a mut [u8]) -> Self {
        let range = bytes.as_mut_ptr_range();
        Self { position: range.start, end: range.end, frame: PhantomData }
    }

    /// A cursor at `start`.
    ///
    /// # Safety
    ///
    /// `start..end` is memory that may be read and written for as long as `'a`, by nobody else meanwhile.
    #[inline(always)]
    pub unsafe fn new(start: *mut u8, end: *mut u8) -> Self {
        Self { position: start, end, frame: PhantomData }
    }

    /// Reads a header and moves behind it.
    #[inline(always)]
    pub fn read<H: Wire>(&mut self) -> Result<H, Reason> {
        let header = self.peek()?;
        self.position = self.position.wrapping_add(size_of::<H>());
        Ok(header)
    }

    /// Reads a header and stays in front of it.
    #[inline(always)]
    pub fn peek<H: Wire>(&self) -> Result<H, Reason> {
        if !self.has(size_of::<H>()) {
            return Err(Reason::Truncated);
        }
        // SAFETY: `position..position + size_of::<H>()` ends at or before `end`, so it is inside the packet; any
        // bytes are an `H`.
        Ok(unsafe { load(self.position.cast()) })
    }

    /// Writes a header and moves behind it. The frame was given room for it before: that it does not fit is
    /// [`Reason::NoHeadroom`].
    #[inline(always)]
    pub fn write<H: Wire>(&mut self, header: H) -> Result<(), Reason> {
        if !self.has(size_of::<H>()) {
            return Err(Reason::NoHeadroom);
        }
        // SAFETY: `position..position + size_of::<H>()` ends at or before `end`, so it is inside the packet, which
        // this cursor borrows for writing; an `H` has no padding that would leave bytes undefined.
        unsafe { store(self.position.cast(), header) };
        self.position = self.position.wrapping_add(size_of::<H>());
        Ok(())
    }

    /// Moves forward by a constant number of bytes. Where it lands is checked by the next access.
    #[inline(always)]
    pub fn skip(&mut self, bytes: u32) {
        self.position = self.position.wrapping_add(bytes as usize);
    }

    /// Moves forward by some bytes that the packet itself named. Where it lands is checked by the next access.
    #[inline(always)]
    pub fn advance(&mut self, bytes: u32) {
        self.position = add(self.position, bytes);
    }

    #[inline(always)]
    fn has(&self, bytes: usize) -> bool {
        self.position.wrapping_add(bytes) <= self.end
    }
}

/// `pointer + bytes`, added where the optimiser cannot see it, so that the pointer that was compared with the end is the
/// one that is used.
#[inline(always)]
fn add(pointer: *mut u8, bytes: u32) -> *mut u8 {
    #[cfg(target_arch = "bpf")]
    {
        let mut pointer = pointer;
        // The addition itself is the assembly: the kernel takes no line info for an assembly without instructions.
        // SAFETY: it touches no memory and adds what it says.
        unsafe {
            core::arch::asm!(
                "{pointer} += {bytes}",
                pointer = inout(reg) pointer,
                bytes = in(reg) u64::from(bytes),
                options(pure, nomem),
            );
        }
        pointer
    }
    #[cfg(not(target_arch = "bpf"))]
    pointer.wrapping_add(bytes as usize)
}

/// # Safety
///
/// `pointer` is valid for reading an `H`. It need not be aligned: on BPF the kernel runs only where the CPU loads
/// unaligned words (the verifier refuses the program elsewhere), and byte loads would cost three times as much.
#[inline(always)]
unsafe fn load<H: Wire>(pointer: *const H) -> H {
    #[cfg(target_arch = "bpf")]
    // SAFETY: valid for reading, says the caller; alignment is the verifier's concern, as written above.
    return unsafe { pointer.read() };
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: valid for reading, says the caller.
    return unsafe { pointer.read_unaligned() };
}

/// # Safety
///
/// `pointer` is valid for writing an `H`; for its alignment see [`load`].
#[inline(always)]
unsafe fn store<H: Wire>(pointer: *mut H, header: H) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: valid for writing, says the caller; alignment is the verifier's concern, as in `load`.
    unsafe {
        pointer.write(header);
    }
    #[cfg(not(target_arch = "bpf"))]
    // SAFETY: valid for writing, says the caller.
    unsafe {
        pointer.write_unaligned(header);
    }
}
