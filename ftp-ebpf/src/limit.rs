//! The limit on the sessions of one client, so that it can't push out those of others.

use aya_ebpf::bindings::BPF_NOEXIST;
use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::{ClientSessions, FULL, Slot};
use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;

use crate::clock::now;
use crate::maps::{BLANK_CLIENT, CLIENTS, session};
use crate::scratch::{current, scratch};

/// Takes a slot for a new session of the current client, of which `limit` are allowed; 0 if it has as
/// many. A global function (see [`crate::control_stream`]), as two places call it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn admits(session_id: u64, limit: u32) -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    scratch.client = ClientKey::from(key);
    if CLIENTS.get_ptr(&scratch.client).is_none()
        && let Some(blank) = BLANK_CLIENT.get(0)
    {
        // Another CPU may have been first: either entry will do.
        let _made = CLIENTS.insert(&scratch.client, blank, u64::from(BPF_NOEXIST));
    }
    // Without an entry there is no limit: losing one lets a client have more, and locks nobody out.
    let Some(sessions) = CLIENTS.get_ptr_mut(&scratch.client) else { return 1 };
    // SAFETY: valid until the program returns; a value of another client by then only miscounts.
    let sessions: &mut ClientSessions = unsafe { &mut *sessions };
    if session_id.wrapping_sub(sessions.full_since) < FULL {
        return 0;
    }
    scratch.other = *key;
    // In a map and not in a register: what follows the loop is then verified once for all turns.
    scratch.slot = NONE;
    let mut index = 0;
    while index < MAX_SESSIONS_PER_CLIENT && index < limit {
        if !is_alive(&mut scratch.other, &sessions.slots[index as usize]) {
            scratch.slot = index;
            break;
        }
        index += 1;
    }
    if scratch.slot == NONE {
        sessions.full_since = now();
        return 0;
    }
    sessions.slots[scratch.slot as usize % MAX_SESSIONS_PER_CLIENT as usize] = Slot {
        session_id,
        client_low: [key.client.0[2], key.client.0[3]],
        client_port: key.client_port,
        server_port: key.server_port,
        zero: 0,
    };
    1
}

const NONE: u32 = u32::MAX;

/// Whether the session in a slot still lives. `key` becomes its key, of which all but the below
/// is the same for every session of the client.
#[inline(always)]
fn is_alive(key: &mut ConnectionKey, slot: &Slot) -> bool {
    if slot.session_id == 0 {
        return false;
    }
    key.client.0[2] = slot.client_low[0];
    key.client.0[3] = slot.client_low[1];
    key.client_port = slot.client_port;
    key.server_port = slot.server_port;
    // Once the server has closed, a session can open nothing more.
    session(key).is_some_and(|session| session.session_id == slot.session_id && session.server.fin == 0)
}
