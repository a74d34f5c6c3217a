//! The limit on the sessions of one client, so that it can't push out those of others.

use aya_ebpf::bindings::BPF_NOEXIST;
use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::{ClientSessions, FULL, Place};
use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;

use crate::clock::now;
use crate::maps::{BLANK_CLIENT, CLIENTS, session};
use crate::scratch::{current, scratch};

/// Takes a place for a new session of the client in hand, of which `limit` are allowed; 0 if it has as
/// many. A global function (see [`crate::text`]), as two places call it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn admits(generation: u64, limit: u32) -> u32 {
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
    if generation.wrapping_sub(sessions.full_since) < FULL {
        return 0;
    }
    scratch.other = *key;
    // In a map and not in a register: what follows the loop is then verified once for all turns.
    scratch.place = NONE;
    let mut index = 0;
    while index < MAX_SESSIONS_PER_CLIENT && index < limit {
        if !is_alive(&mut scratch.other, &sessions.places[index as usize]) {
            scratch.place = index;
            break;
        }
        index += 1;
    }
    if scratch.place == NONE {
        sessions.full_since = now();
        return 0;
    }
    sessions.places[scratch.place as usize % MAX_SESSIONS_PER_CLIENT as usize] = Place {
        generation,
        client_low: [key.client.0[2], key.client.0[3]],
        client_port: key.client_port,
        server_port: key.server_port,
        zero: 0,
    };
    1
}

const NONE: u32 = u32::MAX;

/// Whether the session that has a place still lives. `key` becomes its key, of which all but the below
/// is the same for every session of the client.
#[inline(always)]
fn is_alive(key: &mut ConnectionKey, place: &Place) -> bool {
    if place.generation == 0 {
        return false;
    }
    key.client.0[2] = place.client_low[0];
    key.client.0[3] = place.client_low[1];
    key.client_port = place.client_port;
    key.server_port = place.server_port;
    // Once the server has closed, a session can open nothing more.
    session(key).is_some_and(|session| session.generation == place.generation && session.server.fin == 0)
}
