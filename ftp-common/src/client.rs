//! The client's direction of a session: the order of its bytes, its commands, and the ring in which
//! they wait for the server's replies.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::address::Address;
use crate::command::Verb;
use crate::counter::{Counter, Counts};
use crate::flow::tcp;
use crate::host_port::HostPort;
use crate::segment::{MAX_DEFERRED, Segment, SegmentAction};
use crate::sequence::{after, before, is_near, is_within};
use crate::session::{ClientState, Command, RING, ServerState, fault, kind};

/// After this much silence, with everything acknowledged both ways and no transfer under way, commands
/// that are still pending will not be answered any more. Nanoseconds.
pub const UNANSWERED: u64 = crate::SECOND / 2;

impl ClientState {
    #[inline(always)]
    pub(crate) fn start(&mut self, next: u32, acked: u32) {
        self.next = next;
        self.acked = acked;
        self.reply_batch_from = next;
        self.synced = 1;
    }

    /// Continues at the server's resync point, which may lie anywhere in a line.
    #[inline(always)]
    fn follow_resync(&mut self, server: &ServerState) {
        self.resync_epoch = server.resync_epoch;
        self.next = server.resync_seq;
        self.reply_batch = server.finals;
        self.reply_batch_from = server.resync_seq;
        self.acked = server.next;
        self.synced = 0;
        self.deferred = 0;
        self.fin = 0;
        self.parser.skip_to_line_end();
    }

    /// Loses synchronization: bytes passed that can't be attributed for certain. The server's state
    /// resynchronizes at its next packet.
    #[inline(always)]
    pub fn desync(&mut self, counts: &mut Counts) -> SegmentAction {
        counts.raise(Counter::Desyncs);
        self.desyncs = self.desyncs.wrapping_add(1);
        SegmentAction::Ignore
    }

    /// Decides what to do with a segment of the client, and notes what it acknowledges.
    ///
    /// `may_defer`: whether an early segment can be dropped for retransmission, which is not so where this
    /// host's own TCP is about to send it.
    #[inline(always)]
    pub fn receive(
        &mut self,
        server: &ServerState,
        segment: &Segment,
        now: u64,
        may_defer: bool,
        counts: &mut Counts,
    ) -> SegmentAction {
        if self.desyncs != server.resynced_for {
            return SegmentAction::Ignore; // until the server's next packet gives the positions
        }
        if self.resync_epoch != server.resync_epoch {
            self.follow_resync(server);
        }
        // What TCP ignores is ignored (RFC 9293 §3.10.7.4, RFC 5961 §5.2).
        let near = is_near(segment.seq, self.next) && is_near(segment.ack, server.next);
        if !near || !segment.has(tcp::ACK) {
            return SegmentAction::Ignore;
        }
        let ahead = segment.seq.wrapping_sub(self.next);
        let unseen = after(segment.ack, server.next);
        if ahead == 0 {
            if unseen {
                return self.desync(counts); // it has bytes of the server that we haven't
            }
            self.acked = segment.ack;
            self.try_resync(server, segment, counts);
            self.drop_unanswered(server, segment, now, counts);
        }
        let empty = segment.length == 0 && !segment.has(tcp::FIN);
        if empty && !(ahead == 0 && segment.hides_a_byte) {
            return SegmentAction::Ignore;
        }
        if self.fin != 0 && segment.length != 0 && after(segment.end(), self.fin_end.wrapping_sub(1)) {
            self.fin = 0; // bytes in its place, or behind it: that FIN was not this sender's
            return self.desync(counts);
        }
        let action = if ahead == 0 {
            self.deferred = 0;
            SegmentAction::Parse { skip: 0, compare: 0 }
        } else if before(segment.seq, self.next) {
            if unseen { SegmentAction::Ignore } else { self.repeated(server, segment) }
        } else if self.synced != 0 && may_defer && self.deferred < MAX_DEFERRED {
            self.deferred += 1;
            SegmentAction::Defer
        } else {
            self.desync(counts)
        };
        if segment.hides_a_byte && matches!(action, SegmentAction::Parse { .. }) {
            counts.raise(Counter::UrgentData);
            return self.desync(counts);
        }
        action
    }

    /// Takes the next byte; true when it ended a line, and [`Self::end_line`] must be called.
    ///
    /// Only tests and the model call it: the kernel program runs the parser over a whole piece at a time.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> bool {
        self.remember(self.next, byte);
        self.next = self.next.wrapping_add(1);
        self.parser.push(byte)
    }

    /// A line has ended: its command is pending from now on. `address` is the client's own.
    #[inline(always)]
    pub fn end_line(&mut self, address: &Address, server: &ServerState, now: u64, counts: &mut Counts) {
        let mut named = HostPort::default();
        let bare = self.parser.ends_in_bare_line_feed();
        let verb = self.parser.end_line(&mut named);
        if verb == Verb::Nothing {
            return;
        }
        counts.raise(Counter::Commands);
        self.last_command_at = now;
        let mut command = Command { end: self.next, port: named.port, ..Command::default() };
        command.kind = match verb {
            Verb::Pasv => kind::PASV,
            Verb::Epsv => kind::EPSV,
            Verb::Port => {
                if named.address != *address {
                    command.fault = fault::FOREIGN;
                    // Who sees any of this address sees that it is not an earlier command's.
                    self.named_end = command.end;
                    compiler_fence(Ordering::Release);
                    self.named = named.address;
                }
                kind::PORT
            }
            Verb::MalformedPort => {
                command.fault = fault::MALFORMED;
                kind::PORT
            }
            Verb::Transfer => {
                self.transfers = self.transfers.wrapping_add(1);
                kind::TRANSFER
            }
            Verb::Rein => kind::REIN,
            Verb::TooLong => {
                counts.raise(Counter::LongLines);
                kind::UNSURE
            }
            Verb::Blank => kind::UNSURE,
            Verb::Abor => kind::ABOR,
            Verb::Other | Verb::Nothing => kind::OTHER,
        };
        if self.head == server.tail {
            self.bare_line_feed = 0;
        }
        if command.kind == kind::PORT && self.bare_line_feed != 0 {
            command.fault = fault::AMBIGUOUS;
        }
        if bare {
            self.bare_line_feed = 1;
        }
        if self.reply_batch != server.finals {
            self.reply_batch = server.finals;
            self.reply_batch_from = command.end;
        }
        if self.synced == 0 {
            command.kind |= kind::OUT_OF_SYNC;
        }
        if self.head.wrapping_sub(server.tail) >= RING as u32 {
            counts.raise(Counter::CommandsOverflow);
            self.desync(counts);
            return;
        }
        self.ring[self.head as usize % RING] = command;
        // The server's direction reads the entry only after it has seen the new head.
        compiler_fence(Ordering::Release);
        self.head = self.head.wrapping_add(1);
    }

    /// A segment has been read or ignored. Its FIN counts anywhere between what the server has acknowledged and
    /// what was read: bytes with a bad checksum were read here, and not there.
    #[inline(always)]
    pub(crate) fn finish(&mut self, server: &ServerState, segment: &Segment) {
        let acceptable = segment.has(tcp::ACK) && is_near(segment.ack, server.next) && !after(segment.ack, server.next);
        let end = segment.end();
        if !acceptable || !is_within(end, server.acked, self.next) {
            return;
        }
        if after(segment.ack, self.acked) {
            self.acked = segment.ack;
        }
        if segment.has(tcp::FIN) && self.fin == 0 {
            self.fin = 1;
            self.fin_end = end.wrapping_add(1);
            if end == self.next {
                self.next = self.fin_end;
            }
        }
    }

    /// Follows positions only, in an opaque session. A segment that was lost, or comes early, must not make it deaf
    /// to the end.
    #[inline(always)]
    pub fn follow(&mut self, server: &ServerState, segment: &Segment) {
        if before(self.next, server.acked) {
            self.next = server.acked;
        }
        let concerns = is_near(segment.seq, self.next) && !after(segment.ack, server.next);
        if concerns && after(segment.end(), self.next) {
            self.next = segment.end();
            self.fin = 0; // what came before these bytes was no FIN
        }
        self.finish(server, segment);
    }

    /// In sync again: one whole exchange was seen (a command, its reply, and by this packet that the
    /// client has that reply and had sent nothing more), so nothing unknown is in flight.
    #[inline(always)]
    fn try_resync(&mut self, server: &ServerState, segment: &Segment, counts: &mut Counts) {
        if self.synced == 0
            && server.exchange_seen != 0
            && segment.ack == server.next
            && server.acked == self.next
            && self.head == server.tail
            && self.parser.at_line_start()
            && server.parser.at_reply_start()
        {
            self.synced = 1;
            counts.raise(Counter::Resyncs);
        }
    }

    /// Real servers leave some commands unanswered. Commands still pending when everything is acknowledged
    /// both ways, no transfer is under way and the connection has been silent are dropped, so that the
    /// next command's reply isn't attributed to them.
    #[inline(always)]
    fn drop_unanswered(&mut self, server: &ServerState, segment: &Segment, now: u64, counts: &mut Counts) {
        if segment.length == 0 || self.head == server.tail || server.transfer != 0 {
            return;
        }
        // Times are of a few ms at best, and may be of another CPU: a later one counts as now.
        let silent = now.saturating_sub(self.last_command_at) > UNANSWERED
            && now.saturating_sub(server.last_reply_at) > UNANSWERED;
        let nothing_on_the_way = server.acked == self.next && segment.ack == server.next;
        let dropped_before = self.voided != 0 && self.void_before == self.next;
        if silent && nothing_on_the_way && !dropped_before && self.may_stay_unanswered(server.tail) {
            self.void_before = self.next;
            self.voided = 1;
            counts.raise(Counter::CommandsUnanswered);
        }
    }

    /// Whether every pending command is one that some server leaves without a reply: a line that begins
    /// with a blank, one that is too long, an ABOR, and the transfer that an ABOR ended. Anything else
    /// may just be slow, and its reply must not be taken for that of the next command.
    #[inline(never)]
    fn may_stay_unanswered(&self, tail: u32) -> bool {
        // The kinds as a set, without a branch: the verifier would follow each combination by itself.
        let mut kinds = 0u32;
        let mut at = tail;
        let mut i = 0;
        while i < RING && at != self.head {
            kinds |= 1 << (self.ring[at as usize % RING].kind & 0x1f);
            at = at.wrapping_add(1);
            i += 1;
        }
        let only = 1 << kind::TRANSFER | 1 << kind::ABOR | 1 << kind::UNSURE;
        kinds & !only == 0 && (kinds & 1 << kind::TRANSFER == 0 || kinds & 1 << kind::ABOR != 0)
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
