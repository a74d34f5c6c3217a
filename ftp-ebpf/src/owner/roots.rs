//! Which connections a root serves, and has served.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use ftp_common::owner::{Connection, ROOTS, Root, Served, learning};

use crate::atomic;
use crate::clock::now;

/// Nothing may push an entry out: an unsure root would be sure again. Preallocated, as PROCESSES.
#[map]
static OWNERS: HashMap<u64, Root> = HashMap::with_max_entries(32_768, 0);
/// Connections by id. BPF_F_NO_PREALLOC.
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
    let entry = Root { birth: now(), processes: 1, ..Root::default() };
    OWNERS.insert(&root, &entry, u64::from(BPF_NOEXIST)).is_ok()
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

/// The root does, or may do, something that can't be noted.
#[inline(always)]
pub(super) fn doubt(root: u64) {
    add(root, 2, 0);
}

/// Enters a connection under an id; false if that is taken, or there is no room.
#[inline(always)]
pub(super) fn enter(id: u64, connection: &Connection) -> bool {
    id != 0 && SERVED_BY_ID.insert(&id, connection, u64::from(BPF_NOEXIST)).is_ok()
}

/// The root serves this connection from now on, too. The socket is the caller's for as long as this runs.
#[inline(always)]
pub(super) fn join(served: &mut Served, root: u64) {
    let Some(place) = served.place_for(root) else { return };
    // Without an id or a place it would be served again and again, or by nobody.
    if place == ROOTS || served.id == 0 {
        doubt(root);
        return;
    }
    served.roots[place % ROOTS] = root;
    add(root, 1, served.id);
}

/// The connection ends: nothing more is opened for it.
#[inline(always)]
pub(super) fn leave(served: &mut Served) {
    served.ended = 1;
    if served.id != 0 {
        let _gone = SERVED_BY_ID.remove(&served.id);
    }
}

/// What is known of what a root serves.
pub(super) enum Serves {
    /// No connection, or nothing is known.
    None,
    /// This one, and it has never served another.
    One(Connection),
    /// Several, or what can't be told.
    Several,
}

/// What a root serves.
#[inline(always)]
pub(super) fn serves(root: u64) -> Serves {
    // SAFETY: copied at once. Another CPU may be adding to it: then the sum of the ids is that of no connection, or there
    // are several already.
    let Some(root) = (unsafe { OWNERS.get(&root).copied() }) else { return Serves::None };
    let Some(id) = root.only() else {
        return if root.served == 0 { Serves::None } else { Serves::Several };
    };
    // SAFETY: as above.
    match unsafe { SERVED_BY_ID.get(&id).copied() } {
        Some(connection) if root.is_for(connection.since) => Serves::One(connection),
        Some(_) => Serves::Several,
        None => Serves::None,
    }
}

/// A root that is gone has nobody left to be sure or unsure.
#[inline(always)]
fn add(root: u64, served: u64, id: u64) {
    if let Some(entry) = OWNERS.get_ptr_mut(&root) {
        // SAFETY: valid until the program returns.
        atomic::add64(unsafe { &raw mut (*entry).served }, served);
        // SAFETY: as above.
        atomic::add64(unsafe { &raw mut (*entry).ids }, id);
    }
}
