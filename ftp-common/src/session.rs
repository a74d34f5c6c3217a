//! One control connection being followed: value of the SESSIONS map.
//!
//! Two CPUs may handle its two directions at once and no lock is possible on an LRU map, so each
//! direction owns a half: packets of the client write only [`ClientHalf`], packets of the server
//! only [`ServerHalf`], and each reads of the other what was published before.

use crate::client::{ClientHalf, Command, RING};
use crate::flow::tcp;
use crate::server::ServerHalf;

/// A TCP segment of a control connection. Numbers in host byte order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Segment {
    /// Sequence number of the first byte.
    pub seq: u32,
    /// Acknowledgement number; only with the ACK flag.
    pub ack: u32,
    /// Bytes of payload.
    pub length: u32,
    /// Bits of [`tcp`].
    pub flags: u8,
    /// It is urgent, and its urgent byte is no Telnet command or lies elsewhere. The receiver may take
    /// that byte out of the stream (RFC 6093 §3.1), so what it reads isn't what we read.
    pub hides_a_byte: bool,
}

impl Segment {
    /// Whether a flag is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The position behind its last byte, FIN not counted.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length)
    }
}

/// What to do with a segment of a control connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Intake {
    /// Let it pass unread.
    Pass,
    /// Hold it back: it is early, and TCP repeats it once the missing bytes have passed.
    Hold,
    /// Read it, then let it pass.
    Read {
        /// Bytes at its front that have been read and acknowledged before.
        skip: u32,
        /// Bytes behind them that have been read and not acknowledged: they must be the same.
        compare: u32,
    },
}

/// Early segments that are held back in a row before the session gives up its step instead.
pub const MOST_HELD: u8 = 64;

/// Value of the HANDSHAKES map: what a SYN-ACK on a control port said.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Handshake {
    /// The client's first byte.
    pub client_next: u32,
    /// The server's first byte.
    pub server_next: u32,
    /// 1: both ends agreed on Multipath TCP, so other connections may carry this one's bytes.
    pub multipath: u32,
    /// One of [`idle`].
    pub idle: u32,
}

/// Handshakes that user space enters, for connections that were there before the filter. Their
/// positions count for nothing: the server's socket knows them.
pub mod idle {
    /// It was a SYN-ACK.
    pub const NOT: u32 = 0;
    /// Nothing was under way: the next command begins the session.
    pub const FOUND: u32 = 1;
    /// User space is about to look at the socket; any word meanwhile removes the entry.
    pub const LOOKED_AT: u32 = 2;
}

/// Value of the SESSIONS map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Session {
    /// Unlike that of any other session, past or present; never 0.
    pub generation: u64,
    /// When it was first seen, nanoseconds.
    pub since: u64,
    /// Written by packets of the client.
    pub client: ClientHalf,
    /// Written by packets of the server.
    pub server: ServerHalf,
}

impl Session {
    /// Begins a session at its handshake: the parsers start at byte one. The value must be zeroed.
    #[inline(always)]
    pub fn start(&mut self, generation: u64, now: u64, handshake: &Handshake) {
        self.generation = generation;
        self.since = now;
        self.client.start(handshake.client_next, handshake.server_next);
        self.server.start(handshake.server_next, handshake.client_next, handshake.multipath != 0);
    }

    /// Begins a session that was there before the filter, between two exchanges. The value must be zeroed.
    #[inline(always)]
    pub fn adopt(&mut self, generation: u64, now: u64, segment: &Segment) {
        let handshake = Handshake { client_next: segment.seq, server_next: segment.ack, ..Handshake::default() };
        self.start(generation, now, &handshake);
        self.server.greeted = 1;
    }

    /// Begins a session at a packet of the server, somewhere in the middle. The value must be zeroed.
    #[inline(always)]
    pub fn meet(&mut self, generation: u64, now: u64, segment: &Segment) {
        self.generation = generation;
        self.since = now;
        self.server.meet(segment);
    }

    /// Whether it can open anything at present.
    #[inline(always)]
    #[must_use]
    pub const fn is_in_step(&self) -> bool {
        self.server.opaque == 0
            && self.client.settled != 0
            && self.client.epoch == self.server.epoch
            && self.client.lost == self.server.anchored_for
    }

    /// Commands that wait for a reply.
    #[must_use]
    pub const fn waiting(&self) -> u32 {
        self.client.head.wrapping_sub(self.server.tail)
    }

    /// Those commands, the oldest first; at most [`RING`].
    pub fn waiting_commands(&self) -> impl Iterator<Item = Command> + use<> {
        let (ring, tail, count) = (self.client.ring, self.server.tail, self.waiting().min(RING as u32));
        (0..count).map(move |i| ring[tail.wrapping_add(i) as usize % RING])
    }

    /// Whether a reset from the client ends it: only one in sequence does (RFC 9293 §3.5.3).
    #[inline(always)]
    #[must_use]
    pub const fn client_resets(&self, segment: &Segment) -> bool {
        segment.has(tcp::RST) && self.client.epoch == self.server.epoch && segment.seq == self.client.next
    }

    /// Whether a reset from the server ends it.
    #[inline(always)]
    #[must_use]
    pub const fn server_resets(&self, segment: &Segment) -> bool {
        segment.has(tcp::RST) && segment.seq == self.server.next
    }

    /// Whether both ends have closed, and each knows of the other's FIN.
    #[inline(always)]
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.client.fin != 0
            && self.server.fin != 0
            && self.server.acked == self.client.next
            && self.client.acked == self.server.next
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
