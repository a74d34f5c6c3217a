//! The limit on the sessions of one client, so that it can't push out those of others.

use core::ffi::c_void;

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::helpers::bpf_loop;
use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::{ClientSessions, FULL, Place};
use ftp_common::policy::{MAX_SESSIONS_PER_CLIENT, ServerPolicy};

use crate::maps::{BLANK_CLIENT, CLIENTS, session};
use crate::report;

/// Takes a place for a new session; false if its client has as many as the policy allows.
#[inline(never)]
pub(crate) fn admits(key: &ConnectionKey, policy: &ServerPolicy, generation: u64) -> bool {
    let client = ClientKey::from(key);
    if CLIENTS.get_ptr(&client).is_none()
        && let Some(blank) = BLANK_CLIENT.get(0)
    {
        // Another CPU may have been first: either entry will do.
        let _made = CLIENTS.insert(&client, blank, u64::from(BPF_NOEXIST));
    }
    // Without an entry there is no limit: losing one lets a client have more, and locks nobody out.
    let Some(sessions) = CLIENTS.get_ptr_mut(&client) else { return true };
    // SAFETY: valid until the program returns; a value of another client by then only miscounts.
    let sessions: &mut ClientSessions = unsafe { &mut *sessions };
    if generation.wrapping_sub(sessions.full_since) < FULL {
        return false;
    }
    let limit = policy.sessions_per_client;
    let mut search = Search { sessions, key, generation, found: false };
    let places = if limit < MAX_SESSIONS_PER_CLIENT { limit } else { MAX_SESSIONS_PER_CLIENT };
    // SAFETY: the callback gets this very search as its context.
    unsafe { bpf_loop(places, look_at as *mut c_void, (&raw mut search).cast(), 0) };
    if !search.found {
        search.sessions.full_since = report::now();
    }
    search.found
}

/// The search for a free place. A turn of `bpf_loop` looks at one, so that it is verified once.
struct Search<'a> {
    sessions: &'a mut ClientSessions,
    key: &'a ConnectionKey,
    generation: u64,
    found: bool,
}

unsafe extern "C" fn look_at(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: `admits` passes a Search, which nothing else uses meanwhile.
    let search = unsafe { &mut *context.cast::<Search<'_>>() };
    let place = &mut search.sessions.places[index as usize & (MAX_SESSIONS_PER_CLIENT as usize - 1)];
    if is_alive(search.key, place) {
        return 0;
    }
    *place = Place {
        generation: search.generation,
        client_low: [search.key.client.0[2], search.key.client.0[3]],
        client_port: search.key.client_port,
        server_port: search.key.server_port,
        zero: 0,
    };
    search.found = true;
    1
}

/// Whether the session that has a place still lives.
#[inline(always)]
fn is_alive(key: &ConnectionKey, place: &Place) -> bool {
    if place.generation == 0 {
        return false;
    }
    let mut other = *key;
    other.client.0[2] = place.client_low[0];
    other.client.0[3] = place.client_low[1];
    other.client_port = place.client_port;
    other.server_port = place.server_port;
    // Once the server has closed, a session can open nothing more.
    session(&other).is_some_and(|session| session.generation == place.generation && session.server.fin == 0)
}
