//! What one packet needs and the stack (512 bytes for all frames together) has no room for: two values of
//! this CPU, and the shapes in them.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use ftp_common::closed::Closed;
use ftp_common::command::CommandParser;
use ftp_common::counter::Counts;
use ftp_common::event::Event;
use ftp_common::expectation::{Expectation, Used};
use ftp_common::half_open::{HalfOpenFlow, Handshake, Id};
use ftp_common::keys::{ConnectionKey, ExpectationKey};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::overlap::Line;
use ftp_common::owner::Joint;
use ftp_common::policy::ServerPolicy;
use ftp_common::range::{Owner, Range};
use ftp_common::reply::ReplyParser;

use crate::local::Route;
use crate::packet::{Layout, Packet};

#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
/// The current packet and the connection that it belongs to. They lie in a map and not on the stack so
/// that, behind this point, the verifier knows nothing of how the headers were found: it then follows
/// the rest of the program once, and not once for each combination of headers.
#[map]
pub(crate) static CURRENT: PerCpuArray<Current> = PerCpuArray::with_max_entries(1, 0);

/// The current packet.
#[repr(C)]
pub(crate) struct Current {
    pub(crate) layout: Layout,
    pub(crate) packet: Packet,
    pub(crate) key: ConnectionKey,
}

/// This CPU's current packet.
#[inline(always)]
pub(crate) fn current() -> Option<*mut Current> {
    CURRENT.get_ptr_mut(0)
}

/// What one packet needs and the stack (512 bytes for all frames together) has no room for.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) counts: Counts,
    /// The one that is flushed.
    pub(crate) raised: u32,
    pub(crate) progress: Progress,
    /// The current piece of payload, and the parser that reads it.
    pub(crate) piece: Piece,
    pub(crate) command: CommandParser,
    pub(crate) reply: ReplyParser,
    /// The current server's policy, while its payload is parsed.
    pub(crate) policy: ServerPolicy,
    pub(crate) expectation: Expectation,
    /// A half-open flow to be made, and the key of the one that was found.
    pub(crate) half_open: HalfOpenFlow,
    pub(crate) half_open_id: Id,
    /// What a segment means for it.
    pub(crate) step: Handshake,
    /// The expectation that is looked for.
    pub(crate) expected: ExpectationKey,
    /// By whom one was used up.
    pub(crate) used: Used,
    pub(crate) closed: Closed,
    /// See [`crate::atomic::fence`].
    pub(crate) fence: u32,
    pub(crate) event: Event,
    pub(crate) options: Options,
    /// Keys of the client whose sessions are counted, and of one of them.
    pub(crate) client: SlotKey,
    pub(crate) other: ConnectionKey,
    /// A slot for it.
    pub(crate) slot: Slot,
    /// An opened range.
    pub(crate) range_key: ExpectationKey,
    pub(crate) range: Range,
    pub(crate) owner: Owner,
    /// A connection that others may see at another address.
    pub(crate) joint: Joint,
    pub(crate) tuple: Tuple,
    pub(crate) route: Route,
    pub(crate) clock: Clock,
    /// When the present second of denial events began, nanoseconds; and how many it had.
    pub(crate) denials_since: u64,
    pub(crate) denials: u64,
    /// Who had read EVENTS last, one more, when it was full and nobody read it; else 0.
    pub(crate) full_since: u64,
}

/// This CPU's scratch. Programs at TC run with softirqs off, so no other packet uses it meanwhile.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of a per-CPU array lives as long as the program, and is this CPU's alone.
    Some(unsafe { &mut *scratch })
}

/// Bytes of a piece of the packet, from the beginning of the word that the first one lies in; a power of two.
pub(crate) const PIECE: usize = 4096;
/// A piece as words, and one more: the verifier sees only that [`PIECE`] bytes from some byte of the first
/// word on are written.
pub(crate) type Piece = [u64; PIECE / 8 + 1];

/// How far the parsing of a segment has come. Lies in the scratch map: the verifier, which would tell
/// apart each range that a number on the stack can have, knows nothing of numbers in maps.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Progress {
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) now: u64,
    /// Id of the session.
    pub(crate) session_id: u64,
    /// Next piece, from the start of the packet.
    pub(crate) offset: u32,
    /// Bytes behind it that are still to be read, or to be compared.
    pub(crate) left: u32,
    /// Bytes to compare with what was read at their positions before, in front of those to read.
    pub(crate) compare: u32,
    /// Sequence number of the first byte of the current piece.
    pub(crate) position: u32,
    /// Next byte in the current piece.
    pub(crate) at: u32,
    /// The acknowledgement number of the segment.
    pub(crate) ack: u32,
    /// The line that the byte to be compared is in.
    pub(crate) line: Line,
}

impl Progress {
    /// Sequence number of the next byte.
    #[inline(always)]
    pub(crate) const fn next(&self) -> u32 {
        self.position.wrapping_add(self.at)
    }
}

/// TCP options and the place in them. In a map value, so that each turn of the loop looks the same to
/// the verifier; one power of two long, so that a mask keeps the index inside.
#[repr(C)]
pub(crate) struct Options {
    pub(crate) bytes: [u8; 64],
    pub(crate) at: u32,
}

/// As `bpf_sock_tuple`: addresses and ports in network byte order, the remote end first.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Tuple(pub(crate) [u32; 9]);

/// The time of a jiffy on this CPU.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Clock {
    pub(crate) jiffies: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC`, when it was asked for in that jiffy first.
    pub(crate) time: u64,
}
