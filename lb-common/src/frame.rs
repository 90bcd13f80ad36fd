//! What the packet logic needs from the frame it works on: the kernel's XDP buffer, or a `Vec` on the host.

use crate::Reason;
use crate::cursor::Cursor;

/// A frame, Ethernet header first, with room in front of it.
pub trait Frame {
    /// A cursor at the start of the frame. Every cursor handed out before is dead once the frame changes its shape.
    fn cursor(&mut self) -> Cursor<'_>;

    /// The length of the whole frame, in bytes. It may be more than a cursor can reach.
    fn bytes(&self) -> u32;

    /// Moves the start: by a positive number of bytes takes them off, by a negative one opens room in front.
    /// [`Reason::NoHeadroom`] when there is none.
    fn move_start(&mut self, bytes: i32) -> Result<(), Reason>;

    /// Takes bytes off the end.
    fn cut_end(&mut self, bytes: u32) -> Result<(), Reason>;

    /// The one's-complement sum of everything from `offset` to the end, as 16-bit words as the CPU loads them, folded
    /// to 16 bits; an odd last byte counts as if a zero followed. Slow: it reads the payload.
    fn sum(&mut self, offset: u32) -> Result<u16, Reason>;
}
