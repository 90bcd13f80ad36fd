//! The XDP buffer as the packet logic's frame.

use core::ffi::c_void;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::{bpf_loop, bpf_xdp_adjust_head, bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use lb_common::Reason;
use lb_common::checksum;
use lb_common::cursor::Cursor;
use lb_common::frame::Frame;

/// The frame of an XDP program.
pub struct XdpFrame {
    ctx: *mut xdp_md,
}

impl XdpFrame {
    /// The frame that the program was called with.
    #[inline(always)]
    pub fn new(ctx: &XdpContext) -> Self {
        Self { ctx: ctx.ctx }
    }
}

impl Frame for XdpFrame {
    #[inline(always)]
    fn cursor(&mut self) -> Cursor<'_> {
        let (start, end) = bounds(self.ctx);
        // SAFETY: the context says that the packet is there, and nobody else writes it while the program runs. The
        // borrow of `self` keeps anything from moving the packet while the cursor lives.
        unsafe { Cursor::new(start, end) }
    }

    #[inline(always)]
    fn bytes(&self) -> u32 {
        // A subtraction of the pointers would need CAP_PERFMON, and would leave out fragments of the buffer.
        // SAFETY: the context is the program's own.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }

    #[inline(always)]
    fn move_start(&mut self, bytes: i32) -> Result<(), Reason> {
        // SAFETY: the context is the program's own.
        let failed = unsafe { bpf_xdp_adjust_head(self.ctx, bytes) };
        if failed == 0 { Ok(()) } else { Err(Reason::NoHeadroom) }
    }

    #[inline(always)]
    fn cut_end(&mut self, bytes: u32) -> Result<(), Reason> {
        // SAFETY: the context is the program's own.
        let failed = unsafe { bpf_xdp_adjust_tail(self.ctx, -bytes.cast_signed()) };
        if failed == 0 { Ok(()) } else { Err(Reason::NoHeadroom) }
    }

    #[inline(always)]
    fn sum(&mut self, offset: u32) -> Result<u16, Reason> {
        let bytes = self.bytes();
        let last = bytes.wrapping_sub(1);
        if last > MAX_SUM_OFFSET {
            return Err(Reason::TooBig);
        }
        // A buffer in fragments is not all within reach of a cursor.
        let mut end = self.cursor();
        end.advance(last & MAX_SUM_OFFSET);
        end.peek::<u8>().map_err(|_| Reason::TooBig)?;
        let mut sum = Sum { ctx: self.ctx, offset, total: 0 };
        // SAFETY: the callback has the signature that the helper wants, and `sum` outlives the call.
        unsafe {
            bpf_loop(bytes / STEP_BYTES + 1, add as *mut c_void, (&raw mut sum).cast(), 0);
        }
        Ok(checksum::fold_words(sum.total))
    }
}

/// Where the packet starts and ends. Both fields of the context are read by hand: the compiler may otherwise merge
/// them, or compare them as the 32-bit numbers that they are declared as, and the verifier takes neither.
#[inline(always)]
fn bounds(ctx: *mut xdp_md) -> (*mut u8, *mut u8) {
    let start: *mut u8;
    let end: *mut u8;
    // SAFETY: `data` and `data_end` are the first two 32-bit fields of the context, which the verifier turns into
    // packet pointers.
    unsafe {
        core::arch::asm!(
            "{start} = *(u32 *)({ctx} + 0)",
            "{end} = *(u32 *)({ctx} + 4)",
            ctx = in(reg) ctx,
            start = out(reg) start,
            end = lateout(reg) end,
        );
    }
    (start, end)
}

/// What one step of a sum reads.
const STEP_BYTES: u32 = 32;

/// How far into a packet a sum reaches: the verifier follows a packet pointer for 64 KiB, all told.
const MAX_SUM_OFFSET: u32 = 0x7fff;

/// A sum that grows.
struct Sum {
    ctx: *mut xdp_md,
    offset: u32,
    total: u64,
}

/// One step of a sum; returns 1 when it was the last.
///
/// Where it reads follows from the number of the step: the verifier does not know that and looks at one step only. It
/// would walk through all of them if the steps counted an offset up.
extern "C" fn add(step: u64, sum: &mut Sum) -> i64 {
    let (start, end) = bounds(sum.ctx);
    // SAFETY: as in `XdpFrame::cursor`: the context says so, and the loop's caller holds the frame meanwhile.
    let mut cursor = unsafe { Cursor::new(start, end) };
    let offset = sum.offset + step as u32 * STEP_BYTES;
    if offset > MAX_SUM_OFFSET {
        return 1;
    }
    cursor.advance(offset & MAX_SUM_OFFSET);
    if let Ok(words) = cursor.read::<[u32; 8]>() {
        let [a, b, c, d, e, f, g, h] = words.map(u64::from);
        sum.total += a + b + c + d + e + f + g + h;
        return 0;
    }
    let mut total = 0;
    if let Ok([a, b, c, d]) = cursor.read::<[u32; 4]>() {
        total += u64::from(a) + u64::from(b) + u64::from(c) + u64::from(d);
    }
    if let Ok([a, b]) = cursor.read::<[u32; 2]>() {
        total += u64::from(a) + u64::from(b);
    }
    if let Ok(word) = cursor.read::<u32>() {
        total += u64::from(word);
    }
    if let Ok(half) = cursor.read::<u16>() {
        total += u64::from(half);
    }
    if let Ok(byte) = cursor.read::<u8>() {
        total += u64::from(u16::from_ne_bytes([byte, 0]));
    }
    sum.total += total;
    1
}
