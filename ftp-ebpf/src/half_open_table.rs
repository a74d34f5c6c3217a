//! The table of half-open flows in its maps: [`ftp_common::half_open`] says how it works.

use ftp_common::half_open::{self, BUCKETS, HalfOpenFlow, Id, Table, WAYS};
use ftp_common::keys::ConnectionKey;

use crate::maps::{COUNTS, HALF_OPEN, VERSIONS};
use crate::scratch::{Scratch, current, scratch};
use crate::{atomic, servers};

/// The maps, and the connection in question.
struct Maps<'a> {
    key: &'a ConnectionKey,
    scratch: *mut Scratch,
}

impl Table for Maps<'_> {
    type Entry = *mut HalfOpenFlow;

    #[inline(always)]
    fn version(&self, slot: u32) -> u32 {
        // SAFETY: a value of an array map lives as long as the program.
        VERSIONS.get_ptr(slot).map_or(0, |version| unsafe { *version })
    }

    #[inline(always)]
    fn set_version(&self, slot: u32, version: u32) {
        if let Some(value) = VERSIONS.get_ptr_mut(slot) {
            // SAFETY: as above; whoever won the slot is the only one who writes it.
            unsafe { *value = version };
        }
    }

    #[inline(always)]
    fn get(&self, id: Id) -> Option<Self::Entry> {
        HALF_OPEN.get_ptr_mut(&id)
    }

    #[inline(always)]
    fn is_own(&self, entry: Self::Entry) -> bool {
        // SAFETY: a map value, valid until the program returns.
        unsafe { (*entry).key == *self.key }
    }

    #[inline(always)]
    fn until(&self, entry: Self::Entry) -> u64 {
        // SAFETY: as above.
        unsafe { (*entry).until }
    }

    #[inline(always)]
    fn insert(&self, id: Id) -> bool {
        // SAFETY: this CPU's own value; nothing else refers to this part of it.
        let entry = unsafe { &(*self.scratch).half_open };
        HALF_OPEN.insert(&id, entry, u64::from(aya_ebpf::bindings::BPF_NOEXIST)).is_ok()
    }

    #[inline(always)]
    fn delete(&self, id: Id) -> bool {
        HALF_OPEN.remove(&id).is_ok()
    }

    #[inline(always)]
    fn fence(&self) {
        // SAFETY: this CPU's own value; nothing else refers to this part of it.
        atomic::fence(unsafe { &mut (*self.scratch).fence });
    }

    #[inline(always)]
    fn count_up(&self, bucket: u32) {
        if let Some(count) = COUNTS.get_ptr_mut(bucket) {
            atomic::add(count, 1);
        }
    }

    #[inline(always)]
    fn count_down(&self, bucket: u32) {
        if let Some(count) = COUNTS.get_ptr_mut(bucket) {
            atomic::add(count, u32::MAX);
        }
    }
}

/// The bucket of a connection.
#[inline(always)]
pub(crate) fn bucket(key: &ConnectionKey) -> u32 {
    half_open::bucket(hash(key))
}

/// What the connection's places in tables are made of.
#[inline(always)]
pub(crate) fn hash(key: &ConnectionKey) -> u64 {
    half_open::hash_of(key, servers::config().map_or(0, |config| config.seed))
}

/// Whether a bucket has no entry.
#[inline(always)]
pub(crate) fn is_empty(bucket: u32) -> bool {
    // SAFETY: a value of an array map lives as long as the program.
    COUNTS.get_ptr(bucket & (BUCKETS - 1)).is_none_or(|count| unsafe { *count } == 0)
}

/// The half-open flow of the connection in `current`; its id is left in `scratch.half_open_id`.
#[inline(always)]
pub(crate) fn find(now: u64) -> Option<&'static mut HalfOpenFlow> {
    if half_open_find(now) == 0 {
        return None;
    }
    let entry = HALF_OPEN.get_ptr_mut(&scratch()?.half_open_id)?;
    // SAFETY: a map value, valid until the program returns. Its memory may be used for another flow once it is
    // removed by another CPU: then a number of this flow is written into that one, which can only deny it.
    Some(unsafe { &mut *entry })
}

/// Leaves the id of the half-open flow of the connection in `current` in `scratch`; 0 if there is none. These are
/// global functions (see [`crate::control_stream`]): the kernel verifies their loops once, not at each call.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn half_open_find(now: u64) -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    let bucket = bucket(key);
    if is_empty(bucket) {
        return 0;
    }
    let scratch: *mut Scratch = scratch;
    let Some((_, id)) = half_open::find(&Maps { key, scratch }, bucket, now) else { return 0 };
    // SAFETY: this CPU's own value.
    unsafe { (*scratch).half_open_id = id };
    1
}

/// Makes the entry in `scratch.half_open`, of the connection in `current`; 0 if there is no room, or another CPU
/// makes one.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn half_open_insert() -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    u32::from(half_open::insert_once(&Maps { key, scratch }, bucket(key)))
}

/// Removes the entry that [`find`] has found last; 0 if another CPU did.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn half_open_remove() -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    let id = scratch.half_open_id;
    u32::from(half_open::remove(&Maps { key, scratch }, id))
}

const _: () = assert!(WAYS.is_power_of_two() && BUCKETS.is_power_of_two());
