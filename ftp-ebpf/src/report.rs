//! Counters and events.

use ftp_common::SECOND;
use ftp_common::counter::Counter;
use ftp_common::event::{Event, EventKind};
use ftp_common::keys::ConnectionKey;

use crate::clock::{coarse_now, now};
use crate::maps::{EVENTS, READER, STATS, VIEW, VIEWER};
use crate::scratch::{Current, Scratch, current, scratch};

/// Denials reported in one second on one CPU; the rest is counted only.
const DENIALS_A_SECOND: u64 = 100;

#[inline(always)]
pub(crate) fn count(counter: Counter) {
    count_index(counter.index());
}

/// As [`count`], for the index of a counter.
#[inline(always)]
pub(crate) fn count_index(index: u32) {
    count_times(index, 1);
}

#[inline(always)]
fn count_times(index: u32, times: u64) {
    if let Some(total) = STATS.get_ptr_mut(index) {
        // SAFETY: a per-CPU value, which no other packet of this CPU can be writing.
        let total = unsafe { &mut *total };
        *total = total.wrapping_add(times);
    }
}

/// Starts the event in `scratch`: everything that is not set by the caller is zero.
#[inline(always)]
pub(crate) fn event(scratch: &mut Scratch, kind: EventKind, key: &ConnectionKey, interface: u32) {
    scratch.event = Event {
        time: now(),
        client: key.client,
        server: key.server,
        client_port: key.client_port,
        server_port: key.server_port,
        kind: kind.number(),
        interface,
        ..Event::default()
    };
}

/// Sends the event in this CPU's scratch. A global function (see [`crate::control_stream`]), as several places
/// call it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn send() -> u32 {
    let Some(scratch) = scratch() else { return 0 };
    keep(scratch);
    view(scratch);
    0
}

/// Puts the event in `scratch` into EVENTS. Where nobody reads, that keeps what it has room for, and what comes then is
/// nobody's loss.
///
/// The reader is woken when it has read all that was there before, and not otherwise: one that waits a moment before it
/// reads is woken once for many. (`BPF_RB_FORCE_WAKEUP` would wake it at once; nobody needs that.)
#[inline(always)]
fn keep(scratch: &mut Scratch) {
    let reader = READER.get(0).map_or(0, |reader| *reader);
    let is_read = reader & 1 != 0;
    if !is_read && scratch.full_since == reader.wrapping_add(1) {
        return;
    }
    let is_full = EVENTS.output::<Event>(&scratch.event, 0).is_err();
    if is_full && is_read {
        count(Counter::EventsLost);
    }
    scratch.full_since = if is_full { reader.wrapping_add(1) } else { 0 };
}

/// Shows the event in `scratch` to a live view, if one runs.
#[inline(always)]
fn view(scratch: &Scratch) {
    if is_viewed(scratch.event.time) && VIEW.output::<Event>(&scratch.event, 0).is_err() {
        count(Counter::ViewLost);
    }
}

#[inline(always)]
fn is_viewed(now: u64) -> bool {
    VIEWER.get(0).is_some_and(|until| *until > now)
}

/// Shows a line of the current session to a live view, if one runs at that time. `detail`: see [`Event`].
#[inline(always)]
pub(crate) fn show_line(now: u64, kind: EventKind, detail: u32) {
    if is_viewed(now) {
        emit_line(u32::from(kind.number()), detail);
    }
}

/// As [`show_line`]. `kind`: [`EventKind::number`]. A global function (see [`crate::control_stream`]).
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn emit_line(kind: u32, detail: u32) -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes it meanwhile.
    let Current { packet, key, .. } = unsafe { &*current };
    event(scratch, EventKind::Command, key, packet.interface);
    scratch.event.kind = kind as u8;
    scratch.event.session = scratch.progress.session_id;
    scratch.event.detail = detail;
    view(scratch);
    0
}

/// Whether a denial may be reported: 0 where there were too many this second. Asked before the event is made, as it is a
/// flood of SYNs when it matters. A global function (see [`crate::control_stream`]), as several places call it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn may_report_denial() -> u32 {
    let Some(scratch) = scratch() else { return 0 };
    let time = coarse_now(&mut scratch.clock);
    if time.wrapping_sub(scratch.denials_since) > SECOND {
        scratch.denials_since = time;
        scratch.denials = 0;
    }
    scratch.denials += 1;
    if scratch.denials > DENIALS_A_SECOND {
        count(Counter::EventsSuppressed);
        return 0;
    }
    1
}

/// Counts what was raised while a segment of this session was parsed, and reports the refused negotiations.
/// A global function (see [`crate::control_stream`]), as several places call it.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn flush(session: u64) -> u32 {
    let Some(scratch) = scratch() else { return 0 };
    let mut turn = 0;
    while turn < Counter::PER_SEGMENT && scratch.counts.dirty != 0 {
        turn += 1;
        flush_one(session);
    }
    0
}

/// Flushes one that was raised. A function of its own: the verifier would follow it in each turn of the loop.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flush_one(session: u64) -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    scratch.raised = scratch.counts.first();
    // Read back from the map: the verifier would follow what comes behind for each that there can be.
    // SAFETY: a map value, valid for the whole run.
    let index = unsafe { (&raw const scratch.raised).read_volatile() };
    let times = scratch.counts.take(index as usize);
    count_times(index, u64::from(times));
    if Counter::index_is_refusal(index) {
        // SAFETY: this CPU's own value; nothing writes it meanwhile.
        let Current { packet, key, .. } = unsafe { &*current };
        event(scratch, EventKind::Refused, key, packet.interface);
        scratch.event.session = session;
        scratch.event.reason = index as u8;
        scratch.event.detail = u32::from(times);
        send();
    }
    0
}
