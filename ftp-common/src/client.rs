//! The client's half of a session: the order of its bytes, its commands, and the ring in which they
//! wait for the server's replies.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::address::Address;
use crate::command::Verb;
use crate::counter::{Counter, Tally};
use crate::flow::tcp;
use crate::host_port::HostPort;
use crate::segment::{Intake, MOST_HELD, Segment};
use crate::sequence::{after, before, is_near};
use crate::session::{ClientHalf, Command, RING, ServerHalf, fault, kind};

/// After this much silence, with everything acknowledged both ways and no transfer under way, what
/// still waits will not be answered any more. Nanoseconds.
pub const UNANSWERED: u64 = crate::SECOND / 2;

impl ClientHalf {
    #[inline(always)]
    pub(crate) fn start(&mut self, next: u32, acked: u32) {
        self.next = next;
        self.acked = acked;
        self.burst_from = next;
        self.settled = 1;
    }

    /// Takes the position at which the server half anchored. Where in a line that is, is not known.
    #[inline(always)]
    fn adopt(&mut self, server: &ServerHalf) {
        self.epoch = server.epoch;
        self.next = server.anchor;
        self.burst = server.finals;
        self.burst_from = server.anchor;
        self.acked = server.next;
        self.settled = 0;
        self.held = 0;
        self.fin = 0;
        self.parser.skip_to_line_end();
    }

    /// Gives up: bytes passed that we can't vouch for. The server half anchors at its next packet.
    #[inline(always)]
    pub(crate) fn lose_step(&mut self, tally: &mut Tally) -> Intake {
        tally.mark(Counter::StepsLost);
        self.lost = self.lost.wrapping_add(1);
        Intake::Pass
    }

    /// Decides what to do with a segment of the client, and notes what it acknowledges.
    ///
    /// `may_hold`: whether an early segment can be held back, which is not so where this host's own
    /// TCP is about to send it.
    #[inline(always)]
    pub fn receive(
        &mut self,
        server: &ServerHalf,
        segment: &Segment,
        now: u64,
        may_hold: bool,
        tally: &mut Tally,
    ) -> Intake {
        if self.lost != server.anchored_for {
            return Intake::Pass; // until the server's next packet says where we are
        }
        if self.epoch != server.epoch {
            self.adopt(server);
        }
        // What TCP ignores says nothing (RFC 9293 §3.10.7.4, RFC 5961 §5.2).
        let near = is_near(segment.seq, self.next) && is_near(segment.ack, server.next);
        if !near || !segment.has(tcp::ACK) {
            return Intake::Pass;
        }
        let ahead = segment.seq.wrapping_sub(self.next);
        let unseen = after(segment.ack, server.next);
        if ahead == 0 {
            if unseen {
                return self.lose_step(tally); // it has bytes of the server that we haven't
            }
            self.acked = segment.ack;
            self.find_step(server, segment, tally);
            self.drop_unanswered(server, segment, now, tally);
        }
        let empty = segment.length == 0 && !segment.has(tcp::FIN);
        if empty && !(ahead == 0 && segment.hides_a_byte) {
            return Intake::Pass;
        }
        if self.fin != 0 && segment.length != 0 && after(segment.end(), self.next.wrapping_sub(1)) {
            self.fin = 0; // bytes in its place, or behind it: that FIN was not this sender's
            return self.lose_step(tally);
        }
        let intake = if ahead == 0 {
            self.held = 0;
            Intake::Read { skip: 0, compare: 0 }
        } else if before(segment.seq, self.next) {
            if unseen { Intake::Pass } else { self.repeated(server, segment) }
        } else if self.settled != 0 && may_hold && self.held < MOST_HELD {
            self.held += 1;
            Intake::Hold
        } else {
            self.lose_step(tally)
        };
        if segment.hides_a_byte && matches!(intake, Intake::Read { .. }) {
            tally.mark(Counter::UrgentData);
            return self.lose_step(tally);
        }
        intake
    }

    /// Takes the next byte; true when it ended a line, which [`Self::end_line`] must be told.
    ///
    /// Only tests and the model call it: the kernel program runs the parser over a whole piece at a time.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> bool {
        self.remember(self.next, byte);
        self.next = self.next.wrapping_add(1);
        self.parser.push(byte)
    }

    /// A line has ended: its command waits from now on. `address` is the client's own.
    #[inline(always)]
    pub fn end_line(&mut self, address: &Address, server: &ServerHalf, now: u64, tally: &mut Tally) {
        let mut named = HostPort::default();
        let verb = self.parser.end_line(&mut named);
        if verb == Verb::Nothing {
            return;
        }
        tally.mark(Counter::Commands);
        self.last_line = now;
        let mut command = Command { end: self.next, port: named.port, ..Command::default() };
        command.kind = match verb {
            Verb::Pasv => kind::PASV,
            Verb::Epsv => kind::EPSV,
            Verb::Port => {
                if named.address != *address {
                    command.fault = fault::FOREIGN;
                    self.named = named.address;
                    self.named_end = command.end;
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
                tally.mark(Counter::LongLines);
                kind::UNSURE
            }
            Verb::Blank => kind::UNSURE,
            Verb::Abor => kind::ABOR,
            Verb::Other | Verb::Nothing => kind::OTHER,
        };
        if self.burst != server.finals {
            self.burst = server.finals;
            self.burst_from = command.end;
        }
        if self.settled == 0 {
            command.kind |= kind::NOT_IN_STEP;
        }
        if self.head.wrapping_sub(server.tail) >= RING as u32 {
            tally.mark(Counter::CommandsOverflow);
            self.lose_step(tally);
            return;
        }
        self.ring[self.head as usize % RING] = command;
        // The server half reads the entry only after it has seen the new head.
        compiler_fence(Ordering::Release);
        self.head = self.head.wrapping_add(1);
    }

    /// All bytes of a segment were read: a FIN behind them is in sequence.
    #[inline(always)]
    pub fn finish(&mut self, segment: &Segment) {
        if segment.has(tcp::FIN) && self.fin == 0 && segment.end() == self.next {
            self.fin = 1;
            self.next = self.next.wrapping_add(1);
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

    /// In step again: one whole exchange was seen (a command, its reply, and by this packet that the
    /// client has that reply and had said nothing more), so nothing is under way that we don't know.
    #[inline(always)]
    fn find_step(&mut self, server: &ServerHalf, segment: &Segment, tally: &mut Tally) {
        if self.settled == 0
            && server.witnessed != 0
            && segment.ack == server.next
            && server.acked == self.next
            && self.head == server.tail
            && self.parser.at_line_start()
            && server.parser.at_reply_start()
        {
            self.settled = 1;
            tally.mark(Counter::StepsFound);
        }
    }

    /// Real servers leave some commands unanswered. What still waits when everything is acknowledged
    /// both ways, no transfer is under way and the line has been silent is dropped, so that the next
    /// command's reply isn't taken for it.
    #[inline(always)]
    fn drop_unanswered(&mut self, server: &ServerHalf, segment: &Segment, now: u64, tally: &mut Tally) {
        if segment.length == 0 || self.head == server.tail || server.transfer != 0 {
            return;
        }
        // Times are of a few ms at best, and may be of another CPU: a later one counts as now.
        let silent =
            now.saturating_sub(self.last_line) > UNANSWERED && now.saturating_sub(server.last_word) > UNANSWERED;
        let nothing_on_the_way = server.acked == self.next && segment.ack == server.next;
        let dropped_before = self.voided != 0 && self.void_before == self.next;
        if silent && nothing_on_the_way && !dropped_before && self.may_stay_unanswered(server.tail) {
            self.void_before = self.next;
            self.voided = 1;
            tally.mark(Counter::CommandsUnanswered);
        }
    }

    /// Whether all that waits is known to be left without a reply by some server: a line that begins
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
