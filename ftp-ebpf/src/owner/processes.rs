//! Processes: a master's child begins a root, and its descendants belong to it.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::RawTracePointContext;
use ftp_common::owner::{Process, role, root};

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
    if before.role == role::MEMBER {
        become_one(process, &before, role::MASTER);
    }
}

/// Something of a process could not be noted.
#[inline(always)]
pub(super) fn note_unfit(process: u32) {
    let before = get(process);
    if before.root != 0 {
        roots::doubt(before.root);
    } else if before.role == role::MASTER {
        become_one(process, &before, role::UNFIT);
    }
}

/// A process of a root that listens on a control port, too, is no longer of that root. Where there is no room, nothing is
/// known of its children.
#[inline(always)]
fn become_one(process: u32, before: &Process, role: u32) {
    let _full = PROCESSES.insert(&process, &Process { root: 0, born: now(), master: 0, role }, u64::from(BPF_ANY));
    if before.root != 0 {
        // What it goes on to serve is not seen.
        roots::doubt(before.root);
        roots::remove_process(before.root);
    }
}

/// Whether a process's master is the one that has begun its root. Once another process has its id, what its listener
/// accepts is not seen any more.
#[inline(always)]
pub(super) fn has_its_master(process: &Process) -> bool {
    let master = get(process.master);
    master.role == role::MASTER && master.born == process.born
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
    let (known, before) = (get(parent), get(child));
    let is_master = known.role == role::MASTER;
    let of = if is_master { root(now(), child) } else { known.root };
    if of != 0 && before.root == of {
        return 0; // another of these programs, on the way from one to the next, was first
    }
    // Of an earlier process of this number: a master that has ended, or one whose end went unseen.
    let _none = PROCESSES.remove(&child);
    if before.root != 0 {
        roots::remove_process(before.root);
    }
    let entry = if is_master {
        if !roots::begin(of) {
            return 0;
        }
        Process { root: of, born: known.born, master: parent, role: role::MEMBER }
    } else if of != 0 {
        roots::add_process(of);
        known
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
    let Process { root, .. } = get(process);
    if root == 0 || !kernel::is_last_thread() {
        return 0;
    }
    if PROCESSES.remove(&process).is_ok() {
        roots::remove_process(root);
    }
    0
}
