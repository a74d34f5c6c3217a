//! What is read of the kernel's own structures: where it lies is set by the loader, from BTF.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_get_current_task;

/// `task_struct.tgid`.
#[unsafe(no_mangle)]
static TGID: Global<u32> = Global::new(0);
/// `sock.sk_lock.owned`: whether a process works on the socket, and not a packet that came in.
#[unsafe(no_mangle)]
static OWNED: Global<u32> = Global::new(0);
/// `sock.__sk_common.skc_net.net`.
#[unsafe(no_mangle)]
static NAMESPACE: Global<u32> = Global::new(0);

/// The id of the current process. Helpers for it came to socket programs with 6.10.
#[inline(always)]
pub(super) fn current_process() -> u32 {
    // SAFETY: a helper without arguments.
    let task = unsafe { bpf_get_current_task() };
    process(task)
}

/// The id of a task's process; 0 if it can't be read.
#[inline(always)]
pub(super) fn process(task: u64) -> u32 {
    // SAFETY: reading fails where there is nothing.
    unsafe { bpf_probe_read_kernel((task + u64::from(TGID.load())) as *const u32) }.unwrap_or(0)
}

/// Whether the current process works on a socket.
#[inline(always)]
pub(super) fn is_owned(socket: u64) -> bool {
    // SAFETY: as above.
    let owned = unsafe { bpf_probe_read_kernel((socket + u64::from(OWNED.load())) as *const u32) };
    owned.is_ok_and(|owned| owned != 0)
}

/// The network namespace of a socket, by its address in the kernel; 0 if it can't be read.
#[inline(always)]
pub(super) fn namespace(socket: u64) -> u64 {
    // SAFETY: as above.
    unsafe { bpf_probe_read_kernel((socket + u64::from(NAMESPACE.load())) as *const u64) }.unwrap_or(0)
}
