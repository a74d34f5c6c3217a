//! The server's half of a session: its replies, which command each answers, and what that opens.
//!
//! The server vouches: nothing here makes an expectation but a final reply of the server to the very
//! command that asks for it.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::address::Address;
use crate::client::{ClientHalf, Command, RING, fault, kind};
use crate::counter::{Counter, Tally};
use crate::flow::tcp;
use crate::keys::{ConnectionKey, Mode};
use crate::policy::{ServerPolicy, flag};
use crate::reply::{Reply, ReplyParser};
use crate::sequence::{after, before};
use crate::session::{Intake, MOST_HELD, Segment, WINDOW};

/// The lowest port that can be negotiated.
pub const LOWEST_PORT: u16 = 1024;

/// A data connection that a session has negotiated.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Negotiated {
    /// Whose client address: [`Address::ANY`] for any.
    pub client: Address,
    /// The listening port, host byte order.
    pub port: u16,
    /// [`Mode::number`]; 0: nothing.
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
    /// Nothing can be read any more: encrypted, or Multipath TCP.
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
    pub zero: [u8; 6],
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
    pub(crate) fn start(&mut self, next: u32, acked: u32, opaque: bool) {
        self.next = next;
        self.acked = acked;
        self.opaque = u8::from(opaque);
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
    /// `may_hold` as for the client's: the server host's own egress is never held back.
    #[inline(always)]
    pub fn receive(
        &mut self, client: &ClientHalf, segment: &Segment, may_hold: bool, tally: &mut Tally,
    ) -> Intake {
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
        if segment.length == 0 {
            return Intake::Pass;
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
        if may_hold && ahead <= WINDOW && client.settled != 0 && self.held < MOST_HELD {
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

    /// A line has ended: if it ends a reply, that answers a command.
    #[inline(always)]
    pub fn end_line(
        &mut self, client: &ClientHalf, key: &ConnectionKey, policy: &ServerPolicy, ack: u32, now: u64,
        tally: &mut Tally,
    ) {
        let mut reply = Reply::default();
        if !self.parser.end_line(&mut reply) {
            return;
        }
        tally.mark(Counter::Replies);
        self.last_word = now;
        if reply.code < 200 {
            self.transfer = 1;
            self.renew = 1;
            return;
        }
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
            self.opaque = 1;
            self.decision = decision::WITHDRAW;
            tally.mark(Counter::SessionsEncrypted);
            return;
        }
        if self.take_command(client, reply.code, ack) {
            self.answer(client, key, policy, &reply, tally);
        } else {
            self.answers_nothing(&reply, tally);
        }
    }

    /// Takes the command that a final reply answers into `taken`: the oldest, but a 227 or 229 takes the
    /// oldest PASV or EPSV and what stands before it. Only what the server has acknowledged can be
    /// answered. False if there is none.
    ///
    /// A function of its own, and its result in memory: the verifier would otherwise follow the rest
    /// once for each place in the ring.
    #[inline(never)]
    fn take_command(&mut self, client: &ClientHalf, code: u16, ack: u32) -> bool {
        let wanted = match code {
            227 => kind::PASV,
            229 => kind::EPSV,
            _ => kind::OTHER,
        };
        let head = client.head;
        compiler_fence(Ordering::Acquire);
        let mut at = self.tail;
        let mut i = 0;
        while i < RING {
            i += 1;
            if at == head {
                return false;
            }
            let command = &client.ring[at as usize % RING];
            if after(command.end, ack) {
                return false;
            }
            at = at.wrapping_add(1);
            if client.voided != 0 && !after(command.end, client.void_before) {
                self.tail = at;
            } else if wanted == kind::OTHER || command.kind & !kind::NOT_IN_STEP == wanted {
                self.tail = at;
                self.taken = *command;
                return true;
            }
        }
        false
    }

    #[inline(always)]
    fn answers_nothing(&mut self, reply: &Reply, tally: &mut Tally) {
        self.witnessed = 0;
        tally.mark(Counter::RepliesUnasked);
        if reply.code == 227 || reply.code == 229 {
            tally.mark(Counter::RefusedUnsolicited);
        }
    }

    #[inline(always)]
    fn answer(
        &mut self, client: &ClientHalf, key: &ConnectionKey, policy: &ServerPolicy, reply: &Reply, tally: &mut Tally,
    ) {
        let command = self.taken;
        self.transfer = 0;
        let in_step = command.kind & kind::NOT_IN_STEP == 0;
        self.witnessed = u8::from(!in_step && self.tail == client.head);
        let accepted = reply.code < 300;
        let asked = command.kind & !kind::NOT_IN_STEP;
        if asked == kind::REIN && accepted {
            tally.mark(Counter::Reinitialized);
            self.decision = decision::WITHDRAW;
        }
        if asked != kind::PASV && asked != kind::EPSV && asked != kind::PORT {
            return;
        }
        if reply.code >= 400 {
            tally.mark(Counter::RejectedByServer);
            return;
        }
        if !accepted || asked != kind::PORT && reply.code != 227 && reply.code != 229 {
            return;
        }
        let refusal = if !in_step {
            Err(Counter::RefusedNotInStep)
        } else if asked == kind::PORT {
            self.want_active(client, key, policy, &command)
        } else {
            self.want_passive(key, policy, reply, tally)
        };
        match refusal {
            Ok(()) => {
                self.wanted.transfers_before = self.transfers_before(client);
                self.decision = decision::REPLACE;
            }
            // The server goes by the new one all the same: the old one is void.
            Err(refusal) => {
                tally.mark(refusal);
                self.decision = decision::WITHDRAW;
            }
        }
    }

    /// Sets `wanted` by a 227 or 229, or says what is against it. The fields are set in place: a struct
    /// in a `Result` would leave registers that no path has set, which the verifier doesn't take.
    #[inline(always)]
    fn want_passive(
        &mut self, key: &ConnectionKey, policy: &ServerPolicy, reply: &Reply, tally: &mut Tally,
    ) -> Result<(), Counter> {
        if !reply.announces {
            return Err(Counter::RefusedMalformedReply);
        }
        let port = reply.port;
        if policy.passive_first == 0 {
            return Err(Counter::RefusedPassiveOff);
        }
        if port < LOWEST_PORT {
            return Err(Counter::RefusedLowPort);
        }
        if !policy.is_passive(port) {
            return Err(Counter::RefusedOutOfRange);
        }
        if reply.code == 227 && Address::from_v4_word(reply.address) != key.server {
            tally.mark(Counter::AnnouncedAddressDiffers);
            if policy.has(flag::ANNOUNCED_STRICT) {
                return Err(Counter::RefusedAnnouncedAddress);
            }
        }
        self.wanted.client = if policy.has(flag::PASV_PROMISCUOUS) { Address::ANY } else { key.client };
        self.wanted.port = port;
        self.wanted.mode = Mode::Passive.number();
        Ok(())
    }

    /// Sets `wanted` by an accepted PORT or EPRT, or says what is against it.
    #[inline(always)]
    fn want_active(
        &mut self, client: &ClientHalf, key: &ConnectionKey, policy: &ServerPolicy, command: &Command,
    ) -> Result<(), Counter> {
        if command.fault == fault::MALFORMED {
            return Err(Counter::RefusedMalformedCommand);
        }
        if policy.active_port == 0 {
            return Err(Counter::RefusedActiveOff);
        }
        self.wanted.client = key.client;
        if command.fault == fault::FOREIGN {
            // Only the last foreign address is remembered: one that was named since is another's.
            if !policy.has(flag::PORT_PROMISCUOUS) || client.named_end != command.end {
                return Err(Counter::RefusedForeignAddress);
            }
            self.wanted.client = client.named;
        }
        if command.port < LOWEST_PORT {
            return Err(Counter::RefusedLowPort);
        }
        self.wanted.port = command.port;
        self.wanted.mode = Mode::Active.number();
        Ok(())
    }

    /// The count of transfer commands without those that wait behind the one just answered.
    #[inline(never)]
    fn transfers_before(&self, client: &ClientHalf) -> u16 {
        let mut transfers = client.transfers;
        let mut at = self.tail;
        let mut i = 0;
        while i < RING && at != client.head {
            if client.ring[at as usize % RING].kind & !kind::NOT_IN_STEP == kind::TRANSFER {
                transfers = transfers.wrapping_sub(1);
            }
            at = at.wrapping_add(1);
            i += 1;
        }
        transfers
    }
}
