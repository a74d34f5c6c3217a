//! One control connection being followed: value of the SESSIONS map, and all shapes in it.
//!
//! Two CPUs may handle its two directions at once and no lock is possible on an LRU map, so each
//! direction has a state of its own: packets of the client write only [`ClientState`] (see
//! [`crate::client`]), packets of the server only [`ServerState`] (see [`crate::server`],
//! [`crate::dialogue`]), and each reads of the other what was published before.

use crate::address::Address;
use crate::command::CommandParser;
use crate::keys::{ConnectionKey, ExpectationKey};
use crate::reply::ReplyParser;
use crate::segment::Segment;
use crate::unfinished::Unfinished;

/// Value of the HANDSHAKES map: the numbers of a SYN-ACK on a control port.
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
    /// User space is about to look at the socket; any payload meanwhile removes the entry.
    pub const LOOKED_AT: u32 = 2;
}

/// Value of the SESSIONS map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Session {
    /// Unlike that of any other session, past or present; never 0.
    pub session_id: u64,
    /// When it was first seen, nanoseconds.
    pub since: u64,
    /// Written by packets of the client.
    pub client: ClientState,
    /// Written by packets of the server.
    pub server: ServerState,
    /// Its half-open data connections.
    pub unfinished: Unfinished,
}

/// Commands that can be pending at a time.
pub const RING: usize = 16;
/// Last bytes of the client that are kept, to compare repeated ones with.
pub const RECENT: usize = 128;
/// Kinds of pending commands.
pub mod kind {
    /// Takes one reply and means nothing to data connections.
    pub const OTHER: u8 = 0;
    /// PASV.
    pub const PASV: u8 = 1;
    /// EPSV.
    pub const EPSV: u8 = 2;
    /// PORT or EPRT.
    pub const PORT: u8 = 3;
    /// A command that uses a data connection.
    pub const TRANSFER: u8 = 4;
    /// REIN.
    pub const REIN: u8 = 5;
    /// ABOR.
    pub const ABOR: u8 = 6;
    /// A line that some servers don't answer.
    pub const UNSURE: u8 = 7;
    /// Added: it was parsed while the session was out of sync, and opens nothing.
    pub const OUT_OF_SYNC: u8 = 0x80;
}

/// What is wrong with a PORT or EPRT.
pub mod fault {
    /// Nothing.
    pub const NONE: u8 = 0;
    /// It is malformed.
    pub const MALFORMED: u8 = 1;
    /// It names an address that isn't the client's; [`ClientState::named`] is which.
    pub const FOREIGN: u8 = 2;
    /// A line before it ended in a bare LF, and has not been answered yet.
    pub const AMBIGUOUS: u8 = 3;
}

/// A command that is pending: its final reply has not come.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Command {
    /// Position behind its line end: it counts once the server has acknowledged that.
    pub end: u32,
    /// One of [`kind`].
    pub kind: u8,
    /// One of [`fault`].
    pub fault: u8,
    /// The port that a PORT or EPRT names, host byte order.
    pub port: u16,
}

impl Command {
    /// One of [`kind`], whether it was parsed in sync or not.
    #[inline(always)]
    #[must_use]
    pub const fn asked(&self) -> u8 {
        self.kind & !kind::OUT_OF_SYNC
    }
}

/// Written by packets of the client only.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientState {
    /// When the last command line ended, nanoseconds.
    pub last_command_at: u64,
    /// Position of the next byte.
    pub next: u32,
    /// The server's bytes that the client has acknowledged.
    pub acked: u32,
    /// How often this direction lost synchronization; the server's resynchronizes when it sees a new number.
    pub desyncs: u32,
    /// Pending commands that end up to here have been dropped (with `voided`).
    pub void_before: u32,
    /// Commands put into the ring so far.
    pub head: u32,
    /// The server's resync epoch that this direction has followed.
    pub resync_epoch: u16,
    /// Transfer commands so far.
    pub transfers: u16,
    /// In sync: everything from here on is attributed for certain.
    pub synced: u8,
    /// FIN in sequence was seen.
    pub fin: u8,
    /// Early segments deferred in a row.
    pub deferred: u8,
    /// `void_before` has a meaning.
    pub voided: u8,
    /// Position behind the FIN.
    pub fin_end: u32,
    /// The server's count of final replies when the last command was parsed.
    pub reply_batch: u32,
    /// End of the first command of those that were parsed since that reply.
    pub reply_batch_from: u32,
    /// 1: a line ended in a bare LF, and commands have been pending ever since. A server that takes CRLF only
    /// (pyftpdlib) reads it and the next line as one, and gives one reply less.
    pub bare_line_feed: u32,
    /// The address of the last PORT or EPRT that named a foreign one, and where that one ends.
    pub named: Address,
    /// See `named`.
    pub named_end: u32,
    /// The ring.
    pub ring: [Command; RING],
    /// The last bytes, each at its position modulo [`RECENT`], as they lie in memory.
    pub recent: [u64; RECENT / 8],
    /// The parser.
    pub parser: CommandParser,
}

impl Default for ClientState {
    fn default() -> Self {
        Self {
            last_command_at: 0,
            next: 0,
            acked: 0,
            desyncs: 0,
            void_before: 0,
            head: 0,
            resync_epoch: 0,
            transfers: 0,
            synced: 0,
            fin: 0,
            deferred: 0,
            voided: 0,
            fin_end: 0,
            reply_batch: 0,
            reply_batch_from: 0,
            bare_line_feed: 0,
            named: Address::ANY,
            named_end: 0,
            ring: [Command::default(); RING],
            recent: [0; RECENT / 8],
            parser: CommandParser::default(),
        }
    }
}

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

impl Negotiated {
    /// The key of its expectation; `session` is the control connection's.
    #[inline(always)]
    #[must_use]
    pub const fn key(&self, session: &ConnectionKey) -> ExpectationKey {
        ExpectationKey {
            client: self.client,
            server: session.server,
            port: self.port,
            mode: self.mode,
            zero: 0,
            scope: session.scope,
        }
    }
}

/// Instead of a session's count of its expectations: it was learned from who opened a socket ([`crate::owner`]), and stands
/// while the encrypted session lives.
pub const LEARNED: u32 = u32::MAX;

/// What a segment's replies change about the session's expectation.
pub mod decision {
    /// Nothing.
    pub const KEEP: u8 = 0;
    /// It goes.
    pub const WITHDRAW: u8 = 1;
    /// Another takes its place.
    pub const REPLACE: u8 = 2;
}

/// Whether a session can be parsed.
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
pub struct ServerState {
    /// When the last reply ended, nanoseconds.
    pub last_reply_at: u64,
    /// Position of the next byte.
    pub next: u32,
    /// The client's bytes that the server has acknowledged.
    pub acked: u32,
    /// Commands taken out of the ring so far.
    pub tail: u32,
    /// The client's count of desyncs that this direction has resynchronized for.
    pub resynced_for: u32,
    /// The client's next position at the last resync.
    pub resync_seq: u32,
    /// Counts expectations of this session.
    pub serial: u32,
    /// Counts resyncs; commands of an earlier epoch are void.
    pub resync_epoch: u16,
    /// One of [`opaque`]: whether it can be parsed.
    pub opaque: u8,
    /// FIN in sequence was seen.
    pub fin: u8,
    /// The greeting was seen: the first final reply, which answers no command.
    pub greeted: u8,
    /// A 1xx was seen and its final reply not yet.
    pub transfer: u8,
    /// While out of sync: a whole exchange was seen and nothing is pending.
    pub exchange_seen: u8,
    /// Early segments deferred in a row.
    pub deferred: u8,
    /// One of [`decision`]; for the caller to carry out and reset.
    pub decision: u8,
    /// 1: the expectation's time restarts; for the caller to carry out and reset.
    pub renew: u8,
    /// Payload was seen: the server's host has taken the connection, whatever became of the client's segments.
    pub confirmed: u8,
    /// 1: no handshake of the same two ends is noted, so none is looked for when the client speaks. 0: one may be.
    pub no_handshake: u8,
    /// Counts final replies, those that answer nothing too.
    pub finals: u32,
    /// Position behind the FIN.
    pub fin_end: u32,
    /// Always 0.
    pub zero2: u32,
    /// The command that the last final reply answered.
    pub taken: Command,
    /// The expectation to be made, with [`decision::REPLACE`].
    pub wanted: Negotiated,
    /// The expectation that stands.
    pub standing: Negotiated,
    /// The parser.
    pub parser: ReplyParser,
}

impl Session {
    /// Begins a session at its handshake: the parsers start at byte one. The value must be zeroed.
    #[inline(always)]
    pub fn start(&mut self, session_id: u64, now: u64, handshake: &Handshake) {
        self.session_id = session_id;
        self.since = now;
        self.client.start(handshake.client_next, handshake.server_next);
        self.server.start(handshake.server_next, handshake.client_next, handshake.multipath != 0);
    }

    /// Begins a session that was there before the filter, between two exchanges. The value must be zeroed.
    #[inline(always)]
    pub fn adopt(&mut self, session_id: u64, now: u64, segment: &Segment) {
        let handshake = Handshake { client_next: segment.seq, server_next: segment.ack, ..Handshake::default() };
        self.start(session_id, now, &handshake);
        self.server.greeted = 1;
        self.server.confirmed = 1;
        self.server.parser.assume_crlf();
    }

    /// Begins a session at a packet of the server, somewhere in the middle. The value must be zeroed.
    #[inline(always)]
    pub fn pick_up_midstream(&mut self, session_id: u64, now: u64, segment: &Segment) {
        self.session_id = session_id;
        self.since = now;
        // Its ends may be seen before its client's first packet.
        (self.client.next, self.client.acked) = (segment.ack, segment.seq);
        self.server.pick_up_midstream(segment);
    }

    /// Whether it can open anything at present.
    #[inline(always)]
    #[must_use]
    pub const fn is_in_sync(&self) -> bool {
        self.server.opaque == 0
            && self.client.synced != 0
            && self.client.resync_epoch == self.server.resync_epoch
            && self.client.desyncs == self.server.resynced_for
    }

    /// Whether it is the session of this id and its expectation of this serial has not been withdrawn.
    #[inline(always)]
    #[must_use]
    pub const fn stands(&self, session_id: u64, serial: u32) -> bool {
        if serial == LEARNED {
            return self.session_id == session_id && self.server.opaque == opaque::ENCRYPTED && self.server.fin == 0;
        }
        self.session_id == session_id
            && self.server.serial == serial
            && self.server.standing.mode != 0
            && self.client.desyncs == self.server.resynced_for
    }

    /// Commands that are pending.
    #[must_use]
    pub const fn pending(&self) -> u32 {
        self.client.head.wrapping_sub(self.server.tail)
    }

    /// Those commands, the oldest first; at most [`RING`].
    pub fn pending_commands(&self) -> impl Iterator<Item = Command> + use<> {
        let (ring, tail, count) = (self.client.ring, self.server.tail, self.pending().min(RING as u32));
        (0..count).map(move |i| ring[tail.wrapping_add(i) as usize % RING])
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
