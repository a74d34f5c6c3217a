//! The server's direction of a session: the order of its bytes, what it has acknowledged, and what
//! its replies decide ([`crate::dialogue`]).

use crate::counter::{Counter, Counts};
use crate::flow::tcp;
use crate::keys::ConnectionKey;
use crate::policy::ServerPolicy;
use crate::reply::Reply;
use crate::segment::{MAX_DEFERRED, Segment, SegmentAction};
use crate::sequence::{after, before, is_near, is_within};
use crate::session::{ClientState, ServerState, decision, opaque};

impl ServerState {
    #[inline(always)]
    pub(crate) fn start(&mut self, next: u32, acked: u32, multipath: bool) {
        self.next = next;
        self.acked = acked;
        if multipath {
            self.opaque = opaque::MULTIPATH;
        }
    }

    #[inline(always)]
    pub(crate) fn pick_up_midstream(&mut self, segment: &Segment) {
        self.greeted = 1;
        self.resync_epoch = 1;
        self.next = segment.seq;
        self.resync_seq = segment.ack;
        self.acked = segment.ack;
        self.parser.skip_to_line_end();
    }

    /// Resynchronizes both directions at this packet's numbers, which are the next positions of both ends.
    /// Pending commands and the expectation are void.
    #[inline(always)]
    fn resync_at(&mut self, client: &ClientState, segment: &Segment) {
        if segment.seq != self.next {
            self.next = segment.seq;
            self.parser.skip_to_line_end();
        }
        self.resync_seq = segment.ack;
        self.acked = segment.ack;
        self.resynced_for = client.desyncs;
        self.tail = client.head;
        self.resync_epoch = self.resync_epoch.wrapping_add(1);
        self.greeted = 1;
        self.transfer = 0;
        self.exchange_seen = 0;
        self.deferred = 0;
        self.decision = decision::WITHDRAW;
    }

    /// Decides what to do with a segment of the server, and notes what it acknowledges.
    ///
    /// `may_defer` as for the client's: the server host's own egress is never dropped. `trusted`: this
    /// host's own TCP made it; others' packets must lie near the known positions, so that a blind one
    /// with the server's address doesn't move them.
    #[inline(always)]
    pub fn receive(
        &mut self,
        client: &ClientState,
        segment: &Segment,
        may_defer: bool,
        trusted: bool,
        counts: &mut Counts,
    ) -> SegmentAction {
        let client_next = if client.resync_epoch == self.resync_epoch { client.next } else { self.resync_seq };
        let near = is_near(segment.seq, self.next) && is_near(segment.ack, client_next);
        if !(trusted || near) {
            return SegmentAction::Ignore; // a blind segment
        }
        if client.desyncs != self.resynced_for {
            self.resync_at(client, segment);
        }
        let client_next = if client.resync_epoch == self.resync_epoch { client.next } else { self.resync_seq };
        if after(segment.ack, client_next) {
            counts.raise(Counter::Desyncs); // it has bytes of the client that were not seen here
            self.resync_at(client, segment);
        } else if after(segment.ack, self.acked) {
            self.acked = segment.ack;
        }
        if segment.length == 0 && !segment.has(tcp::FIN) {
            return SegmentAction::Ignore;
        }
        if self.fin != 0 && segment.length != 0 && after(segment.end(), self.fin_end.wrapping_sub(1)) {
            // Bytes in the place of the FIN, or behind it: that FIN was not this sender's.
            counts.raise(Counter::Desyncs);
            self.fin = 0;
            self.resync_at(client, segment);
            return SegmentAction::Parse { skip: 0, compare: 0 };
        }
        let ahead = segment.seq.wrapping_sub(self.next);
        if ahead == 0 {
            self.deferred = 0;
            return SegmentAction::Parse { skip: 0, compare: 0 };
        }
        if before(segment.seq, self.next) {
            let behind = self.next.wrapping_sub(segment.seq);
            return if behind >= segment.length {
                SegmentAction::Ignore
            } else {
                SegmentAction::Parse { skip: behind, compare: 0 }
            };
        }
        if may_defer && is_near(segment.seq, self.next) && client.synced != 0 && self.deferred < MAX_DEFERRED {
            self.deferred += 1;
            return SegmentAction::Defer;
        }
        counts.raise(Counter::Desyncs);
        self.resync_at(client, segment);
        SegmentAction::Parse { skip: 0, compare: 0 }
    }

    /// Takes the next byte; true when it ended a line, and [`Self::end_line`] must be called.
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
        client: &ClientState,
        key: &ConnectionKey,
        policy: &ServerPolicy,
        ack: u32,
        now: u64,
        counts: &mut Counts,
    ) {
        let mut reply = Reply::default();
        if !self.parser.end_line(&mut reply) {
            if self.parser.is_tls() && self.greeted == 0 {
                self.encrypted(counts); // implicit FTPS: TLS in the place of a greeting
            }
            return;
        }
        counts.raise(Counter::Replies);
        self.last_reply_at = now;
        if reply.code < 200 {
            self.transfer = 1;
            self.renew = 1;
            return;
        }
        self.finals = self.finals.wrapping_add(1);
        if reply.code == 421 {
            return; // the server closes; pyftpdlib sends it between two replies
        }
        if self.greeted == 0 {
            // Whatever its code and whatever was sent before it: the server sends first.
            self.greeted = 1;
            self.transfer = 0; // a 120 may have come before it
            return;
        }
        if reply.code == 234 || reply.code == 235 {
            self.encrypted(counts);
            return;
        }
        if self.match_command(client, reply.code, ack) {
            self.answer(client, key, policy, &reply, counts);
        } else {
            self.answers_nothing(&reply, counts);
        }
    }

    /// A segment has been read or ignored. Its FIN counts anywhere between what the client has acknowledged and
    /// what was read.
    #[inline(always)]
    pub fn finish(&mut self, client: &ClientState, segment: &Segment) {
        let end = segment.end();
        if segment.has(tcp::FIN) && self.fin == 0 && is_within(end, client.acked, self.next) {
            self.fin = 1;
            self.fin_end = end.wrapping_add(1);
            if end == self.next {
                self.next = self.fin_end;
            }
            self.decision = decision::WITHDRAW;
        }
    }

    /// Follows positions only, in an opaque session. `trusted`: as for [`Self::receive`].
    #[inline(always)]
    pub fn follow(&mut self, client: &ClientState, segment: &Segment, trusted: bool) {
        let near = is_near(segment.seq, self.next);
        if !(trusted || near) {
            return;
        }
        if !near || after(segment.end(), self.next) {
            self.next = segment.end();
            self.fin = 0; // what came before these bytes was no FIN
        }
        if after(segment.ack, self.acked) {
            self.acked = segment.ack;
        }
        self.finish(client, segment);
    }
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
