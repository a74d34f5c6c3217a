//! The maps and the constants that the loader sets. `bpftool map` shows them under these names.

use aya_ebpf::Global;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use ftp_common::command::CommandParser;
use ftp_common::counter::{Counter, Tally};
use ftp_common::event::Event;
use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::keys::{ClientKey, ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::ClientSessions;
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy};
use ftp_common::range::{Owner, Range};
use ftp_common::reply::ReplyParser;
use ftp_common::session::{Handshake, Session};

use crate::adopt::Tuple;
use crate::multipath::Options;
use crate::packet::{Layout, Packet};
use crate::report::Clock;
use crate::text::{Piece, Progress};

/// `Side::number` of the interface that this program is attached to.
#[unsafe(no_mangle)]
pub(crate) static SIDE: Global<u8> = Global::new(1);
/// Bytes of link header in front of the network header: 14 on ethernet, 0 where there is none.
#[unsafe(no_mangle)]
pub(crate) static LINK_HEADER: Global<u8> = Global::new(14);
/// 1 on the loopback interface, where each packet passes egress and then ingress.
#[unsafe(no_mangle)]
pub(crate) static LOOPBACK: Global<u8> = Global::new(0);

#[map]
pub(crate) static CONFIG: Array<Config> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static PORTS: Array<PortClasses> = Array::with_max_entries(2, 0);
#[map]
pub(crate) static POLICIES: Array<ServerPolicy> = Array::with_max_entries(2 * MAX_POLICIES, 0);
/// BPF_F_NO_PREALLOC, as the kernel asks of LPM tries.
#[map]
pub(crate) static SERVERS: LpmTrie<ServerKey, u32> = LpmTrie::with_max_entries(16_384, 1);
#[map]
pub(crate) static HANDSHAKES: LruHashMap<ConnectionKey, Handshake> = LruHashMap::with_max_entries(16_384, 0);
#[map]
pub(crate) static SESSIONS: LruHashMap<ConnectionKey, Session> = LruHashMap::with_max_entries(16_384, 0);
#[map]
pub(crate) static EXPECTATIONS: LruHashMap<ExpectationKey, Expectation> = LruHashMap::with_max_entries(16_384, 0);
#[map]
pub(crate) static RANGES: LruHashMap<ExpectationKey, Range> = LruHashMap::with_max_entries(4_096, 0);
#[map]
pub(crate) static FLOWS: LruHashMap<ConnectionKey, Flow> = LruHashMap::with_max_entries(65_536, 0);
#[map]
pub(crate) static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT, 0);
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);
/// All events and what sessions say, while somebody views.
#[map]
pub(crate) static VIEW: RingBuf = RingBuf::with_byte_size(1 << 18, 0);
/// Until when somebody views: nanoseconds of `CLOCK_MONOTONIC`. Whoever does says so again and again, so
/// that one who was killed costs nothing.
#[map]
pub(crate) static VIEWER: Array<u64> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);
/// The packet in hand and the connection that it belongs to. They lie in a map and not on the stack so
/// that, behind this point, the verifier knows nothing of how the headers were found: it then follows
/// the rest of the program once, and not once for each combination of headers.
#[map]
pub(crate) static CURRENT: PerCpuArray<Current> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub(crate) static CLIENTS: LruHashMap<ClientKey, ClientSessions> = LruHashMap::with_max_entries(1_024, 0);
/// As [`BLANK`], for [`CLIENTS`].
#[map]
pub(crate) static BLANK_CLIENT: Array<ClientSessions> = Array::with_max_entries(1, 0);
/// A session of zeros to make new ones from: it is too large for the stack. Never written.
#[map]
pub(crate) static BLANK: Array<Session> = Array::with_max_entries(1, 0);

/// The packet in hand.
#[repr(C)]
pub(crate) struct Current {
    pub(crate) layout: Layout,
    pub(crate) packet: Packet,
    pub(crate) key: ConnectionKey,
}

/// This CPU's packet in hand.
#[inline(always)]
pub(crate) fn current() -> Option<*mut Current> {
    CURRENT.get_ptr_mut(0)
}

/// What one packet needs and the stack (512 bytes for all frames together) has no room for.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) tally: Tally,
    pub(crate) progress: Progress,
    /// The piece of text in hand, and the parser that reads it.
    pub(crate) piece: Piece,
    pub(crate) command: CommandParser,
    pub(crate) reply: ReplyParser,
    /// What holds for the server in hand, while its text is read.
    pub(crate) policy: ServerPolicy,
    pub(crate) expectation: Expectation,
    pub(crate) flow: Flow,
    pub(crate) event: Event,
    pub(crate) options: Options,
    /// Keys of the client whose sessions are counted, and of one of them.
    pub(crate) client: ClientKey,
    pub(crate) other: ConnectionKey,
    /// The place that was found for it.
    pub(crate) place: u32,
    /// An opened range.
    pub(crate) range_key: ExpectationKey,
    pub(crate) range: Range,
    pub(crate) owner: Owner,
    pub(crate) tuple: Tuple,
    pub(crate) clock: Clock,
    /// When the present second of denial events began, nanoseconds; and how many it had.
    pub(crate) denials_since: u64,
    pub(crate) denials: u64,
}

/// This CPU's scratch. Programs at TC run with softirqs off, so no other packet uses it meanwhile.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: a value of a per-CPU array lives as long as the program, and is this CPU's alone.
    Some(unsafe { &mut *scratch })
}

/// The session of a control connection, if it is followed.
#[inline(always)]
pub(crate) fn session(key: &ConnectionKey) -> Option<&'static mut Session> {
    let session = SESSIONS.get_ptr_mut(key)?;
    // SAFETY: the kernel keeps an LRU value's memory valid until the program returns. It may be
    // reused for another key at any time: readers check the generation, and each direction of a
    // connection writes only its own half.
    let session = unsafe { &mut *session };
    (session.generation != 0).then_some(session)
}
