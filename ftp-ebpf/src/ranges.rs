//! The passive range, open to the client of an encrypted session (`ftps = client-range`).

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::counter::Counter;
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::range::{OWNERS, Owner, Range};
use ftp_common::session::Session;

use crate::maps::{RANGES, session as find};
use crate::report;
use crate::scratch::Scratch;

#[inline(always)]
fn get(scratch: &Scratch) -> Option<&'static mut Range> {
    let range = RANGES.get_ptr_mut(&scratch.range_key)?;
    // SAFETY: valid until the program returns; its content is checked against living sessions.
    Some(unsafe { &mut *range })
}

/// The server has sent payload in an encrypted session: it may have announced a port, so the session's
/// client may use the range. Each segment repeats it, as a slot may have been lost to other sessions.
#[inline(never)]
pub(crate) fn open(scratch: &mut Scratch, key: &ConnectionKey, session: &Session) {
    scratch.range_key = ExpectationKey::for_range(key);
    let own =
        Owner { session_id: session.session_id, client_port: key.client_port, server_port: key.server_port, zero: 0 };
    let Some(range) = get(scratch) else {
        scratch.range = Range::default();
        scratch.range.owners[0] = own;
        let made = RANGES.insert(&scratch.range_key, &scratch.range, u64::from(BPF_ANY));
        report::count(if made.is_ok() { Counter::RangesOpened } else { Counter::MapErrors });
        return;
    };
    scratch.other = *key;
    // A dead session's slot, else one by the client's port.
    let mut slot = key.client_port as usize % OWNERS;
    let mut i = 0;
    while i < OWNERS {
        if range.owners[i].session_id == session.session_id {
            return;
        }
        if !is_alive(&mut scratch.other, &range.owners[i]) {
            slot = i;
        }
        i += 1;
    }
    range.owners[slot % OWNERS] = own;
    report::count(Counter::RangesOpened);
}

/// Leaves in `scratch.owner` an encrypted session that lives and has opened the range to the client of
/// a data connection; false if there is none.
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
