//! The dialogue: which command each reply answers, and what that opens.
//!
//! Only the server's reply opens a port: an expectation comes from a final reply of the server to the
//! very command that asks for it, and from nothing else.

use core::sync::atomic::{Ordering, compiler_fence};

use crate::address::Address;
use crate::counter::{Counter, Counts};
use crate::keys::{ConnectionKey, Mode};
use crate::policy::{ServerPolicy, flag};
use crate::reply::Reply;
use crate::sequence::{after, before};
use crate::session::{ClientState, Command, RING, ServerState, decision, fault, kind, opaque};

/// The lowest port that can be negotiated.
pub const LOWEST_PORT: u16 = 1024;

impl ServerState {
    #[inline(always)]
    pub(crate) fn encrypted(&mut self, counts: &mut Counts) {
        self.opaque = opaque::ENCRYPTED;
        self.decision = decision::WITHDRAW;
        counts.raise(Counter::SessionsEncrypted);
    }

    /// Takes the command that a final reply answers into `taken`: the oldest, but a 227 or 229 takes the
    /// oldest PASV or EPSV and what stands before it. Only what the server has acknowledged can be
    /// answered. False if there is none.
    ///
    /// A function of its own, and its result in memory: the verifier would otherwise follow the rest
    /// once for each place in the ring.
    #[inline(never)]
    pub(crate) fn match_command(&mut self, client: &ClientState, code: u16, ack: u32) -> bool {
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
            } else if wanted == kind::OTHER || command.asked() == wanted {
                self.tail = at;
                self.taken = *command;
                return true;
            }
        }
        false
    }

    #[inline(always)]
    pub(crate) fn answers_nothing(&mut self, reply: &Reply, counts: &mut Counts) {
        self.exchange_seen = 0;
        // One reply too many: an earlier one was taken for the wrong command's. A 227 is right even so; a
        // PORT's 200 may not have been.
        let latest = if self.decision == decision::REPLACE { self.wanted.mode } else { self.standing.mode };
        if latest == Mode::Active.number() {
            self.decision = decision::WITHDRAW;
        }
        counts.raise(Counter::RepliesUnsolicited);
        if reply.code == 227 || reply.code == 229 {
            counts.raise(Counter::RefusedUnsolicited);
        }
    }

    #[inline(always)]
    pub(crate) fn answer(
        &mut self,
        client: &ClientState,
        key: &ConnectionKey,
        policy: &ServerPolicy,
        reply: &Reply,
        counts: &mut Counts,
    ) {
        let command = self.taken;
        self.transfer = 0;
        let in_sync = command.kind & kind::OUT_OF_SYNC == 0;
        self.exchange_seen = u8::from(!in_sync && self.tail == client.head);
        let accepted = reply.code < 300;
        let asked = command.asked();
        if asked == kind::REIN && accepted {
            counts.raise(Counter::SessionsReinitialized);
            self.decision = decision::WITHDRAW;
        }
        if asked != kind::PASV && asked != kind::EPSV && asked != kind::PORT {
            return;
        }
        if reply.code >= 400 {
            counts.raise(Counter::RejectedByServer);
            return;
        }
        if !accepted || asked != kind::PORT && reply.code != 227 && reply.code != 229 {
            return;
        }
        let refusal = if !in_sync {
            Err(Counter::RefusedOutOfSync)
        } else if asked == kind::PORT && before(command.end, client.reply_batch_from) {
            // Since the last final reply the client has sent a newer command: if that reply was this PORT's
            // own, and an earlier command went unanswered, then this reply is the newer command's.
            Err(Counter::RefusedAmbiguous)
        } else if asked == kind::PORT {
            self.want_active(client, key, policy, &command)
        } else {
            self.want_passive(key, policy, reply, counts)
        };
        match refusal {
            Ok(()) => {
                self.wanted.transfers_before = self.transfers_before(client);
                self.decision = decision::REPLACE;
            }
            // The server uses the new one all the same: the old one is void.
            Err(refusal) => {
                counts.raise(refusal);
                self.decision = decision::WITHDRAW;
            }
        }
    }

    /// Sets `wanted` by a 227 or 229, or gives the refusal. The fields are set in place: a struct
    /// in a `Result` would leave registers that no path has set, which the verifier doesn't take.
    #[inline(always)]
    fn want_passive(
        &mut self,
        key: &ConnectionKey,
        policy: &ServerPolicy,
        reply: &Reply,
        counts: &mut Counts,
    ) -> Result<(), Counter> {
        if !reply.announces {
            return Err(Counter::RefusedMalformedReply);
        }
        let port = reply.port;
        if !policy.allows_passive() {
            return Err(Counter::RefusedPassiveOff);
        }
        if port < LOWEST_PORT {
            return Err(Counter::RefusedLowPort);
        }
        if !policy.is_passive(port) {
            return Err(Counter::RefusedOutOfRange);
        }
        if reply.code == 227 && Address::from_v4_word(reply.address) != key.server {
            counts.raise(Counter::AnnouncedAddressDiffers);
            if policy.has(flag::ANNOUNCED_STRICT) {
                return Err(Counter::RefusedAnnouncedAddress);
            }
        }
        self.wanted.client = if policy.has(flag::PASV_PROMISCUOUS) { Address::ANY } else { key.client };
        self.wanted.port = port;
        self.wanted.mode = Mode::Passive.number();
        Ok(())
    }

    /// Sets `wanted` by an accepted PORT or EPRT, or gives the refusal.
    #[inline(always)]
    fn want_active(
        &mut self,
        client: &ClientState,
        key: &ConnectionKey,
        policy: &ServerPolicy,
        command: &Command,
    ) -> Result<(), Counter> {
        if command.fault == fault::MALFORMED {
            return Err(Counter::RefusedMalformedCommand);
        }
        if !policy.allows_active() {
            return Err(Counter::RefusedActiveOff);
        }
        self.wanted.client = key.client;
        if command.fault == fault::AMBIGUOUS {
            return Err(Counter::RefusedAmbiguous);
        }
        if command.fault == fault::FOREIGN {
            // Only the last foreign address is remembered: one that was named since, be it while this one is read, is
            // another's.
            self.wanted.client = client.named;
            compiler_fence(Ordering::Acquire);
            if !policy.has(flag::PORT_PROMISCUOUS) || client.named_end != command.end {
                return Err(Counter::RefusedForeignAddress);
            }
        }
        if command.port < LOWEST_PORT {
            return Err(Counter::RefusedLowPort);
        }
        self.wanted.port = command.port;
        self.wanted.mode = Mode::Active.number();
        Ok(())
    }

    /// The count of transfer commands without those that are pending behind the one just answered.
    #[inline(never)]
    fn transfers_before(&self, client: &ClientState) -> u16 {
        let mut transfers = client.transfers;
        let mut at = self.tail;
        let mut i = 0;
        while i < RING && at != client.head {
            if client.ring[at as usize % RING].asked() == kind::TRANSFER {
                transfers = transfers.wrapping_sub(1);
            }
            at = at.wrapping_add(1);
            i += 1;
        }
        transfers
    }
}

#[cfg(test)]
#[path = "dialogue_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "dialogue_line_feed_tests.rs"]
mod line_feed_tests;

#[cfg(test)]
#[path = "dialogue_ports_tests.rs"]
mod ports_tests;
