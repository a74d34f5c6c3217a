//! The server's half of a session: the order of its bytes, what it has acknowledged, and what its
//! replies have decided ([`crate::dialogue`]).

use crate::counter::{Counter, Tally};
use crate::flow::tcp;
use crate::keys::ConnectionKey;
use crate::policy::ServerPolicy;
use crate::reply::Reply;
use crate::segment::{Intake, MOST_HELD, Segment};
use crate::sequence::{after, before, is_near};
use crate::session::{ClientHalf, ServerHalf, decision, opaque};

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
    ///
    /// Only tests and the model call it: the kernel program runs the parser over a whole piece at a time.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> bool {
        self.next = self.next.wrapping_add(1);
        self.parser.push(byte)
    }

    /// A line has ended: if it ends a reply, that answers a command.
    #[inline(always)]
    pub fn end_line(
        &mut self,
        client: &ClientHalf,
        key: &ConnectionKey,
        policy: &ServerPolicy,
        ack: u32,
        now: u64,
        tally: &mut Tally,
    ) {
        let mut reply = Reply::default();
        if !self.parser.end_line(&mut reply) {
            if self.parser.is_tls() && self.greeted == 0 {
                self.encrypted(tally); // implicit FTPS: TLS in the place of a greeting
            }
            return;
        }
        tally.mark(Counter::Replies);
        self.last_word = now;
        if reply.code < 200 {
            self.transfer = 1;
            self.renew = 1;
            return;
        }
        self.finals = self.finals.wrapping_add(1);
        if reply.code == 421 {
            return; // the server says that it goes away; pyftpdlib does so between two replies
        }
        if self.greeted == 0 {
            // Whatever its code and whatever was sent before it: the server speaks first.
            self.greeted = 1;
            self.transfer = 0; // a 120 may have come before it
            return;
        }
        if reply.code == 234 || reply.code == 235 {
            self.encrypted(tally);
            return;
        }
        if self.take_command(client, reply.code, ack) {
            self.answer(client, key, policy, &reply, tally);
        } else {
            self.answers_nothing(&reply, tally);
        }
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
