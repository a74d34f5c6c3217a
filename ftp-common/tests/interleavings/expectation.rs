//! Using an expectation up ([`ftp_common::expectation::use_up`]) and withdrawing it.

use std::array;

use ftp_common::expectation::{Expectation, Shared, use_up};
use ftp_common::keys::Mode;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, AtomicU32, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use loom::thread;

use crate::in_every_order;

/// The expectation, and what of its session counts.
struct Place {
    there: AtomicBool,
    uses: AtomicU32,
    withdrawn: AtomicBool,
}

impl Place {
    fn new() -> Arc<Self> {
        Arc::new(Self { there: AtomicBool::new(true), uses: AtomicU32::new(0), withdrawn: AtomicBool::new(false) })
    }

    /// A connection whose handshake is complete. `transfers`: commands so far, the PORT came before.
    fn establish(&self, mode: Mode, transfers: u16) -> bool {
        self.there.load(Acquire) && use_up(&mut Cpu { place: self, transfers }, mode)
    }

    /// As the kernel program does.
    fn withdraw(&self) -> bool {
        self.withdrawn.store(true, Release);
        self.there.swap(false, AcqRel)
    }
}

struct Cpu<'a> {
    place: &'a Place,
    transfers: u16,
}

impl Shared for Cpu<'_> {
    fn delete(&mut self) -> bool {
        self.place.there.swap(false, AcqRel)
    }

    fn uses(&self) -> (bool, u16) {
        let uses = self.place.uses.load(Acquire) as u16;
        (Expectation { uses, ..Expectation::default() }.may_begin(self.transfers), uses)
    }

    fn add_use(&mut self) {
        self.place.uses.fetch_add(1, AcqRel);
    }

    fn take_use_back(&mut self) {
        self.place.uses.fetch_sub(1, AcqRel);
    }

    fn stands(&self) -> bool {
        !self.place.withdrawn.load(Acquire)
    }
}

/// How many of so many CPUs establish a connection.
fn at_once<const CPUS: usize>(place: &Arc<Place>, mode: Mode, transfers: u16) -> u16 {
    let others: [_; CPUS] = array::from_fn(|_| {
        let place = place.clone();
        thread::spawn(move || place.establish(mode, transfers))
    });
    others.into_iter().map(|other| u16::from(other.join().unwrap())).sum()
}

/// Three CPUs, at most two interruptions.
#[test]
fn a_passive_one_serves_one_connection() {
    in_every_order(2, || {
        assert_eq!(at_once::<3>(&Place::new(), Mode::Passive, 0), 1);
    });
}

/// Three CPUs, at most two interruptions.
#[test]
fn an_active_one_serves_one_connection_for_each_transfer() {
    in_every_order(2, || {
        let place = Place::new();
        let served = at_once::<3>(&place, Mode::Active, 1);
        assert!(served <= 1);
        assert_eq!(place.uses.load(Acquire), u32::from(served), "who lost has not used it");
        assert_eq!(place.establish(Mode::Active, 1), served == 0);
        assert!(place.establish(Mode::Active, 2), "the next transfer's connection");
    });
}

/// Two CPUs use it and one withdraws it, at most two interruptions.
#[test]
fn what_was_withdrawn_does_not_come_back() {
    for mode in [Mode::Passive, Mode::Active] {
        in_every_order(2, move || {
            let place = Place::new();
            let own = place.clone();
            let withdrawing = thread::spawn(move || own.withdraw());
            let served = at_once::<2>(&place, mode, 1);
            let withdrawn = withdrawing.join().unwrap();
            assert!(served <= 1);
            assert!(mode == Mode::Active || u16::from(withdrawn) + served <= 1, "who deletes it wins");
            assert!(!place.there.load(Acquire));
            assert!(!place.establish(mode, 9));
        });
    }
}
