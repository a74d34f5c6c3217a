//! Data connections whose handshake is not over: value of the HALF_OPEN map, and what a packet means for one.
//!
//! What stands here decides which connections the listening host may accept, so nothing evicts it: the map is
//! a hash map that is not LRU, an entry stays until the host can no longer complete what its SYN-ACK offered,
//! and a SYN that finds no room is denied. An entry lies in one of [`WAYS`] slots of a bucket that a keyed hash
//! of the connection selects; expired entries are removed by whoever meets them, so nobody has to sweep.
//!
//! No lock is possible on a map that the loader makes without BTF, so a slot has a version, odd while it is in
//! use, which is part of the entry's key in the map: making an entry (NOEXIST) and deleting it each have one winner,
//! who alone sets the version and the bucket's count, and who deletes can't hit an entry that came later. Who was
//! held up (a virtual CPU, say) between reading the version and making the entry looks at the version again.
//!
//! Two CPUs lose nothing by this, wherever they are held up. Three can: one that was held up so for the whole life of an
//! entry, one between deleting that entry and setting the version, and one that removes at that moment what the first
//! has made for a moment; the next entry in that way may then be lost.

use crate::SECOND;
use crate::address::Address;
use crate::flow::{Flow, state, tcp};
use crate::keys::{ConnectionKey, Mode};
use crate::sequence::{after, is_near};

/// Buckets; a power of two. COUNTS holds the number of entries of each.
pub const BUCKETS: u32 = 4096;
/// Entries that fit into one bucket.
pub const WAYS: u32 = 8;
/// How long an entry stays after its last SYN or SYN-ACK, nanoseconds. A host repeats a SYN-ACK after at most
/// 120 s (TCP_RTO_MAX), which renews it, and takes a SYN cookie for at most 128 s (MAX_SYNCOOKIE_AGE).
pub const LIFE: u64 = 130 * SECOND;

/// Value of the HALF_OPEN map, whose key is an [`Id`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HalfOpenFlow {
    /// Whose entry it is.
    pub key: ConnectionKey,
    /// The client's address of the control connection, which is another where the policy is promiscuous.
    pub control_client: Address,
    /// Until when it stays, nanoseconds.
    pub until: u64,
    /// The flow so far; [`Flow::state`] is [`state::SYN_SENT`], [`state::SYN_RECV`], [`state::UNCONFIRMED`],
    /// [`state::DENIED`] or [`state::REFUSED`].
    pub flow: Flow,
}

const _: () = assert!(size_of::<HalfOpenFlow>() == 120);

/// What a packet means for a half-open flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handshake {
    /// It passes and changes nothing.
    Same,
    /// The listener's SYN-ACK: the first, or the same again.
    Answered,
    /// A SYN-ACK with another number than the first: the opener must not learn it, as both could be completed.
    AnsweredAnew,
    /// The opener acknowledged the SYN-ACK: time to use the expectation up.
    Acknowledged,
    /// The listening host has shown that it took the acknowledgement.
    Confirmed,
    /// One of the ends refused the connection; the host may not have taken that refusal.
    Refused,
    /// A client that opened it reset it between acknowledgement and confirmation; the host may have taken neither.
    Reset,
    /// It was reset, and the listening host has nothing left of it: the entry can go.
    Gone,
    /// The listening host has another, open connection on these addresses and ports: it ignored the SYN.
    Ignored,
    /// A segment of the opener that would complete, or go on with, what was not let in.
    Unfit,
}

/// What a SYN means on the addresses and ports of a half-open flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Syn {
    /// TCP repeats it: it passes as it did before.
    Repeated,
    /// The entry can go: nothing that the host could still complete hangs on it.
    Anew,
    /// Its numbers must not be overwritten: denied.
    Occupied,
}

impl HalfOpenFlow {
    /// What a SYN with this number means, on an expectation that has this session and serial.
    #[inline(always)]
    #[must_use]
    pub const fn on_syn(&self, seq: u32, session_id: u64, serial: u32) -> Syn {
        let flow = &self.flow;
        let own = flow.session_id == session_id && flow.serial == serial;
        if matches!(flow.state, state::SYN_SENT | state::SYN_RECV) && own && flow.syn_seq == seq {
            Syn::Repeated
        } else if flow.state == state::REFUSED && !self.was_answered() {
            Syn::Anew
        } else {
            Syn::Occupied
        }
    }

    /// Whether the listener has sent a SYN-ACK.
    #[inline(always)]
    #[must_use]
    pub const fn was_answered(&self) -> bool {
        self.flow.marks & ANSWERED != 0
    }

    /// What any other segment means. Changes nothing. Numbers in host byte order.
    #[inline(always)]
    #[must_use]
    pub const fn on_segment(&self, from_opener: bool, flags: u8, seq: u32, ack: u32, length: u32) -> Handshake {
        if from_opener { self.opener_sends(flags, seq, ack) } else { self.listener_sends(flags, seq, ack, length) }
    }

    #[inline(always)]
    const fn opener_sends(&self, flags: u8, seq: u32, ack: u32) -> Handshake {
        let flow = &self.flow;
        let first = flow.syn_seq.wrapping_add(1);
        if flags & tcp::RST != 0 {
            return match flow.state {
                // Its own TCP knows nothing of the SYN: it was forged.
                state::SYN_RECV if seq == first => Handshake::Refused,
                // A server that opens has no interest in a segment that its client does not take.
                state::UNCONFIRMED if is_near(seq, first) && flow.mode == Mode::Active.number() => Handshake::Gone,
                state::UNCONFIRMED if is_near(seq, first) => Handshake::Reset,
                _ => Handshake::Same,
            };
        }
        let acks = ack == flow.syn_ack_seq.wrapping_add(1);
        if flow.state == state::UNCONFIRMED {
            // The listener has said nothing else that could be acknowledged; numbers near it may be cookies, too.
            return if acks || flags & tcp::ACK == 0 { Handshake::Same } else { Handshake::Unfit };
        }
        // Only who got the SYN-ACK knows its number. The sequence number may be any in the window: the listening
        // end takes those too (RFC 9293 §3.10.7.4).
        let fits = flags & (tcp::SYN | tcp::ACK) == tcp::ACK && acks;
        if flow.state == state::SYN_RECV && fits { Handshake::Acknowledged } else { Handshake::Unfit }
    }

    #[inline(always)]
    const fn listener_sends(&self, flags: u8, seq: u32, ack: u32, length: u32) -> Handshake {
        let flow = &self.flow;
        let first = flow.syn_seq.wrapping_add(1);
        let acks = flags & tcp::ACK != 0;
        if flags & tcp::RST != 0 {
            return match flow.state {
                state::SYN_SENT | state::SYN_RECV if acks && ack == first => Handshake::Refused,
                // An open connection resets from its next number, and a host that has none answers the acknowledgement
                // by the number in it. Another number answers a segment that was none.
                state::UNCONFIRMED if seq == flow.syn_ack_seq.wrapping_add(1) => Handshake::Gone,
                _ => Handshake::Same,
            };
        }
        if flags & tcp::SYN != 0 {
            if !acks || ack != first {
                return Handshake::Same;
            }
            return if self.was_answered() && seq != flow.syn_ack_seq {
                Handshake::AnsweredAnew
            } else {
                Handshake::Answered
            };
        }
        // A host that has only half a connection answers segments outside of its window, too, by a bare
        // acknowledgement of the SYN (Linux: tcp_check_req): that shows nothing.
        let shows = length != 0 || flags & tcp::FIN != 0 || acks && after(ack, first);
        // What a client says of a server's SYN shows nothing: the server's own acknowledgement does.
        let is_trusted = flow.mode != Mode::Active.number();
        match flow.state {
            state::SYN_SENT if is_trusted => Handshake::Ignored,
            state::SYN_RECV if is_trusted && shows => Handshake::Confirmed,
            state::UNCONFIRMED if shows => Handshake::Confirmed,
            _ => Handshake::Same,
        }
    }
}

/// Bit of [`Flow::marks`]: the listener has sent a SYN-ACK, whose number is known.
pub const ANSWERED: u8 = 16;

/// Key of an entry: its slot (`bucket * WAYS + way`) in the upper half, the slot's version in the lower.
pub type Id = u64;

const fn id(slot: u32, version: u32) -> Id {
    (slot as u64) << 32 | version as u64
}

/// The maps of the table, as the kernel program has them; and as a test of their interleavings does.
pub trait Table {
    /// An entry that was found.
    type Entry: Copy;
    /// The version of a slot.
    fn version(&self, slot: u32) -> u32;
    /// Sets it. Only the winner of an insertion or removal calls this.
    fn set_version(&self, slot: u32, version: u32);
    /// The entry with this key.
    fn get(&self, id: Id) -> Option<Self::Entry>;
    /// Whether it belongs to the connection in question.
    fn is_own(&self, entry: Self::Entry) -> bool;
    /// Until when it stays, nanoseconds.
    fn until(&self, entry: Self::Entry) -> u64;
    /// Makes the entry in question under this key; false if there was one, or there is no memory.
    fn insert(&self, id: Id) -> bool;
    /// Deletes an entry; false if it was gone.
    fn delete(&self, id: Id) -> bool;
    /// Makes what was written before visible to other CPUs before what is read from now on.
    fn fence(&self);
    /// An entry of the bucket comes. Counted before it is there: a count may be too high, never too low.
    fn count_up(&self, bucket: u32);
    /// An entry of the bucket is gone.
    fn count_down(&self, bucket: u32);
}

/// Finds the entry of the connection in question, and removes the expired ones that it meets.
#[inline(always)]
pub fn find<T: Table>(table: &T, bucket: u32, now: u64) -> Option<(T::Entry, Id)> {
    let mut way = 0;
    while way < WAYS {
        let slot = bucket * WAYS + way;
        way += 1;
        let version = table.version(slot);
        if version & 1 == 0 {
            continue;
        }
        let id = id(slot, version);
        let Some(entry) = table.get(id) else { continue };
        if now > table.until(entry) {
            remove(table, id);
        } else if table.is_own(entry) {
            return Some((entry, id));
        }
    }
    None
}

/// Makes the entry in question; `None` if its bucket has no room.
#[inline(always)]
pub fn insert<T: Table>(table: &T, bucket: u32) -> Option<Id> {
    table.count_up(bucket);
    let mut way = 0;
    while way < WAYS {
        let slot = bucket * WAYS + way;
        way += 1;
        let version = table.version(slot);
        let taken = version.wrapping_add(1);
        if version & 1 != 0 || !table.insert(id(slot, taken)) {
            continue;
        }
        if table.version(slot) == version {
            table.set_version(slot, taken);
            return Some(id(slot, taken));
        }
        // Another entry of this version came and went since it was read: this one would never be found.
        if !table.delete(id(slot, taken)) {
            table.count_up(bucket); // who deleted it has counted
        }
    }
    table.count_down(bucket);
    None
}

/// Makes the entry in question as [`insert`] does, if the connection has no other. False if its bucket has no room, or
/// another CPU makes one at this moment: of the two at least one sees the other's, and who does steps back. Its SYN
/// must not pass then, as the other may step back, too.
#[inline(always)]
pub fn insert_once<T: Table>(table: &T, bucket: u32) -> bool {
    let Some(made) = insert(table, bucket) else { return false };
    table.fence();
    let is_only = !has_another(table, bucket, made);
    if !is_only {
        remove(table, made);
    }
    is_only
}

/// Whether the connection in question has another entry than this.
#[inline(always)]
fn has_another<T: Table>(table: &T, bucket: u32, made: Id) -> bool {
    let mut way = 0;
    while way < WAYS {
        let slot = bucket * WAYS + way;
        way += 1;
        let version = table.version(slot);
        let other = id(slot, version);
        if version & 1 == 0 || other == made {
            continue;
        }
        if table.get(other).is_some_and(|entry| table.is_own(entry)) {
            return true;
        }
    }
    false
}

/// Removes an entry; false if somebody else did.
#[inline(always)]
pub fn remove<T: Table>(table: &T, id: Id) -> bool {
    let slot = (id >> 32) as u32;
    if !table.delete(id) {
        return false;
    }
    if table.version(slot) == id as u32 {
        table.set_version(slot, (id as u32).wrapping_add(1));
    }
    table.count_down(slot / WAYS);
    true
}

/// What a connection's place in tables is made of. `seed`: secret, so that nobody can fill a place that he has chosen.
#[inline(always)]
#[must_use]
pub const fn hash(client: &Address, server: &Address, ports: [u16; 2], scope: u32, seed: u64) -> u64 {
    let (c, s) = (&client.0, &server.0);
    let mut hash = seed;
    // Of IPv4 addresses the rest is always the same: a data packet asks for this.
    if !(client.is_v4() && server.is_v4()) {
        hash = mix(hash, (c[0] as u64) << 32 | c[1] as u64);
        hash = mix(hash, (s[0] as u64) << 32 | s[1] as u64);
        hash = mix(hash, (c[2] as u64) << 32 | s[2] as u64);
    }
    hash = mix(hash, (c[3] as u64) << 32 | s[3] as u64);
    mix(hash, (scope as u64) << 32 | (ports[0] as u64) << 16 | ports[1] as u64)
}

/// The [`hash`] of a connection.
#[inline(always)]
#[must_use]
pub const fn hash_of(key: &ConnectionKey, seed: u64) -> u64 {
    hash(&key.client, &key.server, [key.client_port, key.server_port], key.scope, seed)
}

/// The bucket of connections of that [`hash`].
#[inline(always)]
#[must_use]
pub const fn bucket(hash: u64) -> u32 {
    (hash >> 40) as u32 & (BUCKETS - 1)
}

#[inline(always)]
const fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}

#[cfg(test)]
#[path = "half_open_tests.rs"]
mod tests;
