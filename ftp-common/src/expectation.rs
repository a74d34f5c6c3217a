//! A data connection that was negotiated and has not been opened.

use core::mem::offset_of;

use crate::keys::{ConnectionKey, Mode};

/// Half-open connections that one expectation allows at a time.
pub const HALF_OPEN: usize = 4;
/// How long a half-open connection keeps its slot, in nanoseconds: the client's first
/// retransmission of a SYN (RFC 6298 §2: 1 s) finds the slot free.
pub const HALF_OPEN_LIFE: u64 = crate::SECOND;

/// One half-open connection. All zero: a free slot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HalfOpen {
    /// When its SYN passed first, nanoseconds.
    pub since: u64,
}

/// Value of the USED map: who has used an expectation of that key up last. While that session lives, the next
/// connection is told so.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Used {
    /// The control connection.
    pub session: ConnectionKey,
    /// Id of its session.
    pub session_id: u64,
}

/// Value of the EXPECTATIONS map. [`use_up`] says who has accepted it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expectation {
    /// Id of the session that negotiated it; it is valid only while that session lives.
    pub session_id: u64,
    /// When it expires, nanoseconds.
    pub expires: u64,
    /// The control connection.
    pub session: ConnectionKey,
    /// Distinguishes it from an earlier one of the same session at the same port.
    pub serial: u32,
    /// Connections established on it so far; above 0 in active mode only. Changed by [`Self::ONE_USE`].
    pub uses: u16,
    /// The session's count of transfer commands when its PORT was read.
    pub transfers_before: u16,
    /// Connections whose handshake is not complete.
    pub half_open: [HalfOpen; HALF_OPEN],
}

impl Expectation {
    /// What one use adds to the word of `uses` and `transfers_before`: atomic addition has whole words only.
    pub const ONE_USE: u32 = if cfg!(target_endian = "little") { 1 } else { 1 << 16 };

    /// Whether a further connection may begin, given the session's count of transfer commands now:
    /// the first may; in active mode one more for each further transfer command, as the PORT serves
    /// again until it is replaced (RFC 959 §3.2, "default data port"; proftpd connects anew).
    #[inline(always)]
    #[must_use]
    pub const fn may_begin(&self, transfers: u16) -> bool {
        self.uses == 0 || self.uses < transfers.wrapping_sub(self.transfers_before)
    }

    /// Reserves a slot for a connection whose SYN passes at `now`; false when all are in use.
    #[inline(always)]
    pub fn reserve_half_open(&mut self, now: u64) -> bool {
        let mut i = 0;
        while i < HALF_OPEN {
            let slot = &mut self.half_open[i];
            if slot.since == 0 || now.wrapping_sub(slot.since) > HALF_OPEN_LIFE {
                slot.since = now;
                return true;
            }
            i += 1;
        }
        false
    }

    /// Frees the slot of a connection whose SYN passed at `since`.
    #[inline(always)]
    pub fn release_half_open(&mut self, since: u64) {
        let mut i = 0;
        while i < HALF_OPEN {
            if self.half_open[i].since == since {
                self.half_open[i].since = 0;
            }
            i += 1;
        }
    }
}

const _: () = assert!(size_of::<Expectation>() == 96);
const _: () = assert!(offset_of!(Expectation, uses) % 4 == 0 && offset_of!(Expectation, transfers_before) % 4 == 2);

/// An expectation where it lies, while other CPUs use it up and withdraw it.
pub trait Shared {
    /// Deletes it; false if it was gone.
    fn delete(&mut self) -> bool;
    /// Whether one more connection may begin: [`Expectation::may_begin`]; and [`Expectation::uses`].
    fn uses(&self) -> (bool, u16);
    /// Counts one use, atomically.
    fn add_use(&mut self);
    /// Takes one back, atomically.
    fn take_use_back(&mut self);
    /// Whether its session lives and has not withdrawn it.
    fn stands(&self) -> bool;
}

/// Uses it up for one connection. False if another was first, or it was withdrawn.
///
/// A passive one is gone then: who deletes it wins. An active one stays for the next transfer command, and must not leave
/// the map, as withdrawing it would miss it: who counts a use and then finds it to be the only new one wins. Of two CPUs
/// at most one does. Both may lose: their counts are taken back, and no transfer command is lost by it.
#[inline(always)]
pub fn use_up<S: Shared>(shared: &mut S, mode: Mode) -> bool {
    let (may_begin, before) = shared.uses();
    if !may_begin || !shared.stands() {
        return false;
    }
    if mode == Mode::Passive {
        return shared.delete();
    }
    shared.add_use();
    let is_first = shared.uses().1 == before.wrapping_add(1);
    if !is_first {
        shared.take_use_back();
    }
    is_first
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One where it lies, and what another CPU does at the moment of a use.
    #[derive(Default)]
    struct Lies {
        expectation: Expectation,
        transfers: u16,
        is_there: bool,
        withdrawn: bool,
        used_by_another: bool,
    }

    impl Shared for Lies {
        fn delete(&mut self) -> bool {
            core::mem::take(&mut self.is_there)
        }

        fn uses(&self) -> (bool, u16) {
            (self.expectation.may_begin(self.transfers), self.expectation.uses)
        }

        fn add_use(&mut self) {
            self.expectation.uses += 1 + u16::from(self.used_by_another);
        }

        fn take_use_back(&mut self) {
            self.expectation.uses -= 1;
        }

        fn stands(&self) -> bool {
            !self.withdrawn
        }
    }

    #[test]
    fn a_passive_one_is_used_up_by_who_deletes_it() {
        let mut one = Lies { is_there: true, ..Lies::default() };
        assert!(use_up(&mut one, Mode::Passive) && !one.is_there);
        assert!(!use_up(&mut one, Mode::Passive), "another was first");
        let mut withdrawn = Lies { is_there: true, withdrawn: true, ..Lies::default() };
        assert!(!use_up(&mut withdrawn, Mode::Passive) && withdrawn.is_there);
        let mut used = Lies { is_there: true, ..Lies::default() };
        used.expectation.uses = 1;
        assert!(!use_up(&mut used, Mode::Passive) && used.is_there);
    }

    #[test]
    fn an_active_one_stays_and_counts() {
        let mut one = Lies { is_there: true, transfers: 1, ..Lies::default() };
        assert!(use_up(&mut one, Mode::Active) && one.is_there);
        assert!(
            !use_up(&mut one, Mode::Active) && one.expectation.uses == 1,
            "that transfer command has had its connection"
        );
        let mut raced = Lies { transfers: 2, used_by_another: true, ..Lies::default() };
        assert!(!use_up(&mut raced, Mode::Active));
        assert_eq!(raced.expectation.uses, 1, "its own is taken back");
    }

    #[test]
    fn four_half_open_connections_and_no_more_until_one_is_old() {
        let mut expectation = Expectation::default();
        for now in 1..=4 {
            assert!(expectation.reserve_half_open(now));
        }
        assert!(!expectation.reserve_half_open(5));
        assert!(!expectation.reserve_half_open(1 + HALF_OPEN_LIFE));
        assert!(expectation.reserve_half_open(2 + HALF_OPEN_LIFE));
        assert!(!expectation.reserve_half_open(2 + HALF_OPEN_LIFE));
    }

    #[test]
    fn a_refused_connection_gives_its_slot_back() {
        let mut expectation = Expectation::default();
        for now in 1..=4 {
            assert!(expectation.reserve_half_open(now));
        }
        expectation.release_half_open(3);
        assert!(expectation.reserve_half_open(5));
        assert!(!expectation.reserve_half_open(6));
    }

    #[test]
    fn a_port_serves_once_for_each_transfer_command() {
        let mut expectation = Expectation { transfers_before: 65535, ..Expectation::default() };
        assert!(expectation.may_begin(65535), "the server may connect before we see the RETR");
        expectation.uses = 1;
        assert!(!expectation.may_begin(65535));
        assert!(!expectation.may_begin(0), "that RETR has had its connection");
        assert!(expectation.may_begin(1), "the second RETR, the count having wrapped");
        expectation.uses = 2;
        assert!(!expectation.may_begin(1));
    }
}
