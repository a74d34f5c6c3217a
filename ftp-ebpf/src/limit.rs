//! The limit on the sessions of one client, so that it can't push out those of others.

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::{FULL, Slot};
use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;

use crate::clock::now;
use crate::maps::{CLIENTS, session};
use crate::scratch::{Scratch, current, scratch};

/// Takes a slot for a new session of the current client, of which `limit` are allowed; 0 if it has as
/// many. A global function (see [`crate::control_stream`]), as two places call it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn admits(session_id: u64, limit: u32) -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    let now = now();
    scratch.client.client = ClientKey::from(key);
    scratch.client.slot = 0;
    scratch.slot = Slot {
        session_id,
        client_low: [key.client.0[2], key.client.0[3]],
        client_port: key.client_port,
        server_port: key.server_port,
        ..Slot::default()
    };
    scratch.other = *key;
    let mut index = 0;
    while index < MAX_SESSIONS_PER_CLIENT && index < limit {
        // In a map and not in a register: each turn of the loop then looks the same to the verifier.
        scratch.client.slot = index;
        if is_free(scratch, now) {
            // Without an entry there is no limit: losing one lets a client have more, and locks nobody out.
            let _made = CLIENTS.insert(&scratch.client, &scratch.slot, u64::from(BPF_ANY));
            return 1;
        }
        if index == 0 && scratch.full {
            return 0;
        }
        index += 1;
    }
    scratch.client.slot = 0;
    if let Some(first) = CLIENTS.get_ptr_mut(&scratch.client) {
        // SAFETY: valid until the program returns; a value of another client by then makes that one wait a second.
        unsafe { (*first).full_since = now };
    }
    0
}

/// Whether the slot in `scratch.client` is free. Leaves in `scratch.full` whether all were in use a moment ago.
#[inline(always)]
fn is_free(scratch: &mut Scratch, now: u64) -> bool {
    let Scratch { client, other, full, .. } = scratch;
    let Some(slot) = CLIENTS.get_ptr(&*client) else { return true };
    // SAFETY: valid until the program returns; a value of another client by then only miscounts.
    let slot = unsafe { &*slot };
    *full = now.wrapping_sub(slot.full_since) < FULL;
    !*full && !is_alive(other, slot, now)
}

/// Whether the session in a slot is alive. `key` becomes its key, of which all but the below is the same for every
/// session of the client.
#[inline(always)]
fn is_alive(key: &mut ConnectionKey, slot: &Slot, now: u64) -> bool {
    key.client.0[2] = slot.client_low[0];
    key.client.0[3] = slot.client_low[1];
    key.client_port = slot.client_port;
    key.server_port = slot.server_port;
    session(key).is_some_and(|session| session.session_id == slot.session_id && session.is_alive(now))
}
