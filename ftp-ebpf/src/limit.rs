//! The limit on the sessions of one client, so that it can't push out those of others.

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::keys::{ClientKey, ConnectionKey};
use ftp_common::limit::{self, FULL, Seen, Slot, Slots};

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
    u32::from(limit::admits(&mut OfClient { scratch, now }, limit))
}

/// The slots of the client in `scratch.client`. The slot's number lies there and not in a register: each turn of the
/// loop then looks the same to the verifier.
struct OfClient<'a> {
    scratch: &'a mut Scratch,
    now: u64,
}

impl Slots for OfClient<'_> {
    #[inline(always)]
    fn look(&mut self, slot: u32) -> Seen {
        self.scratch.client.slot = slot;
        match slot_has(self.now) {
            FULL_SINCE => Seen::Full,
            ALIVE => Seen::Taken,
            _ => Seen::Free,
        }
    }

    #[inline(always)]
    fn take(&mut self, slot: u32) {
        self.scratch.client.slot = slot;
        // Without an entry there is no limit: losing one lets a client have more, and locks nobody out.
        let _made = CLIENTS.insert(&self.scratch.client, &self.scratch.slot, u64::from(BPF_ANY));
    }

    #[inline(always)]
    fn note_full(&mut self) {
        self.scratch.client.slot = 0;
        if let Some(first) = CLIENTS.get_ptr_mut(&self.scratch.client) {
            // SAFETY: valid until the program returns; a value of another client by then makes that one wait a second.
            unsafe { (*first).full_since = self.now };
        }
    }
}

const NOTHING: u32 = 0;
const ALIVE: u32 = 1;
const FULL_SINCE: u32 = 2;

/// What is in the slot in `scratch.client`: one of the above. A global function, too: the verifier follows it once, and
/// not for each slot.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn slot_has(now: u64) -> u32 {
    let Some(Scratch { client, other, .. }) = scratch() else { return NOTHING };
    let Some(slot) = CLIENTS.get_ptr(&*client) else { return NOTHING };
    // SAFETY: valid until the program returns; a value of another client by then only miscounts.
    let slot = unsafe { &*slot };
    if now.wrapping_sub(slot.full_since) < FULL {
        FULL_SINCE
    } else if is_alive(other, slot, now) {
        ALIVE
    } else {
        NOTHING
    }
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
