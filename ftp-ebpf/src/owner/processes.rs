//! Processes: a master's child begins a root, and its descendants belong to it.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::RawTracePointContext;
use ftp_common::owner::{Process, root};

use super::{kernel, roots};
use crate::clock::now;

/// Only masters and their descendants. Preallocated: Linux 5.10 warns of programs at tracepoints that allocate.
#[map]
static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(65_536, 0);

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
    let before = get(process);
    if before.is_master != 0 {
        return;
    }
    // One of a root's that listens so, too, is no longer of that root. Where there is no room, its children are unknown.
    let _full = PROCESSES.insert(&process, &Process { is_master: 1, ..Process::default() }, u64::from(BPF_ANY));
    if before.root != 0 {
        roots::remove_process(before.root);
    }
}

/// `task_newtask`: a child was made and does not run yet.
#[raw_tracepoint(tracepoint = "task_newtask")]
pub(crate) fn ftptrack_fork(context: RawTracePointContext) -> i32 {
    let (child, flags): (u64, u64) = (context.arg(0), context.arg(1));
    if flags & CLONE_THREAD != 0 {
        return 0;
    }
    let parent = kernel::current_process();
    let child = kernel::process(child);
    // Of an earlier process of this number: a master that has ended, or one whose end went unseen.
    let _none = PROCESSES.remove(&child);
    let Process { root: of, master, is_master } = get(parent);
    let entry = if is_master != 0 {
        let of = root(now(), child);
        if !roots::begin(of) {
            return 0;
        }
        Process { root: of, master: parent, is_master: 0 }
    } else if of != 0 {
        roots::add_process(of);
        Process { root: of, master, is_master: 0 }
    } else {
        return 0;
    };
    if PROCESSES.insert(&child, &entry, u64::from(BPF_ANY)).is_err() {
        // What it will serve goes unseen.
        roots::doubt(entry.root);
        roots::remove_process(entry.root);
    }
    0
}

/// `sched_process_exit`: a task ends. Its files are still open.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn ftptrack_exit(_: RawTracePointContext) -> i32 {
    let process = kernel::current_process();
    let Process { root, is_master, .. } = get(process);
    if root == 0 || is_master != 0 || !kernel::is_last_thread() {
        return 0;
    }
    if PROCESSES.remove(&process).is_ok() {
        roots::remove_process(root);
    }
    0
}
