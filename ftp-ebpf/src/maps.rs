//! The maps. `bpftool map` shows them under these names.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use ftp_common::closed::{self, Closed};
use ftp_common::counter::Counter;
use ftp_common::event::READER_ENTRIES;
use ftp_common::expectation::{Expectation, Used};
use ftp_common::flow::Flow;
use ftp_common::half_open::{BUCKETS, HalfOpenFlow, Id, WAYS};
use ftp_common::keys::{ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::{Slot, SlotKey};
use ftp_common::owner::Joint;
use ftp_common::policy::{Config, MAX_POLICIES, PortClasses, ServerPolicy};
use ftp_common::range::Range;
use ftp_common::session::{Handshake, Session};

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
pub(crate) static USED: LruHashMap<ExpectationKey, Used> = LruHashMap::with_max_entries(4_096, 0);
#[map]
pub(crate) static RANGES: LruHashMap<ExpectationKey, Range> = LruHashMap::with_max_entries(4_096, 0);
/// Control connections that have just begun, where what is served in other network namespaces is learned from: they are
/// found by who accepts them a moment later.
#[map]
pub(crate) static JOINABLE: LruHashMap<Joint, ConnectionKey> = LruHashMap::with_max_entries(1_024, 0);
/// 1: RANGES has or had an entry.
#[map]
pub(crate) static RANGES_USED: Array<u32> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static FLOWS: LruHashMap<ConnectionKey, Flow> = LruHashMap::with_max_entries(65_536, 0);
#[map]
pub(crate) static CLOSED: LruHashMap<ConnectionKey, Closed> = LruHashMap::with_max_entries(65_536, 0);
/// Until when CLOSED may have connections, by [`closed::place`]: 0 or [`closed::until`].
#[map]
pub(crate) static CLOSED_UNTIL: Array<u32> = Array::with_max_entries(closed::PLACES, 0);
/// BPF_F_NO_PREALLOC: it is empty most of the time.
#[map]
pub(crate) static HALF_OPEN: HashMap<Id, HalfOpenFlow> = HashMap::with_max_entries(BUCKETS * WAYS, 1);
/// Versions of the slots of HALF_OPEN.
#[map]
pub(crate) static VERSIONS: Array<u32> = Array::with_max_entries(BUCKETS * WAYS, 0);
/// Entries of HALF_OPEN, by bucket: where there are none, a data packet needs no look-up.
#[map]
pub(crate) static COUNTS: Array<u32> = Array::with_max_entries(BUCKETS, 0);
#[map]
pub(crate) static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT, 0);
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);
/// First, who reads EVENTS: odd while somebody does, and another number each time that changes. Then, for user space, how
/// many lost and suppressed events the last reader knew of.
#[map]
pub(crate) static READER: Array<u64> = Array::with_max_entries(READER_ENTRIES, 0);
/// All events and the lines of sessions, while a live view runs.
#[map]
pub(crate) static VIEW: RingBuf = RingBuf::with_byte_size(1 << 18, 0);
/// Until when a live view runs: nanoseconds of `CLOCK_MONOTONIC`. The view renews it again and again, so
/// that one that was killed costs nothing.
#[map]
pub(crate) static VIEWER: Array<u64> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static CLIENTS: LruHashMap<SlotKey, Slot> = LruHashMap::with_max_entries(16_384, 0);
/// A session of zeros to make new ones from: it is too large for the stack. Never written.
#[map]
pub(crate) static BLANK: Array<Session> = Array::with_max_entries(1, 0);

/// The session of a control connection, if it is tracked.
#[inline(always)]
pub(crate) fn session(key: &ConnectionKey) -> Option<&'static mut Session> {
    let session = SESSIONS.get_ptr_mut(key)?;
    // SAFETY: the kernel keeps an LRU value's memory valid until the program returns. It may be
    // reused for another key at any time: readers check the id, and each direction of a
    // connection writes only its own state.
    let session = unsafe { &mut *session };
    (session.session_id != 0).then_some(session)
}
