//! How many sessions a client has: numbered slots, each checked against the sessions that are alive, so that
//! no count can only rise and nothing has to be swept. A slot is an entry of its own: the map has room for as many
//! as there are sessions, however many clients they are of.

use crate::keys::ClientKey;
use crate::policy::MAX_SESSIONS_PER_CLIENT;

/// After all slots of a client were found in use, none is searched for this long. Nanoseconds.
pub const FULL: u64 = crate::SECOND;

/// Key of the CLIENTS map. 40 bytes, no padding.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SlotKey {
    /// Whose session it is.
    pub client: ClientKey,
    /// Which of its slots, from 0 on.
    pub slot: u32,
}

/// Value of the CLIENTS map: a session of a client, what its key has that the client's key has not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Slot {
    /// Id of the session. The slot is free when no session of this id is alive.
    pub session_id: u64,
    /// The last two 32-bit words of the client's address.
    pub client_low: [u32; 2],
    /// The client's port.
    pub client_port: u16,
    /// The server's port.
    pub server_port: u16,
    /// Always 0.
    pub zero: u32,
    /// In slot 0: when all slots were last found in use, nanoseconds; 0: never.
    pub full_since: u64,
}

const _: () = assert!(size_of::<SlotKey>() == 40);
const _: () = assert!(size_of::<Slot>() == 32);

/// What is in a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seen {
    /// No session that is alive.
    Free,
    /// A session that is alive.
    Taken,
    /// All slots were in use a moment ago.
    Full,
}

/// The slots of a client, for a new session.
pub trait Slots {
    /// What is in this one.
    fn look(&mut self, slot: u32) -> Seen;
    /// Puts the new session into it.
    fn take(&mut self, slot: u32);
    /// Notes that all are in use now.
    fn note_full(&mut self);
}

/// Takes a slot for a new session; false if the client has as many as it may.
///
/// Nothing is locked: two CPUs that admit at once may take the same slot, and what was put into it first is not counted
/// any more. So a client has at most one session too many for each time that another of its sessions was admitted at
/// the same moment, and for each slot that was evicted. Who finds a free slot is always admitted.
#[inline(always)]
pub fn admits<S: Slots>(slots: &mut S, limit: u32) -> bool {
    let mut slot = 0;
    while slot < MAX_SESSIONS_PER_CLIENT && slot < limit {
        match slots.look(slot) {
            Seen::Free => {
                slots.take(slot);
                return true;
            }
            Seen::Full if slot == 0 => return false,
            // In another slot: memory that was another client's first slot when it was noted.
            Seen::Full | Seen::Taken => slot += 1,
        }
    }
    slots.note_full();
    false
}
