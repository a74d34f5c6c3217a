//! Which connections a root serves.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use ftp_common::owner::{Connection, Member, ROOTS, Root, Served, UNSURE, learning, live, one, only};

use crate::atomic;

/// Nothing may push an entry out: an unsure root would be sure again. Preallocated, as PROCESSES.
#[map]
static OWNERS: HashMap<u64, Root> = HashMap::with_max_entries(32_768, 0);
/// See [`Member`]; no values. BPF_F_NO_PREALLOC, as the next.
#[map]
static MEMBERS: HashMap<Member, u32> = HashMap::with_max_entries(65_536, 1);
/// Connections by id.
#[map]
static SERVED_BY_ID: HashMap<u64, Connection> = HashMap::with_max_entries(65_536, 1);
/// See [`learning`].
#[map]
static LEARNING: Array<u64> = Array::with_max_entries(learning::ENTRIES, 0);

/// An entry of LEARNING.
#[inline(always)]
pub(super) fn learning(entry: u32) -> u64 {
    LEARNING.get(entry).copied().unwrap_or(0)
}

#[inline(always)]
pub(super) fn set_learning(entry: u32, value: u64) {
    if let Some(place) = LEARNING.get_ptr_mut(entry) {
        // SAFETY: a value of an array map lives as long as the program.
        unsafe { *place = value };
    }
}

/// A root begins, with one process; false if there is no room for it.
#[inline(always)]
pub(super) fn begin(root: u64) -> bool {
    OWNERS.insert(&root, &Root { sum: 0, processes: 1 }, u64::from(BPF_NOEXIST)).is_ok()
}

#[inline(always)]
pub(super) fn add_process(root: u64) {
    if let Some(entry) = OWNERS.get_ptr_mut(&root) {
        // SAFETY: valid until the program returns.
        atomic::add64(unsafe { &raw mut (*entry).processes }, 1);
    }
}

/// One of its processes has ended; the last one takes the root with it. Nobody can serve or open anything for it then.
#[inline(always)]
pub(super) fn remove_process(root: u64) {
    let Some(entry) = OWNERS.get_ptr_mut(&root) else { return };
    // SAFETY: valid until the program returns.
    let processes = unsafe { &raw mut (*entry).processes };
    atomic::add64(processes, u64::MAX);
    // Two that end at once may both find none left.
    // SAFETY: as above.
    if unsafe { processes.read_volatile() } == 0 {
        let _gone = OWNERS.remove(&root);
    }
}

/// The root does something that can't be counted.
#[inline(always)]
pub(super) fn doubt(root: u64) {
    add(root, UNSURE);
}

/// Enters a connection under an id; false if that is taken, or there is no room.
#[inline(always)]
pub(super) fn enter(id: u64, connection: &Connection) -> bool {
    id != 0 && SERVED_BY_ID.insert(&id, connection, u64::from(BPF_NOEXIST)).is_ok()
}

/// The root serves this connection from now on, too.
#[inline(always)]
pub(super) fn join(served: &mut Served, root: u64) {
    if served.ended != 0 {
        return;
    }
    let mut place = ROOTS;
    let mut i = 0;
    while i < ROOTS {
        if served.roots[i] == root {
            return;
        }
        if served.roots[i] == 0 && place == ROOTS {
            place = i;
        }
        i += 1;
    }
    let member = Member { root, socket: served.socket };
    let is_new = MEMBERS.insert(&member, &0, u64::from(BPF_NOEXIST)).is_ok();
    // SAFETY: only whether it is there.
    if !is_new && unsafe { MEMBERS.get(&member) }.is_some() {
        return; // another CPU was first
    }
    // Without an entry, an id or a place it can't be taken back.
    if !is_new || place == ROOTS || served.id == 0 {
        doubt(root);
        return;
    }
    served.roots[place % ROOTS] = root;
    add(root, one(served.id));
}

/// The connection ends: its roots serve one less.
#[inline(always)]
pub(super) fn leave(served: &mut Served) {
    served.ended = 1;
    let mut i = 0;
    while i < ROOTS {
        let root = served.roots[i];
        let member = Member { root, socket: served.socket };
        if root != 0 && MEMBERS.remove(&member).is_ok() {
            add(root, 0u64.wrapping_sub(one(served.id)));
        }
        i += 1;
    }
    if served.id != 0 {
        let _gone = SERVED_BY_ID.remove(&served.id);
    }
}

/// What is known of what a root serves.
pub(super) enum Serves {
    /// No connection, or nothing is known.
    None,
    /// This one, and no other.
    One(Connection),
    /// Several, or what can't be told.
    Several,
}

/// What a root serves.
#[inline(always)]
pub(super) fn serves(root: u64) -> Serves {
    // SAFETY: copied at once.
    let Some(sum) = (unsafe { OWNERS.get(&root).map(|entry| entry.sum) }) else { return Serves::None };
    if learning(learning::BROKEN) != 0 {
        return Serves::Several;
    }
    let Some(id) = only(sum) else {
        return if live(sum) == 0 { Serves::None } else { Serves::Several };
    };
    // SAFETY: as above.
    match unsafe { SERVED_BY_ID.get(&id).copied() } {
        Some(connection) => Serves::One(connection),
        None => Serves::None,
    }
}

/// A root that is gone has nobody left to be sure or unsure.
#[inline(always)]
fn add(root: u64, what: u64) {
    if let Some(entry) = OWNERS.get_ptr_mut(&root) {
        // SAFETY: valid until the program returns.
        atomic::add64(unsafe { &raw mut (*entry).sum }, what);
    }
}
