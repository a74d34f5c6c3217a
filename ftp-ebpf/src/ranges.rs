//! The clients of encrypted sessions: to whom the passive range is open (`ftps = client-range`), and of whose denied data
//! connections it is said that their session can't be read.

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::counter::Counter;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::range::{OWNERS, Owner, Range};
use ftp_common::session::Session;

use crate::maps::{RANGES, RANGES_USED, session as find};
use crate::report;
use crate::scratch::Scratch;

#[inline(always)]
fn get(scratch: &Scratch) -> Option<&'static mut Range> {
    let range = RANGES.get_ptr_mut(&scratch.range_key)?;
    // SAFETY: valid until the program returns; its content is checked against living sessions.
    Some(unsafe { &mut *range })
}

/// The server has sent payload in an encrypted session: it may have announced a port. Each segment repeats it, as a slot
/// may have been lost to other sessions. True if the session was not there.
#[inline(never)]
pub(crate) fn note(scratch: &mut Scratch, key: &ConnectionKey, session: &Session, opens: bool) -> bool {
    scratch.range_key = ExpectationKey::for_range(key);
    let own = Owner {
        session_id: session.session_id,
        client_port: key.client_port,
        server_port: key.server_port,
        opens: u32::from(opens),
    };
    let Some(range) = get(scratch) else {
        scratch.range = Range::default();
        scratch.range.owners[0] = own;
        if RANGES.insert(&scratch.range_key, &scratch.range, u64::from(BPF_ANY)).is_err() {
            report::count(Counter::MapErrors);
            return false;
        }
        if let Some(used) = RANGES_USED.get_ptr_mut(0) {
            // SAFETY: a value of an array map lives as long as the program; everybody writes the same.
            unsafe { *used = 1 };
        }
        return true;
    };
    scratch.other = *key;
    // A dead session's slot, else one by the client's port.
    let mut slot = key.client_port as usize % OWNERS;
    let mut i = 0;
    while i < OWNERS {
        if range.owners[i].session_id == session.session_id {
            range.owners[i].opens = own.opens;
            return false;
        }
        if !is_alive(&mut scratch.other, &range.owners[i]) {
            slot = i;
        }
        i += 1;
    }
    range.owners[slot % OWNERS] = own;
    true
}

/// Whether the client of a data connection has an encrypted session with its server.
#[inline(always)]
pub(crate) fn is_encrypted(scratch: &mut Scratch, key: &ConnectionKey) -> bool {
    RANGES_USED.get(0).is_some_and(|used| *used != 0) && find_owner(scratch, key)
}

/// Leaves in `scratch.owner` an encrypted session of the client of a data connection that lives; false if there is none.
#[inline(never)]
pub(crate) fn find_owner(scratch: &mut Scratch, key: &ConnectionKey) -> bool {
    scratch.range_key = ExpectationKey::for_range(key);
    let Some(range) = get(scratch) else { return false };
    scratch.other = *key;
    let mut i = 0;
    while i < OWNERS {
        if is_alive(&mut scratch.other, &range.owners[i]) {
            scratch.owner = range.owners[i];
            return true;
        }
        i += 1;
    }
    let _gone = RANGES.remove(&scratch.range_key);
    false
}

/// Whether an owner's session lives. `key` becomes its key, of which all but the ports is set.
#[inline(always)]
fn is_alive(key: &mut ConnectionKey, owner: &Owner) -> bool {
    key.client_port = owner.client_port;
    key.server_port = owner.server_port;
    owner.session_id != 0
        && find(key).is_some_and(|session| session.session_id == owner.session_id && session.server.fin == 0)
}
