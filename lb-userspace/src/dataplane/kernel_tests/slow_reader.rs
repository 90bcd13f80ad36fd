//! A BPF program that reads an entry as the balancer does but takes its time: it compares two words that must be the same,
//! a hundred thousand instructions apart. The balancer itself is too fast to be caught in between.
//!
//! Of a backend entry, selector first, it reads the live copy's first word and its last. Of a service, the first word
//! twice: the entry that a packet found stays as it is.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::path::Path;

use aya_obj::generated::{bpf_cmd, bpf_insn, bpf_prog_type};
use lb_common::abi::{Backend, BackendId, Egress, ServiceKey4};

use crate::dataplane::bpf::{address, bpf, descriptor, open_pin, zeroed_attr};

/// The program.
pub struct SlowReader(OwnedFd);

impl SlowReader {
    /// Reads that one run makes.
    pub const READS: u32 = 4;

    /// Loads one that reads a backend entry of the map pinned at `backends`.
    pub fn of_backend(backends: &Path, id: BackendId) -> Self {
        let last = i16::try_from(std::mem::offset_of!(Egress, checksum)).unwrap();
        Self::load(backends, &[id.get()], live_copy(), last)
    }

    /// Loads one that reads a service of the map pinned at `services`.
    pub fn of_service(services: &Path, key: ServiceKey4) -> Self {
        let [a, b] = key.port.raw().to_ne_bytes();
        let rest = u32::from_ne_bytes([a, b, key.protocol, key.kind]);
        Self::load(services, &[key.address.raw(), rest], Vec::new(), 0)
    }

    fn load(map: &Path, key: &[u32], select: Vec<bpf_insn>, last: i16) -> Self {
        let map = open_pin(map).unwrap();
        let program = assemble(descriptor(map.as_fd()).cast_signed(), key, select, last);
        let mut attr = zeroed_attr();
        attr.__bindgen_anon_3.prog_type = bpf_prog_type::BPF_PROG_TYPE_XDP as u32;
        attr.__bindgen_anon_3.insns = address(program.as_ptr());
        attr.__bindgen_anon_3.insn_cnt = u32::try_from(program.len()).unwrap();
        attr.__bindgen_anon_3.license = address(c"GPL".as_ptr());
        // SAFETY: the instructions and the license outlive the call, which only reads them.
        let fd = unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &mut attr) }.unwrap();
        // SAFETY: the call returned a new descriptor that nobody else owns.
        Self(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Runs it once: how many of [`SlowReader::READS`] reads found two different words.
    pub fn torn(&self) -> u32 {
        let frame = [0u8; 64];
        let mut attr = zeroed_attr();
        attr.test.prog_fd = descriptor(self.0.as_fd());
        attr.test.data_in = address(frame.as_ptr());
        attr.test.data_size_in = u32::try_from(frame.len()).unwrap();
        attr.test.repeat = 1;
        // SAFETY: the frame outlives the call, which only reads it; no output buffer is named.
        unsafe { bpf(bpf_cmd::BPF_PROG_TEST_RUN, &mut attr) }.unwrap();
        // SAFETY: `test` is the member that was written above and that the kernel wrote back.
        unsafe { attr.test.retval }
    }
}

/// Times around the loop between the two reads: some twenty microseconds, in which two writes fit.
const DAWDLE: i32 = 60_000;

/// From the entry in r0 to its live copy, by way of r8.
fn live_copy() -> Vec<bpf_insn> {
    let copies = i32::try_from(std::mem::offset_of!(Backend, copies)).unwrap();
    let copy = i32::try_from(size_of::<Egress>()).unwrap();
    vec![
        insn(LOAD_WORD, 8, 0, 0, 0),
        insn(AND, 8, 0, 0, 1),
        insn(MULTIPLY, 8, 0, 0, copy),
        insn(ADD, 8, 0, 0, copies),
        insn(ADD_REGISTER, 0, 8, 0, 0),
    ]
}

/// Looks `key` up, moves r0 as `select` says, and compares its first word with the one at `last`.
///
/// Registers: r6 reads left, r7 torn, r8 first word, r9 dawdling.
fn assemble(map: i32, key: &[u32], select: Vec<bpf_insn>, last: i16) -> Vec<bpf_insn> {
    let key_bytes = i16::try_from(4 * key.len()).unwrap();
    let mut round: Vec<bpf_insn> = (0_i16..)
        .zip(key)
        .map(|(word, value)| insn(STORE_WORD, 10, 0, 4 * word - key_bytes, value.cast_signed()))
        .collect();
    round.extend([
        insn(LOAD_WIDE, 1, PSEUDO_MAP_FD, 0, map),
        insn(0, 0, 0, 0, 0),
        insn(MOV_REGISTER, 2, 10, 0, 0),
        insn(ADD, 2, 0, 0, -i32::from(key_bytes)),
        insn(CALL, 0, 0, 0, MAP_LOOKUP),
    ]);
    let mut compare = select;
    compare.extend([
        insn(LOAD_WORD, 8, 0, 0, 0),
        // A while.
        insn(MOV, 9, 0, 0, DAWDLE),
        insn(ADD, 9, 0, 0, -1),
        insn(JUMP_IF_NOT_EQUAL, 9, 0, -2, 0),
        insn(LOAD_WORD, 1, 0, last, 0),
        insn(JUMP_IF_SAME, 1, 8, 1, 0),
        insn(ADD, 7, 0, 0, 1),
    ]);
    // What is not there cannot be torn.
    round.push(insn(JUMP_IF_EQUAL, 0, 0, i16::try_from(compare.len()).unwrap(), 0));
    round.extend(compare);
    round.push(insn(ADD, 6, 0, 0, -1));
    let back = -i16::try_from(round.len() + 1).unwrap();
    round.push(insn(JUMP_IF_NOT_EQUAL, 6, 0, back, 0));

    let mut program = vec![insn(MOV, 7, 0, 0, 0), insn(MOV, 6, 0, 0, SlowReader::READS.cast_signed())];
    program.extend(round);
    program.extend([insn(MOV_REGISTER, 0, 7, 0, 0), insn(EXIT, 0, 0, 0, 0)]);
    program
}

// Documentation/bpf/standardization/instruction-set.rst
const MOV: u8 = 0xb7;
const MOV_REGISTER: u8 = 0xbf;
const ADD: u8 = 0x07;
const ADD_REGISTER: u8 = 0x0f;
const AND: u8 = 0x57;
const MULTIPLY: u8 = 0x27;
const STORE_WORD: u8 = 0x62;
const LOAD_WORD: u8 = 0x61;
const LOAD_WIDE: u8 = 0x18;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_IF_NOT_EQUAL: u8 = 0x55;
const JUMP_IF_SAME: u8 = 0x1d;
const PSEUDO_MAP_FD: u8 = 1;
const MAP_LOOKUP: i32 = 1;

fn insn(code: u8, destination: u8, source: u8, off: i16, imm: i32) -> bpf_insn {
    bpf_insn {
        code,
        _bitfield_align_1: [],
        _bitfield_1: bpf_insn::new_bitfield_1(destination, source),
        off,
        imm,
    }
}
