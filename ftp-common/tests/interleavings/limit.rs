//! The limit on the sessions of a client ([`ftp_common::limit`]): how many too many it can have, and that nobody is
//! locked out.

use std::array;

use ftp_common::limit::{FULL, Seen, Slots, admits};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use loom::thread;

use crate::in_every_order;

const LIMIT: u32 = 2;
const NOW: u64 = 10 * FULL;

/// The slots of a client, and its sessions.
struct Client {
    /// 0: no entry; or the session.
    slots: [AtomicU32; LIMIT as usize],
    full_since: AtomicU64,
    alive: [AtomicU32; 5],
}

impl Client {
    /// A client that has so many sessions, from 1 on.
    fn with(sessions: u32) -> Arc<Self> {
        Arc::new(Self {
            slots: array::from_fn(|slot| AtomicU32::new(if (slot as u32) < sessions { slot as u32 + 1 } else { 0 })),
            full_since: AtomicU64::new(0),
            alive: array::from_fn(|session| AtomicU32::new(u32::from((1..=sessions).contains(&(session as u32))))),
        })
    }

    /// Makes a session, as the kernel program does.
    fn begins(&self, session: u32, now: u64) -> bool {
        let admitted = admits(&mut New { client: self, session, now }, LIMIT);
        if admitted {
            self.alive[session as usize].store(1, Release);
        }
        admitted
    }

    /// Sessions that are alive.
    fn sessions(&self) -> u32 {
        self.alive.iter().map(|alive| alive.load(Acquire)).sum()
    }
}

struct New<'a> {
    client: &'a Client,
    session: u32,
    now: u64,
}

impl Slots for New<'_> {
    fn look(&mut self, slot: u32) -> Seen {
        let session = self.client.slots[slot as usize].load(Acquire);
        if session == 0 {
            Seen::Free
        } else if slot == 0 && self.now - self.client.full_since.load(Acquire) < FULL {
            Seen::Full
        } else if self.client.alive[session as usize].load(Acquire) != 0 {
            Seen::Taken
        } else {
            Seen::Free
        }
    }

    fn take(&mut self, slot: u32) {
        self.client.slots[slot as usize].swap(self.session, AcqRel);
        if slot == 0 {
            self.client.full_since.store(0, Release);
        }
    }

    fn note_full(&mut self) {
        self.client.full_since.store(self.now, Release);
    }
}

/// At most four interruptions.
#[test]
fn who_finds_a_free_slot_is_admitted() {
    in_every_order(4, || {
        let client = Client::with(0);
        let other = client.clone();
        let other = thread::spawn(move || other.begins(1, NOW));
        assert!(client.begins(2, NOW), "there are two slots");
        assert!(other.join().unwrap(), "there are two slots");
    });
}

/// At most four interruptions.
#[test]
fn two_cpus_at_once_let_in_one_too_many_at_most() {
    for sessions in [0, 1] {
        in_every_order(4, move || {
            let client = Client::with(sessions);
            let other = client.clone();
            let other = thread::spawn(move || other.begins(2, NOW));
            let own = client.begins(3, NOW);
            assert!(other.join().unwrap() || own);
            client.begins(4, NOW + FULL);
            assert!((LIMIT..=LIMIT + 1).contains(&client.sessions()), "{} sessions", client.sessions());
            assert!(!client.begins(4, NOW + 2 * FULL), "no more than that one");
        });
    }
}

/// At most four interruptions.
#[test]
fn a_slot_that_is_evicted_lets_in_one_more() {
    in_every_order(4, || {
        let client = Client::with(LIMIT);
        let other = client.clone();
        let eviction = thread::spawn(move || other.slots[0].swap(0, AcqRel));
        client.begins(3, NOW);
        eviction.join().unwrap();
        let had_room = client.sessions() == LIMIT;
        assert_eq!(client.begins(4, NOW + FULL), had_room);
        assert_eq!(client.sessions(), LIMIT + 1);
        assert!(!client.begins(4, NOW + 2 * FULL));
    });
}

/// The memory of a full client's first slot is this client's by the time that it is noted there. At most four
/// interruptions.
#[test]
fn what_is_noted_in_a_slot_of_another_client_locks_it_out_for_a_moment() {
    in_every_order(4, || {
        let client = Client::with(1);
        let other = client.clone();
        let full = thread::spawn(move || other.full_since.store(NOW, Release));
        let at_once = client.begins(2, NOW);
        full.join().unwrap();
        assert!(at_once || client.begins(2, NOW + FULL));
    });
}
