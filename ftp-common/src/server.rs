//! The server's half of a session: the order of its bytes, what it has acknowledged, and what its
//! replies have decided ([`crate::dialogue`]).

use crate::address::Address;
use crate::client::{ClientHalf, Command};
use crate::counter::{Counter, Tally};
use crate::flow::tcp;
use crate::reply::ReplyParser;
use crate::sequence::{after, before, is_near};
use crate::session::{Intake, MOST_HELD, Segment};

/// A data connection that a session has negotiated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Negotiated {
    /// Whose client address: [`Address::ANY`] for any.
    pub client: Address,
    /// The listening port, host byte order.
    pub port: u16,
    /// [`crate::keys::Mode::number`]; 0: nothing.
    pub mode: u8,
    /// Always 0.
    pub zero: u8,
    /// The session's count of transfer commands before it.
    pub transfers_before: u16,
    /// Always 0.
    pub zero2: u16,
}

/// What a segment's replies change about the session's expectation.
pub mod decision {
    /// Nothing.
    pub const KEEP: u8 = 0;
    /// It goes.
    pub const WITHDRAW: u8 = 1;
    /// Another takes its place.
    pub const REPLACE: u8 = 2;
}

/// Whether a session can be read.
pub mod opaque {
    /// It can.
    pub const NOT: u8 = 0;
    /// It is encrypted: by an accepted AUTH, or from the first byte on.
    pub const ENCRYPTED: u8 = 1;
    /// Multipath TCP: other connections may carry its bytes.
    pub const MULTIPATH: u8 = 2;
}

/// Written by packets of the server only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ServerHalf {
    /// When the last reply ended, nanoseconds.
    pub last_word: u64,
    /// Position of the next byte.
    pub next: u32,
    /// The client's bytes that the server has acknowledged.
    pub acked: u32,
    /// Commands taken out of the ring so far.
    pub tail: u32,
    /// The client half's count of lost steps that this half has anchored for.
    pub anchored_for: u32,
    /// The client's next position at the last anchor.
    pub anchor: u32,
    /// Counts expectations of this session.
    pub serial: u32,
    /// Counts anchors; commands of an earlier epoch are void.
    pub epoch: u16,
    /// One of [`opaque`]: whether it can be read.
    pub opaque: u8,
    /// FIN in sequence was seen.
    pub fin: u8,
    /// The greeting was seen: the first final reply, which answers no command.
    pub greeted: u8,
    /// A 1xx was seen and its final reply not yet.
    pub transfer: u8,
    /// While not in step: a whole exchange was seen and nothing waits.
    pub witnessed: u8,
    /// Early segments held back in a row.
    pub held: u8,
    /// One of [`decision`]; for the caller to carry out and reset.
    pub decision: u8,
    /// 1: the expectation's time begins anew; for the caller to carry out and reset.
    pub renew: u8,
    /// Always 0.
    pub zero: [u8; 2],
    /// Counts final replies, those that answer nothing too.
    pub finals: u32,
    /// The command that the last final reply answered.
    pub taken: Command,
    /// The expectation to be made, with [`decision::REPLACE`].
    pub wanted: Negotiated,
    /// The expectation that stands.
    pub standing: Negotiated,
    /// The parser.
    pub parser: ReplyParser,
}

impl ServerHalf {
    #[inline(always)]
    pub(crate) fn start(&mut self, next: u32, acked: u32, multipath: bool) {
        self.next = next;
        self.acked = acked;
        if multipath {
            self.opaque = opaque::MULTIPATH;
        }
    }

    #[inline(always)]
    pub(crate) fn meet(&mut self, segment: &Segment) {
        self.greeted = 1;
        self.epoch = 1;
        self.next = segment.seq;
        self.anchor = segment.ack;
        self.acked = segment.ack;
        self.parser.skip_to_line_end();
    }

    /// Takes this packet's numbers for what they are: the next positions of both sides. What waited,
    /// and what was expected, is void.
    #[inline(always)]
    fn anchor_at(&mut self, client: &ClientHalf, segment: &Segment) {
        if segment.seq != self.next {
            self.next = segment.seq;
            self.parser.skip_to_line_end();
        }
        self.anchor = segment.ack;
        self.acked = segment.ack;
        self.anchored_for = client.lost;
        self.tail = client.head;
        self.epoch = self.epoch.wrapping_add(1);
        self.greeted = 1;
        self.transfer = 0;
        self.witnessed = 0;
        self.held = 0;
        self.decision = decision::WITHDRAW;
    }

    /// Decides what to do with a segment of the server, and notes what it acknowledges.
    ///
    /// `may_hold` as for the client's: the server host's own egress is never held back. `trusted`: this
    /// host's own TCP made it; others' packets must lie near the positions that we know, so that a
    /// blind one with the server's address doesn't move them.
    #[inline(always)]
    pub fn receive(
        &mut self,
        client: &ClientHalf,
        segment: &Segment,
        may_hold: bool,
        trusted: bool,
        tally: &mut Tally,
    ) -> Intake {
        let client_next = if client.epoch == self.epoch { client.next } else { self.anchor };
        let near = is_near(segment.seq, self.next) && is_near(segment.ack, client_next);
        if !(trusted || near) {
            return Intake::Pass; // anybody's guess
        }
        if client.lost != self.anchored_for {
            self.anchor_at(client, segment);
        }
        let client_next = if client.epoch == self.epoch { client.next } else { self.anchor };
        if after(segment.ack, client_next) {
            tally.mark(Counter::StepsLost); // it has bytes of the client that we haven't
            self.anchor_at(client, segment);
        } else if after(segment.ack, self.acked) {
            self.acked = segment.ack;
        }
        if segment.length == 0 && !segment.has(tcp::FIN) {
            return Intake::Pass;
        }
        if self.fin != 0 && segment.length != 0 && after(segment.end(), self.next.wrapping_sub(1)) {
            // Bytes in the place of the FIN, or behind it: that FIN was not this sender's.
            tally.mark(Counter::StepsLost);
            self.fin = 0;
            self.anchor_at(client, segment);
            return Intake::Read { skip: 0, compare: 0 };
        }
        let ahead = segment.seq.wrapping_sub(self.next);
        if ahead == 0 {
            self.held = 0;
            return Intake::Read { skip: 0, compare: 0 };
        }
        if before(segment.seq, self.next) {
            let behind = self.next.wrapping_sub(segment.seq);
            return if behind >= segment.length { Intake::Pass } else { Intake::Read { skip: behind, compare: 0 } };
        }
        if may_hold && is_near(segment.seq, self.next) && client.settled != 0 && self.held < MOST_HELD {
            self.held += 1;
            return Intake::Hold;
        }
        tally.mark(Counter::StepsLost);
        self.anchor_at(client, segment);
        Intake::Read { skip: 0, compare: 0 }
    }

    /// Takes the next byte; true when it ended a line, which [`Self::end_line`] must be told.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> bool {
        self.next = self.next.wrapping_add(1);
        self.parser.push(byte)
    }

    /// All bytes of a segment were read: a FIN behind them is in sequence.
    #[inline(always)]
    pub fn finish(&mut self, segment: &Segment) {
        if segment.has(tcp::FIN) && self.fin == 0 && segment.end() == self.next {
            self.fin = 1;
            self.next = self.next.wrapping_add(1);
            self.decision = decision::WITHDRAW;
        }
    }

    /// Follows positions only, in an opaque session.
    #[inline(always)]
    pub fn follow(&mut self, segment: &Segment) {
        if segment.seq == self.next {
            self.acked = segment.ack;
            self.next = segment.end();
            self.finish(segment);
        }
    }
}
