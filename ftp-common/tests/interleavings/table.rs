//! The table of half-open flows ([`ftp_common::half_open`]).
//!
//! The other ways of the bucket are full. An entry is a cell of memory that a later entry gets at once when this one is
//! deleted, while who has looked it up still reads it, as in the kernel (BPF_F_NO_PREALLOC).

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize as Shadow, Ordering::SeqCst};

use ftp_common::half_open::{Id, Table, WAYS, find, insert_once, remove};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};
use loom::thread;

use crate::in_every_order;

const BUCKET: u32 = 3;
/// Versions that are played, from 0 on.
const VERSIONS: usize = 8;
/// Entries that can be there at a time.
const CELLS: usize = 4;
/// The present, and until when entries stay.
const NOW: u64 = 5;
const LATER: u32 = 10;
/// Connections.
const EXPIRED: u32 = 9;
const STRANGER: u32 = 8;

/// The maps; of the bucket's ways the first few are in play.
struct Maps {
    versions: Vec<AtomicU32>,
    /// By way and version: 0, or the cell and 1.
    entries: Vec<[AtomicU32; VERSIONS]>,
    /// Whose entry each cell is, and until when.
    cells: [(AtomicU32, AtomicU32); CELLS],
    unused: Mutex<Vec<u32>>,
    /// Beside the bucket's count, which only its own operations read: the entries at this instant.
    count: Shadow,
    there: Shadow,
}

impl Maps {
    /// `ways`: in play; in the first of them lies an expired entry if `expired`.
    fn new(ways: usize, expired: bool) -> Arc<Self> {
        let maps = Self {
            versions: (0..ways).map(|way| AtomicU32::new(u32::from(expired && way == 0))).collect(),
            entries: (0..ways)
                .map(|way| {
                    std::array::from_fn(|version| AtomicU32::new(u32::from(expired && way == 0 && version == 1)))
                })
                .collect(),
            cells: std::array::from_fn(|_| (AtomicU32::new(EXPIRED), AtomicU32::new(1))),
            unused: Mutex::new((u32::from(expired)..CELLS as u32).rev().collect()),
            count: Shadow::new(usize::from(expired)),
            there: Shadow::new(usize::from(expired)),
        };
        Arc::new(maps)
    }

    fn entry(&self, id: Id) -> Option<&AtomicU32> {
        let way = (id >> 32) as u32 - BUCKET * WAYS;
        self.entries.get(way as usize).map(|versions| &versions[id as u32 as usize])
    }

    /// Whose entries are where they can be found; each of those that are there must be.
    fn reachable(&self) -> Vec<u32> {
        let mut owners = Vec::new();
        for (way, versions) in self.entries.iter().enumerate() {
            for (version, entry) in versions.iter().enumerate() {
                let entry = entry.load(Relaxed);
                if entry != 0 {
                    assert_eq!(self.versions[way].load(Relaxed), version as u32, "an entry that nobody finds");
                    owners.push(self.cells[entry as usize - 1].0.load(Relaxed));
                }
            }
            let version = self.versions[way].load(Relaxed);
            let empty = versions[version as usize].load(Relaxed) == 0;
            assert_eq!(version & 1 == 0, empty, "a way that nobody can use any more");
        }
        assert_eq!(self.count.load(SeqCst), owners.len(), "the count is wrong in the end");
        owners
    }
}

/// The maps as one connection sees them.
struct Own<'a>(&'a Maps, u32);

impl Table for Own<'_> {
    type Entry = u32;

    fn version(&self, slot: u32) -> u32 {
        self.0.versions.get((slot - BUCKET * WAYS) as usize).map_or(1, |version| version.load(Acquire))
    }

    fn set_version(&self, slot: u32, version: u32) {
        self.0.versions[(slot - BUCKET * WAYS) as usize].store(version, Release);
    }

    fn get(&self, id: Id) -> Option<u32> {
        let Some(entry) = self.0.entry(id) else { return Some(u32::MAX) };
        entry.load(Acquire).checked_sub(1)
    }

    fn is_own(&self, entry: u32) -> bool {
        self.0.cells.get(entry as usize).is_some_and(|(owner, _)| owner.load(Acquire) == self.1)
    }

    fn until(&self, entry: u32) -> u64 {
        self.0.cells.get(entry as usize).map_or(u64::MAX, |(_, until)| u64::from(until.load(Acquire)))
    }

    fn insert(&self, id: Id) -> bool {
        let Some(entry) = self.0.entry(id) else { return false };
        let Some(cell) = self.0.unused.lock().unwrap().pop() else { return false };
        let (owner, until) = &self.0.cells[cell as usize];
        // Who gives memory away and who gets it agree on the order.
        owner.swap(self.1, AcqRel);
        until.swap(LATER, AcqRel);
        let made = entry.compare_exchange(0, cell + 1, AcqRel, Acquire).is_ok();
        if made {
            let there = self.0.there.fetch_add(1, SeqCst) + 1;
            assert!(self.0.count.load(SeqCst) >= there, "an entry that was not counted before");
        } else {
            self.0.unused.lock().unwrap().push(cell);
        }
        made
    }

    fn delete(&self, id: Id) -> bool {
        let Some(cell) = self.0.entry(id).and_then(|entry| entry.swap(0, AcqRel).checked_sub(1)) else { return false };
        self.0.there.fetch_sub(1, SeqCst);
        self.0.unused.lock().unwrap().push(cell);
        true
    }

    fn fence(&self) {
        fence(SeqCst);
    }

    fn count_up(&self, bucket: u32) {
        assert_eq!(bucket, BUCKET);
        self.0.count.fetch_add(1, SeqCst);
    }

    fn count_down(&self, bucket: u32) {
        assert_eq!(bucket, BUCKET);
        let left = self.0.count.fetch_sub(1, SeqCst) - 1;
        assert!(left >= self.0.there.load(SeqCst), "an entry that is not counted any more");
    }
}

/// What a SYN does that is let in: true if it has an entry, its own or one that was there.
fn syn(maps: &Maps, connection: u32) -> bool {
    let table = Own(maps, connection);
    find(&table, BUCKET, NOW).is_some() || insert_once(&table, BUCKET)
}

/// A handshake is over: true if this CPU removed it.
fn end(maps: &Maps, connection: u32) -> bool {
    let table = Own(maps, connection);
    find(&table, BUCKET, NOW).is_some_and(|(_, id)| remove(&table, id))
}

/// Or none, if each sees the other's; TCP repeats it. At most three interruptions.
#[test]
fn a_syn_on_two_cpus_makes_one_entry() {
    in_every_order(3, || {
        let maps = Maps::new(2, false);
        let other = maps.clone();
        let other = thread::spawn(move || syn(&other, 1));
        let passed = [syn(&maps, 1), other.join().unwrap()];
        assert!(maps.reachable().len() <= 1);
        assert!(!passed.contains(&true) || maps.reachable() == [1], "a SYN passed without an entry");
    });
}

/// At most three interruptions.
#[test]
fn entries_of_two_cpus_find_their_places() {
    in_every_order(3, || {
        let maps = Maps::new(2, true);
        let other = maps.clone();
        let other = thread::spawn(move || syn(&other, 1));
        assert!(syn(&maps, 2));
        assert!(other.join().unwrap());
        let mut reachable = maps.reachable();
        reachable.sort_unstable();
        assert_eq!(reachable, [1, 2], "and the expired one is gone");
    });
}

/// At most three interruptions.
#[test]
fn a_removal_has_one_winner_and_hits_no_later_entry() {
    in_every_order(3, || {
        let maps = Maps::new(1, false);
        assert!(syn(&maps, 1));
        let other = maps.clone();
        let other = thread::spawn(move || end(&other, 1));
        let own = end(&maps, 1);
        let made = syn(&maps, 2);
        assert_eq!(u32::from(own) + u32::from(other.join().unwrap()), 1, "one winner");
        // Without room while the other has not made the way free.
        assert_eq!(maps.reachable(), if made { vec![2] } else { vec![] });
    });
}

/// One CPU is held up while the other makes an entry come and go. At most three interruptions.
#[test]
fn a_version_that_was_read_too_early_loses_nothing() {
    in_every_order(3, || {
        let maps = Maps::new(1, false);
        let other = maps.clone();
        let other = thread::spawn(move || syn(&other, 1));
        let (first, removed) = (syn(&maps, 2), end(&maps, 2));
        assert_eq!(first, removed);
        let second = syn(&maps, 3);
        let other = other.join().unwrap();
        assert!(!(other && second), "there is one way");
        assert_eq!(
            maps.reachable(),
            if other {
                vec![1]
            } else if second {
                vec![3]
            } else {
                vec![]
            }
        );
    });
}

/// Memory that one CPU still reads is used for another entry. At most three interruptions.
#[test]
fn memory_that_is_used_anew_makes_no_entry_go() {
    in_every_order(3, || {
        let maps = Maps::new(3, true);
        let other = maps.clone();
        let other = thread::spawn(move || syn(&other, 1));
        let stranger = Own(&maps, STRANGER);
        assert!(find(&stranger, BUCKET, NOW).is_none());
        let passed = [syn(&maps, 1), other.join().unwrap()];
        assert!(maps.reachable().len() <= 1);
        assert!(!passed.contains(&true) || maps.reachable() == [1], "a SYN passed without an entry");
    });
}
