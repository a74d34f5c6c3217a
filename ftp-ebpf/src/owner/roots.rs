//! Which connections a root serves.

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use ftp_common::keys::ConnectionKey;
use ftp_common::owner::{Member, ROOTS, Served, one, only};

use crate::atomic;

/// Sums of live connections, by root. Nothing may push an entry out: an unsure root would be sure again.
#[map]
static OWNERS: HashMap<u64, u64> = HashMap::with_max_entries(65_536, 1);
/// See [`Member`]; no values.
#[map]
static MEMBERS: HashMap<Member, u32> = HashMap::with_max_entries(65_536, 1);
/// Connections by id.
#[map]
static SERVED_BY_ID: HashMap<u64, ConnectionKey> = HashMap::with_max_entries(65_536, 1);

/// Enters a connection under an id; false if that is taken, or there is no room.
#[inline(always)]
pub(super) fn enter(id: u64, key: &ConnectionKey) -> bool {
    id != 0 && SERVED_BY_ID.insert(&id, key, u64::from(BPF_NOEXIST)).is_ok()
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
    // Without an entry, an id or a place it can't be taken back: the root stays unsure.
    if !is_new || place == ROOTS || served.id == 0 {
        add(root, 2 * one(0));
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

/// The only connection that a root serves.
#[inline(always)]
pub(super) fn only_one(root: u64) -> Option<ConnectionKey> {
    // SAFETY: copied at once.
    let sum = unsafe { OWNERS.get(&root).copied() }.unwrap_or(0);
    let id = only(sum)?;
    // SAFETY: as above.
    unsafe { SERVED_BY_ID.get(&id).copied() }
}

#[inline(always)]
fn add(root: u64, what: u64) {
    if let Some(sum) = OWNERS.get_ptr_mut(&root) {
        atomic::add64(sum, what);
    } else if OWNERS.insert(&root, &what, u64::from(BPF_NOEXIST)).is_err()
        && let Some(sum) = OWNERS.get_ptr_mut(&root)
    {
        atomic::add64(sum, what);
    }
}
