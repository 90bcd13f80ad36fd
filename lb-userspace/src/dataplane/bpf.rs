//! The few calls of bpf(2) that aya has no door for: batches, detaching a link at once, and an outer map made by hand.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya::Pod;
use aya::maps::MapData;
use aya_obj::generated::{bpf_attr, bpf_cmd, bpf_link_info, bpf_link_type, bpf_map_type};

use super::maps::fd_of;

/// Calls `each` with every key and value of a map. For a per-CPU map `V` is one CPU's value and `each` is called once
/// per CPU with the same key.
///
/// One call of `BPF_MAP_LOOKUP_BATCH` brings up to [`CHUNK_BYTES`] of values: 8,192 entries one by one would be 8,192
/// system calls.
pub fn each_entry<K: Pod, V: Pod>(map: &MapData, mut each: impl FnMut(K, V)) -> io::Result<()> {
    let info = map.info().map_err(super::maps::io_error)?;
    let shape = Shape::of(&info)?;
    if size_of::<K>() != shape.key || shape.value_stride < size_of::<V>() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the map's entries have another size"));
    }
    each_raw(fd_of(map), shape, |key, values| {
        for value in values.chunks_exact(shape.value_stride) {
            each(pod(key), pod(value));
        }
    })
}

/// The bytes of every value of a map whose value size is known to the kernel only.
pub fn each_value_bytes(map: &MapData, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let info = map.info().map_err(super::maps::io_error)?;
    each_raw(fd_of(map), Shape::of(&info)?, |_, value| each(value))
}

/// A value of `T` from the front of `bytes`, which is at least as long.
pub fn pod<T: Pod>(bytes: &[u8]) -> T {
    assert!(bytes.len() >= size_of::<T>(), "the kernel wrote whole values");
    // SAFETY: the length was just checked, the read is unaligned, and every bit pattern is a value of a `Pod` type.
    unsafe { bytes.as_ptr().cast::<T>().read_unaligned() }
}

/// Every value of `T` in `bytes`, in order; what is left over at the end is not one.
pub fn pods<T: Pod>(bytes: &[u8]) -> Vec<T> {
    let count = bytes.len() / size_of::<T>();
    let mut values = Vec::<T>::with_capacity(count);
    // SAFETY: the vector has room for `count` values, `bytes` holds as many, the two do not overlap, and every bit pattern
    // is a value of a `Pod` type: after the copy all `count` are initialised.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            values.as_mut_ptr().cast::<u8>(),
            count * size_of::<T>(),
        );
        values.set_len(count);
    }
    values
}

/// How far a batch got before it failed.
#[derive(Debug)]
pub struct BatchFailure {
    /// This many entries, from the front, were written.
    pub written: usize,
    /// Why the next one was not.
    pub error: io::Error,
}

/// Writes several entries of a map of maps in one `BPF_MAP_UPDATE_BATCH`.
///
/// Needs Linux 5.19 for a map of maps; older kernels answer `ENOTSUPP` with nothing written.
pub fn set_inner_batch(map: &MapData, indices: &[u32], inner: &[RawFd]) -> Result<(), BatchFailure> {
    assert_eq!(indices.len(), inner.len(), "one map per index");
    let mut attr = zeroed_attr();
    attr.batch.keys = address(indices.as_ptr());
    attr.batch.values = address(inner.as_ptr());
    attr.batch.count = u32::try_from(indices.len()).unwrap_or(u32::MAX);
    attr.batch.map_fd = descriptor(fd_of(map));
    // SAFETY: `keys` and `values` name `count` elements each of the map's key and value size (4 bytes for a map of
    // maps), both borrowed for the whole call; the kernel only reads them and writes `count`.
    let result = unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr) };
    // SAFETY: `batch` is the member that was written above and that the kernel wrote back.
    let written = unsafe { attr.batch.count } as usize;
    result.map(drop).map_err(|error| {
        // Refused before the first entry, the kernel does not write the count; later, it counts what it wrote.
        BatchFailure { written: if written >= indices.len() { 0 } else { written }, error }
    })
}

/// Writes one entry of a map of maps. Returns after an RCU grace period.
pub fn set_inner(map: &MapData, index: u32, inner: BorrowedFd<'_>) -> io::Result<()> {
    set(map, index, &inner.as_raw_fd())
}

/// Writes one entry of an array from where the value lies: a table is too big to be moved over the stack.
pub fn set<V: Pod>(map: &MapData, index: u32, value: &V) -> io::Result<()> {
    let info = map.info().map_err(super::maps::io_error)?;
    if (info.key_size() as usize, info.value_size() as usize) != (size_of::<u32>(), size_of::<V>()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the map's entries have another size"));
    }
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = descriptor(fd_of(map));
    attr.__bindgen_anon_2.key = address(&raw const index);
    attr.__bindgen_anon_2.__bindgen_anon_1.value = address(std::ptr::from_ref(value));
    // SAFETY: `key` and `value` have the sizes that the kernel gave for this map, outlive the call and are only read.
    unsafe { bpf(bpf_cmd::BPF_MAP_UPDATE_ELEM, &mut attr) }.map(drop)
}

/// Takes out one entry of a map of maps; one that is empty is no error.
pub fn clear_inner(map: &MapData, index: u32) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_2.map_fd = descriptor(fd_of(map));
    attr.__bindgen_anon_2.key = address(&raw const index);
    // SAFETY: `key` names 4 bytes, which is what a map of maps has; it outlives the call and is only read.
    match unsafe { bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) } {
        Err(error) if error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The kernel's own "operation is not supported", which is not `EOPNOTSUPP` and which libc does not name.
pub const ENOTSUPP: i32 = 524;

/// An `ARRAY_OF_MAPS` of one entry whose inner maps look like `inner`.
pub fn create_outer(inner: &MapData) -> io::Result<OwnedFd> {
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_1.map_type = bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS as u32;
    attr.__bindgen_anon_1.key_size = 4;
    attr.__bindgen_anon_1.value_size = 4;
    attr.__bindgen_anon_1.max_entries = 1;
    attr.__bindgen_anon_1.inner_map_fd = descriptor(fd_of(inner));
    // SAFETY: `BPF_MAP_CREATE` reads the attribute alone, which holds no pointer.
    let fd = unsafe { bpf(bpf_cmd::BPF_MAP_CREATE, &mut attr) }?;
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A descriptor of what is pinned at `path`.
pub fn open_pin(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = zeroed_attr();
    attr.__bindgen_anon_4.pathname = address(path.as_ptr());
    // SAFETY: `pathname` is a terminated string that outlives the call; the kernel only reads it.
    let fd = unsafe { bpf(bpf_cmd::BPF_OBJ_GET, &mut attr) }?;
    // SAFETY: the call returned a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes a link off its interface now. Removing its pin alone does so too, but some time later, from a work queue.
pub fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attr = zeroed_attr();
    attr.link_detach.link_fd = descriptor(link);
    // SAFETY: `BPF_LINK_DETACH` reads the attribute alone, which holds no pointer.
    unsafe { bpf(bpf_cmd::BPF_LINK_DETACH, &mut attr) }.map(drop)
}

/// What the kernel says of an XDP link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XdpLinkInfo {
    /// The program it runs.
    pub program_id: u32,
    /// Where, in whatever network namespace that is; 0 when the interface is gone.
    pub ifindex: u32,
}

/// Asks about an XDP link. aya's answer leaves out the interface.
pub fn xdp_link_info(link: BorrowedFd<'_>) -> io::Result<XdpLinkInfo> {
    // SAFETY: every member is made of integers, for which zero is a value.
    let mut info: bpf_link_info = unsafe { std::mem::zeroed() };
    let mut attr = zeroed_attr();
    attr.info.bpf_fd = descriptor(link);
    attr.info.info_len = u32::try_from(size_of_val(&info)).unwrap_or_default();
    attr.info.info = address(&raw mut info);
    // SAFETY: `info` has room for `info_len` bytes and is not touched until the call returns.
    unsafe { bpf(bpf_cmd::BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    if info.type_ != bpf_link_type::BPF_LINK_TYPE_XDP as u32 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the link is none of XDP"));
    }
    // SAFETY: the type was just checked, and `xdp` is the member that the kernel writes for it.
    let ifindex = unsafe { info.__bindgen_anon_1.xdp.ifindex };
    Ok(XdpLinkInfo { program_id: info.prog_id, ifindex })
}

/// Most bytes of values that one batch brings.
const CHUNK_BYTES: usize = 1 << 20;

/// Sizes of one entry as a batch lays them out.
#[derive(Clone, Copy)]
struct Shape {
    key: usize,
    /// All of an entry's value: every CPU's, for a per-CPU map.
    value: usize,
    /// One CPU's value.
    value_stride: usize,
    /// Most entries that there can be.
    entries: usize,
}

impl Shape {
    fn of(info: &aya::maps::MapInfo) -> io::Result<Self> {
        use aya::maps::MapType::{PerCpuArray, PerCpuHash};
        let (key, value) = (info.key_size() as usize, info.value_size() as usize);
        let entries = info.max_entries() as usize;
        let kind = info.map_type().map_err(super::maps::io_error)?;
        if matches!(kind, PerCpuArray | PerCpuHash) {
            let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
            let stride = value.next_multiple_of(8);
            return Ok(Self { key, value: stride * cpus, value_stride: stride, entries });
        }
        Ok(Self { key, value, value_stride: value, entries })
    }
}

fn each_raw(map: BorrowedFd<'_>, shape: Shape, mut each: impl FnMut(&[u8], &[u8])) -> io::Result<()> {
    let mut capacity = (CHUNK_BYTES / shape.value).clamp(1, shape.entries.max(1));
    let mut seen = 0;
    // Where the next batch goes on: a key for arrays and tries, a bucket number for hashes.
    let mut position = vec![0u8; shape.key.max(8)];
    let mut next = position.clone();
    let mut started = false;
    loop {
        let mut keys = vec![0u8; shape.key * capacity];
        let mut values = vec![0u8; shape.value * capacity];
        let mut attr = zeroed_attr();
        attr.batch.in_batch = if started { address(position.as_ptr()) } else { 0 };
        attr.batch.out_batch = address(next.as_mut_ptr());
        attr.batch.keys = address(keys.as_mut_ptr());
        attr.batch.values = address(values.as_mut_ptr());
        attr.batch.count = u32::try_from(capacity).unwrap_or(u32::MAX);
        attr.batch.map_fd = descriptor(map);
        // SAFETY: `keys` and `values` have room for `count` entries of the sizes that the kernel itself gave for this
        // map, `in_batch` and `out_batch` for a key or a bucket number; all live, and are not touched, until the call
        // returns.
        let result = unsafe { bpf(bpf_cmd::BPF_MAP_LOOKUP_BATCH, &mut attr) };
        // SAFETY: `batch` is the member that was written above and that the kernel wrote back.
        let count = (unsafe { attr.batch.count } as usize).min(capacity);
        let last = match result {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            // One bucket of a hash holds more than a whole batch.
            Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                capacity *= 2;
                continue;
            }
            Err(error) => return Err(error),
        };
        for (key, value) in keys.chunks_exact(shape.key).zip(values.chunks_exact(shape.value)).take(count) {
            each(key, value);
        }
        seen += count;
        if last || seen >= shape.entries {
            return Ok(());
        }
        std::mem::swap(&mut position, &mut next);
        started = true;
    }
}

pub(super) fn zeroed_attr() -> bpf_attr {
    // SAFETY: every member of the union is made of integers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

pub(super) fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

pub(super) fn descriptor(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// # Safety
///
/// Every pointer in the member of `attr` that `command` uses must be valid for what the kernel does with it.
pub(super) unsafe fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> io::Result<RawFd> {
    // SAFETY: `attr` is a whole attribute, zero wherever it was not written; its pointers are the caller's promise.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, std::ptr::from_mut(attr), size_of::<bpf_attr>())
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(RawFd::try_from(result).unwrap_or(RawFd::MAX))
    }
}
