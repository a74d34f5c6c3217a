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

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    /// What is in the slots, and what was done.
    struct Client {
        slots: Vec<Seen>,
        taken: Option<u32>,
        full: bool,
    }

    impl Slots for Client {
        fn look(&mut self, slot: u32) -> Seen {
            self.slots[slot as usize]
        }

        fn take(&mut self, slot: u32) {
            self.taken = Some(slot);
        }

        fn note_full(&mut self) {
            self.full = true;
        }
    }

    /// Whether it is admitted, to which slot, and whether it is noted that there is none.
    fn admitted(slots: &[Seen], limit: u32) -> (bool, Option<u32>, bool) {
        let mut client = Client { slots: slots.to_vec(), taken: None, full: false };
        (admits(&mut client, limit), client.taken, client.full)
    }

    #[test]
    fn the_first_free_slot_is_taken() {
        assert_eq!(admitted(&[Seen::Free, Seen::Free], 2), (true, Some(0), false));
        assert_eq!(admitted(&[Seen::Taken, Seen::Taken, Seen::Free], 3), (true, Some(2), false));
        assert_eq!(
            admitted(&[Seen::Taken, Seen::Full, Seen::Free], 3),
            (true, Some(2), false),
            "another client's memory"
        );
    }

    #[test]
    fn a_client_has_no_more_than_the_limit_and_than_there_are_slots() {
        assert_eq!(admitted(&[Seen::Taken, Seen::Taken, Seen::Free], 2), (false, None, true));
        assert_eq!(admitted(&[Seen::Free], 0), (false, None, true));
        let most = MAX_SESSIONS_PER_CLIENT as usize;
        let mut slots = [Seen::Taken].repeat(most);
        slots.push(Seen::Free);
        assert_eq!(admitted(&slots, u32::MAX), (false, None, true));
        slots[most - 1] = Seen::Free;
        assert_eq!(admitted(&slots, u32::MAX), (true, Some(most as u32 - 1), false));
    }

    #[test]
    fn where_all_were_in_use_a_moment_ago_nothing_is_searched() {
        assert_eq!(admitted(&[Seen::Full, Seen::Free], 2), (false, None, false));
    }
}
