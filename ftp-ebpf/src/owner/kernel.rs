//! What is read of the kernel's own structures: where it lies is set by the loader, from BTF.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::generated::bpf_get_current_task;

/// `task_struct.tgid`.
#[unsafe(no_mangle)]
static TGID: Global<u32> = Global::new(0);
/// `task_struct.signal`.
#[unsafe(no_mangle)]
static SIGNAL: Global<u32> = Global::new(0);
/// `signal_struct.live`.
#[unsafe(no_mangle)]
static LIVE: Global<u32> = Global::new(0);
/// `sock.sk_lock.owned`: whether a process works on the socket, and not a packet that came in.
#[unsafe(no_mangle)]
static OWNED: Global<u32> = Global::new(0);
/// `sock.__sk_common.skc_net.net`.
#[unsafe(no_mangle)]
static NET: Global<u32> = Global::new(0);

/// The id of the current process. Helpers for it came to socket programs with 6.10.
#[inline(always)]
pub(super) fn current_process() -> u32 {
    process(current_task())
}

/// The id of a task's process; 0 if it can't be read.
#[inline(always)]
pub(super) fn process(task: u64) -> u32 {
    read::<u32>(task, &TGID).unwrap_or(0)
}

/// Whether the current task is the last thread of its process, and ends (`do_exit` counts it out before it says so).
#[inline(always)]
pub(super) fn is_last_thread() -> bool {
    read::<u64>(current_task(), &SIGNAL).and_then(|signal| read::<u32>(signal, &LIVE)) == Some(0)
}

/// Whether the current process works on a socket.
#[inline(always)]
pub(super) fn is_owned(socket: u64) -> bool {
    read::<u32>(socket, &OWNED).is_some_and(|owned| owned != 0)
}

/// The network namespace of a socket, by its address in the kernel; 0 if it can't be read.
#[inline(always)]
pub(super) fn namespace(socket: u64) -> u64 {
    read::<u64>(socket, &NET).unwrap_or(0)
}

#[inline(always)]
fn current_task() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_task() }
}

#[inline(always)]
fn read<T>(structure: u64, offset: &Global<u32>) -> Option<T> {
    // SAFETY: reading fails where there is nothing.
    unsafe { bpf_probe_read_kernel((structure + u64::from(offset.load())) as *const T) }.ok()
}
