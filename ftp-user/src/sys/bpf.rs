//! The few bpf(2) commands that aya has no wrapper for. Struct fields as in `union bpf_attr`.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::ptr;

const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const OBJ_GET: libc::c_long = 7;
const OBJ_PIN: libc::c_long = 6;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const MAP_LOOKUP_BATCH: libc::c_long = 24;
const LINK_DETACH: libc::c_long = 34;

/// # Safety
///
/// Addresses in `attribute` must be valid for what `command` does with them.
unsafe fn bpf<T>(command: libc::c_long, attribute: &mut T) -> io::Result<RawFd> {
    let size = size_of::<T>();
    // SAFETY: the kernel reads and writes `size` bytes at most; the caller vouches for the rest.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attribute), size) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}

#[repr(C)]
#[derive(Default)]
struct ObjectAttribute {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Opens a pinned link, map or program.
pub(crate) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attribute = ObjectAttribute { path: path.as_ptr().expose_provenance() as u64, ..Default::default() };
    // SAFETY: the path lives and ends with a zero byte.
    let fd = unsafe { bpf(OBJ_GET, &mut attribute) }?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Pins a link, map or program.
pub(crate) fn pin(fd: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let fd = fd.as_raw_fd().unsigned_abs();
    let mut attribute = ObjectAttribute { path: path.as_ptr().expose_provenance() as u64, fd, flags: 0 };
    // SAFETY: the path lives and ends with a zero byte.
    unsafe { bpf(OBJ_PIN, &mut attribute) }.map(drop)
}

/// The start of `struct bpf_link_info`, with the fields of TCX links.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program_id: u32,
    zero: u32,
    interface: u32,
    attach_type: u32,
}

#[repr(C)]
struct InfoAttribute {
    fd: u32,
    length: u32,
    info: u64,
}

/// Index of the interface that a TCX link is attached to; 0 once the interface is gone.
pub(crate) fn tcx_interface(link: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(link_info(link)?.interface)
}

fn link_info(link: BorrowedFd<'_>) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let mut attribute = InfoAttribute {
        fd: link.as_raw_fd().unsigned_abs(),
        length: size_of::<LinkInfo>() as u32,
        info: ptr::from_mut(&mut info).expose_provenance() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attribute) }?;
    Ok(info)
}

#[repr(C)]
struct LinkAttribute {
    fd: u32,
}

/// Detaches a link at once. Closing and unpinning do it too, but some time after they return.
pub(crate) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut attribute = LinkAttribute { fd: link.as_raw_fd().unsigned_abs() };
    // SAFETY: there are no addresses in it.
    unsafe { bpf(LINK_DETACH, &mut attribute) }.map(drop)
}

const LRU_HASH: u32 = 9;

#[repr(C)]
#[derive(Default)]
struct MapAttribute {
    kind: u32,
    key_size: u32,
    value_size: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

/// Makes a hash map of which the least recently used entries are evicted. A name of more than 15 bytes is cut.
pub(crate) fn create_lru(name: &str, key_size: u32, value_size: u32, entries: u32) -> io::Result<OwnedFd> {
    let mut attribute = MapAttribute { kind: LRU_HASH, key_size, value_size, entries, ..Default::default() };
    for (place, byte) in attribute.name[..15].iter_mut().zip(name.bytes()) {
        *place = byte;
    }
    // SAFETY: there are no addresses in it.
    let fd = unsafe { bpf(MAP_CREATE, &mut attribute) }?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
#[derive(Default)]
struct ElementAttribute {
    map: u32,
    zero: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Fills the one entry of a per-CPU array with zeros, on all CPUs. `value`: zeros, the map's value size
/// rounded up to eight bytes, for each possible CPU.
///
/// # Errors
///
/// `value` is too short, or the kernel's refusal.
pub(crate) fn clear_per_cpu(map: BorrowedFd<'_>, value_size: usize, cpus: usize, value: &[u8]) -> io::Result<()> {
    if value.len() < value_size.next_multiple_of(8) * cpus {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let key = 0u32;
    let mut attribute = ElementAttribute {
        map: map.as_raw_fd().unsigned_abs(),
        key: ptr::from_ref(&key).expose_provenance() as u64,
        value: value.as_ptr().expose_provenance() as u64,
        ..ElementAttribute::default()
    };
    // SAFETY: the key has four bytes, as an array's, and the value as many as the kernel reads.
    unsafe { bpf(MAP_UPDATE, &mut attribute) }.map(drop)
}

#[repr(C)]
struct BatchAttribute {
    from: u64,
    next: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Reads up to `keys.len()` entries of a hash map that follow the position `from` (none: the first
/// ones) into `keys` and `values`, and their number into `count`. Returns the next position.
///
/// # Errors
///
/// `NotFound` when these were the last (`count` is valid), `StorageFull` when `keys` has no room
/// for one bucket.
///
/// # Safety
///
/// `K` and `V` must be of the map's key and value size, and any bytes must be valid for them.
pub(crate) unsafe fn lookup_batch<K, V>(
    map: BorrowedFd<'_>,
    from: Option<u32>,
    keys: &mut [K],
    values: &mut [V],
    count: &mut u32,
) -> io::Result<u32> {
    let (mut start, mut next) = (from.unwrap_or(0), 0u32);
    let room = keys.len().min(values.len());
    let mut attribute = BatchAttribute {
        from: from.map_or(0, |_| ptr::from_mut(&mut start).expose_provenance() as u64),
        next: ptr::from_mut(&mut next).expose_provenance() as u64,
        keys: keys.as_mut_ptr().expose_provenance() as u64,
        values: values.as_mut_ptr().expose_provenance() as u64,
        count: u32::try_from(room).unwrap_or(u32::MAX),
        map: map.as_raw_fd().unsigned_abs(),
        element_flags: 0,
        flags: 0,
    };
    // SAFETY: both slices have room for `count` entries of the sizes that the caller vouches for.
    let result = unsafe { bpf(MAP_LOOKUP_BATCH, &mut attribute) };
    *count = attribute.count;
    result.map(|_| next)
}

/// `r0 = 0; exit` (linux/bpf.h: `BPF_ALU64 | BPF_MOV | BPF_K`, `BPF_JMP | BPF_EXIT`).
const NOTHING: [[u8; 8]; 2] = [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]];
const SOCKET_FILTER: u32 = 1;

#[repr(C)]
struct LoadAttribute {
    kind: u32,
    instructions: u32,
    program: u64,
    license: u64,
}

/// Loads a program that does nothing, which goes when the descriptor is closed.
pub(crate) fn load_nothing() -> io::Result<OwnedFd> {
    let mut attribute = LoadAttribute {
        kind: SOCKET_FILTER,
        instructions: NOTHING.len() as u32,
        program: NOTHING.as_ptr().expose_provenance() as u64,
        license: c"GPL".as_ptr().expose_provenance() as u64,
    };
    // SAFETY: both addresses are of constants: as many instructions as it says, and a text that ends with a zero byte.
    let fd = unsafe { bpf(PROG_LOAD, &mut attribute) }?;
    // SAFETY: the kernel has just given us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The start of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    machine_code_length: u32,
}

/// ID of a program, and the length of its machine code: 0 where the kernel interprets it.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let mut info = ProgramInfo::default();
    let mut attribute = InfoAttribute {
        fd: program.as_raw_fd().unsigned_abs(),
        length: size_of::<ProgramInfo>() as u32,
        info: ptr::from_mut(&mut info).expose_provenance() as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes to `info`.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attribute) }?;
    Ok((info.id, info.machine_code_length))
}

/// ID of the program that a TCX link runs.
pub(crate) fn tcx_program(link: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(link_info(link)?.program_id)
}
