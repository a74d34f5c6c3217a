//! Passive data connections that the server has closed: what must not begin them again.
//!
//! A host under a flood of SYNs keeps nothing of a handshake: its SYN-ACK's number is a cookie, and an acknowledgement
//! of it opens the connection, for two minutes and as often as it comes while the host has no connection of these
//! addresses and ports. Linux (`check_tcp_syn_cookie`) takes from the acknowledgement the sequence number and a secret of
//! the addresses and ports, and wants 0 to 3 to be left (the index of a segment size). So what counts is the distance of
//! the two numbers, not where they are.

use crate::SECOND;
use crate::flow::{Flow, tcp};
use crate::half_open::LIFE;
use crate::segment::Segment;

/// How long a host that has sent FIN keeps the connection at least, nanoseconds. Linux does so for `tcp_fin_timeout`: 60 s,
/// and nobody sets it below this. So long the client may take to close after a transfer of next to nothing, which leaves
/// the numbers where they were.
pub const FIN_WAIT: u64 = 5 * SECOND;
/// How long after a FIN of the server its acknowledgement may come, nanoseconds. The host gives a connection up a while
/// after it has sent the last FIN.
pub const LAST_ACK: u64 = SECOND;
/// Numbers next to a cookie that are one, too.
const SIZES: u32 = 3;
/// Connections of the same addresses and ports that are remembered.
pub const HANDSHAKES: usize = 4;

/// Places of CLOSED_UNTIL, each until when CLOSED may have a connection whose hash leads there; a power of two. A
/// connection that has none needs no look-up; many of a place cost one.
pub const PLACES: u32 = 1 << 16;
/// How long a connection may be in CLOSED, in jiffies of the fastest kernel (1,200 a second): with others it is longer.
const LIFE_IN_JIFFIES: u32 = (LIFE / SECOND) as u32 * 1200;

/// The place of connections of that [`crate::half_open::hash`].
#[inline(always)]
#[must_use]
pub const fn place(hash: u64) -> u32 {
    (hash >> 20) as u32 & (PLACES - 1)
}

/// What a place holds from a moment on, for as long as a connection that is noted then may matter. Never 0.
#[inline(always)]
#[must_use]
pub const fn until(jiffies: u64) -> u32 {
    (jiffies as u32).wrapping_add(LIFE_IN_JIFFIES) | 1
}

/// Whether a place that holds this is over. After 24 days at 1,000 jiffies a second one that is over looks as if it
/// were not for as long, which costs look-ups.
#[inline(always)]
#[must_use]
pub const fn is_over(until: u32, jiffies: u64) -> bool {
    (until.wrapping_sub(jiffies as u32)).cast_signed() <= 0
}

/// What is known of the client's last acknowledgement.
pub mod last {
    /// There is none to come.
    pub const NONE: u32 = 0;
    /// It may come.
    pub const AWAITED: u32 = 1;
    /// It has passed.
    pub const PASSED: u32 = 2;
}

/// Numbers of a handshake. All zero: none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Handshake {
    /// How far the number of the SYN-ACK lies behind that of the SYN.
    pub distance: u32,
    /// Until when they may make a cookie: seconds of `CLOCK_MONOTONIC`.
    pub until: u32,
}

/// Value of the CLOSED map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Closed {
    /// From when on its numbers are denied, nanoseconds of `CLOCK_MONOTONIC`.
    pub from: u64,
    /// Until when the client's last acknowledgement may come, nanoseconds.
    pub last_until: u64,
    /// The latest connections, around [`Self::next`].
    pub handshakes: [Handshake; HANDSHAKES],
    /// Where the client's last acknowledgement is, of the server's FIN: sequence number and what it acknowledges.
    pub last: [u32; 2],
    /// One of [`last`]. The server's host waits for that acknowledgement while it sends its FIN. It passes once for each: when
    /// the host has it, it has no connection any more.
    pub state: u32,
    /// Where the next one goes, modulo their number.
    pub next: u32,
}

impl Closed {
    /// Whether one connection that may be there and one that begins can be remembered: a SYN may pass.
    #[inline(always)]
    #[must_use]
    pub const fn has_room(&self, now: u64) -> bool {
        self.at(self.next).until <= seconds(now) && self.at(self.next.wrapping_add(1)).until <= seconds(now)
    }

    const fn at(&self, index: u32) -> &Handshake {
        &self.handshakes[index as usize % HANDSHAKES]
    }

    /// The distance of the numbers of a flow's handshake.
    #[inline(always)]
    #[must_use]
    pub const fn distance(flow: &Flow) -> u32 {
        flow.syn_ack_seq.wrapping_sub(flow.syn_seq)
    }

    /// The server has closed a flow of that [`Self::distance`]: nothing begins by its numbers from `from` on.
    #[inline(always)]
    pub const fn add(&mut self, distance: u32, now: u64, from: u64) {
        let latest = self.at(self.next.wrapping_sub(1));
        if latest.until == 0 || latest.distance != distance {
            self.next = self.next.wrapping_add(1);
            self.state = last::NONE;
        }
        let until = seconds(now.wrapping_add(LIFE));
        self.handshakes[self.next.wrapping_sub(1) as usize % HANDSHAKES] = Handshake { distance, until };
        self.from = from;
    }

    /// The server has sent its FIN.
    #[inline(always)]
    pub const fn await_last(&mut self, fin: &Segment, now: u64) {
        self.last = [fin.ack, fin.end().wrapping_add(1)];
        self.last_until = now.wrapping_add(LAST_ACK);
        self.state = last::AWAITED;
    }

    /// A segment of the server behind that. It says what it has of the client: not its FIN yet, where both closed at
    /// once. A FIN that comes again shows that the host has the connection.
    #[inline(always)]
    pub const fn server_says(&mut self, segment: &Segment, now: u64) {
        if self.state == last::NONE {
            return;
        }
        if segment.has(tcp::FIN) {
            self.await_last(segment, now);
        }
        self.last[0] = segment.ack;
    }

    /// The client has closed after the server. If it knows of the server's FIN, no acknowledgement of that comes by itself.
    #[inline(always)]
    pub const fn client_closes(&mut self, fin: &Segment) {
        if fin.ack == self.last[1] {
            self.state = last::NONE;
        }
    }

    /// The client resets: the host may have no connection from now on.
    #[inline(always)]
    pub const fn client_resets(&mut self) {
        self.from = 0;
        self.state = last::NONE;
    }

    /// Whether a segment of the client would open the connection again, and must not pass.
    #[inline(always)]
    #[must_use]
    pub const fn denies(&mut self, seq: u32, ack: u32, now: u64) -> bool {
        let mut is_cookie = false;
        let mut i = 0;
        while i < HANDSHAKES {
            let left = ack.wrapping_sub(seq).wrapping_sub(self.handshakes[i].distance);
            is_cookie |= left.wrapping_add(SIZES) <= 2 * SIZES && self.handshakes[i].until > seconds(now);
            i += 1;
        }
        // Where both close at once, the client's FIN may not be in what the server has yet.
        let is_last = ack == self.last[1] && (seq == self.last[0] || seq == self.last[0].wrapping_add(1));
        if self.state == last::AWAITED && is_last && now <= self.last_until {
            // Whether it looks like a cookie or not: the host may have no connection then.
            self.state = last::PASSED;
            return false;
        }
        is_cookie && now >= self.from
    }
}

const _: () = assert!(size_of::<Closed>() == 64);

#[inline(always)]
const fn seconds(time: u64) -> u32 {
    (time / SECOND) as u32
}

#[cfg(test)]
#[path = "closed_tests.rs"]
mod tests;
