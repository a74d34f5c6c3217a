//! Processes: a master's child begins a root, and its descendants belong to it.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::RawTracePointContext;
use ftp_common::owner::{Process, root};

use super::kernel;
use crate::clock::now;

/// BPF_F_NO_PREALLOC: only masters and their descendants.
#[map]
static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(65_536, 1);

/// A thread, and no process of its own (`clone(2)`).
const CLONE_THREAD: u64 = 0x10000;

/// What is known of a process.
#[inline(always)]
pub(super) fn get(process: u32) -> Process {
    // SAFETY: copied at once.
    unsafe { PROCESSES.get(&process).copied() }.unwrap_or_default()
}

/// The current process listens on a control port.
#[inline(always)]
pub(super) fn note_master(process: u32) {
    // One of a root's that listens so, too, is no longer of that root. Where there is no room, its children are unknown.
    let _full = PROCESSES.insert(&process, &Process { root: 0, master: 1 }, u64::from(BPF_ANY));
}

/// `task_newtask`: a child was made and does not run yet.
#[raw_tracepoint(tracepoint = "task_newtask")]
pub(crate) fn ftptrack_fork(context: RawTracePointContext) -> i32 {
    let (child, flags): (u64, u64) = (context.arg(0), context.arg(1));
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    let parent = get(kernel::current_process());
    let child = kernel::process(child);
    let of = if parent.master != 0 { root(now(), child) } else { parent.root };
    if of == 0 {
        // An earlier process of this number may have gone unseen.
        let _none = PROCESSES.remove(&child);
    } else if PROCESSES.insert(&child, &Process { root: of, master: 0 }, u64::from(BPF_ANY)).is_err() {
        let _none = PROCESSES.remove(&child);
    }
    0
}

/// `sched_process_exit`: a task ends.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn ftptrack_exit(_: RawTracePointContext) -> i32 {
    let id = bpf_get_current_pid_tgid();
    let process = (id >> 32) as u32;
    // Its first thread: the others are of no use without it.
    if process == id as u32 {
        let _none = PROCESSES.remove(&process);
    }
    0
}
