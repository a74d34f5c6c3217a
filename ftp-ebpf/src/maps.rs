//! The maps. `bpftool map` shows them under these names.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::Flow;
use ftp_common::keys::{ClientKey, ConnectionKey, ExpectationKey, ServerKey};
use ftp_common::limit::ClientSessions;
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
pub(crate) static RANGES: LruHashMap<ExpectationKey, Range> = LruHashMap::with_max_entries(4_096, 0);
#[map]
pub(crate) static FLOWS: LruHashMap<ConnectionKey, Flow> = LruHashMap::with_max_entries(65_536, 0);
#[map]
pub(crate) static STATS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Counter::COUNT, 0);
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 18, 0);
/// All events and the lines of sessions, while a live view runs.
#[map]
pub(crate) static VIEW: RingBuf = RingBuf::with_byte_size(1 << 18, 0);
/// Until when a live view runs: nanoseconds of `CLOCK_MONOTONIC`. The view renews it again and again, so
/// that one that was killed costs nothing.
#[map]
pub(crate) static VIEWER: Array<u64> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static CLIENTS: LruHashMap<ClientKey, ClientSessions> = LruHashMap::with_max_entries(1_024, 0);
/// As [`BLANK`], for [`CLIENTS`].
#[map]
pub(crate) static BLANK_CLIENT: Array<ClientSessions> = Array::with_max_entries(1, 0);
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
