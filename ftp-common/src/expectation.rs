//! A data connection that was negotiated and has not begun.

use crate::keys::ConnectionKey;

/// Unfinished connections that one expectation lets stand at a time.
pub const HALF_OPEN: usize = 4;
/// How long an unfinished connection keeps its place, in nanoseconds: the client's first
/// retransmission of a SYN (RFC 6298 §2: 1 s) finds the place free.
pub const HALF_OPEN_LIFE: u64 = crate::SECOND;

/// One unfinished connection. All zero: a free place.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HalfOpen {
    /// When its SYN passed first, nanoseconds.
    pub since: u64,
}

/// Value of the EXPECTATIONS map. Deleting it is claiming it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Expectation {
    /// Generation of the session that negotiated it; it holds only while that session lives.
    pub generation: u64,
    /// When it expires, nanoseconds.
    pub expires: u64,
    /// The control connection.
    pub session: ConnectionKey,
    /// Tells it from an earlier one of the same session at the same port.
    pub serial: u32,
    /// Connections established on it so far; above 0 in active mode only.
    pub uses: u16,
    /// The session's count of transfer commands when its PORT was read.
    pub transfers_before: u16,
    /// Connections whose handshake is not complete.
    pub half_open: [HalfOpen; HALF_OPEN],
}

impl Expectation {
    /// Whether a further connection may begin, given the session's count of transfer commands now:
    /// the first may; in active mode one more for each further transfer command, as the PORT serves
    /// again until it is replaced (RFC 959 §3.2, "default data port"; proftpd connects anew).
    #[inline(always)]
    #[must_use]
    pub const fn may_begin(&self, transfers: u16) -> bool {
        self.uses == 0 || self.uses < transfers.wrapping_sub(self.transfers_before)
    }

    /// Takes a place for a connection that begins at `now`; false when all are taken.
    #[inline(always)]
    pub fn take_place(&mut self, now: u64) -> bool {
        let mut i = 0;
        while i < HALF_OPEN {
            let place = &mut self.half_open[i];
            if place.since == 0 || now.wrapping_sub(place.since) > HALF_OPEN_LIFE {
                place.since = now;
                return true;
            }
            i += 1;
        }
        false
    }

    /// Gives back the place of a connection that began at `since`.
    #[inline(always)]
    pub fn free_place(&mut self, since: u64) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_half_open_connections_and_no_more_until_one_is_old() {
        let mut expectation = Expectation::default();
        for now in 1..=4 {
            assert!(expectation.take_place(now));
        }
        assert!(!expectation.take_place(5));
        assert!(expectation.take_place(2 + HALF_OPEN_LIFE));
        assert!(!expectation.take_place(2 + HALF_OPEN_LIFE));
    }

    #[test]
    fn a_refused_connection_gives_its_place_back() {
        let mut expectation = Expectation::default();
        for now in 1..=4 {
            assert!(expectation.take_place(now));
        }
        expectation.free_place(3);
        assert!(expectation.take_place(5));
        assert!(!expectation.take_place(6));
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
