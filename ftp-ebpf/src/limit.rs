//! The limit on the sessions of one client, so that it can't push out those of others.

use aya_ebpf::bindings::BPF_NOEXIST;
use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::{ClientSessions, FULL, Place};
use ftp_common::policy::{MAX_SESSIONS_PER_CLIENT, ServerPolicy};

use crate::maps::{BLANK_CLIENT, CLIENTS, Scratch, session};
use crate::report;

/// Takes a place for a new session; false if its client has as many as the policy allows.
#[inline(never)]
pub(crate) fn admits(key: &ConnectionKey, policy: &ServerPolicy, generation: u64, scratch: &mut Scratch) -> bool {
    scratch.client = ClientKey::from(key);
    if CLIENTS.get_ptr(&scratch.client).is_none()
        && let Some(blank) = BLANK_CLIENT.get(0)
    {
        // Another CPU may have been first: either entry will do.
        let _made = CLIENTS.insert(&scratch.client, blank, u64::from(BPF_NOEXIST));
    }
    // Without an entry there is no limit: losing one lets a client have more, and locks nobody out.
    let Some(sessions) = CLIENTS.get_ptr_mut(&scratch.client) else { return true };
    // SAFETY: valid until the program returns; a value of another client by then only miscounts.
    let sessions: &mut ClientSessions = unsafe { &mut *sessions };
    if generation.wrapping_sub(sessions.full_since) < FULL {
        return false;
    }
    scratch.other = *key;
    let mut index = 0;
    while index < MAX_SESSIONS_PER_CLIENT && index < policy.sessions_per_client {
        let place = &mut sessions.places[index as usize];
        if !is_alive(&mut scratch.other, place) {
            *place = Place {
                generation,
                client_low: [key.client.0[2], key.client.0[3]],
                client_port: key.client_port,
                server_port: key.server_port,
                zero: 0,
            };
            return true;
        }
        index += 1;
    }
    sessions.full_since = report::now();
    false
}

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
