//! Counting and telling.

use core::ffi::c_void;

use aya_ebpf::helpers::{bpf_ktime_get_ns, bpf_loop};
use ftp_common::SECOND;
use ftp_common::counter::{Counter, Tally};
use ftp_common::event::{Event, EventKind};
use ftp_common::keys::ConnectionKey;

use crate::maps::{EVENTS, STATS, Scratch};

/// Denials told in one second on one CPU; the rest is counted only.
const DENIALS_A_SECOND: u64 = 100;

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
pub(crate) fn count(counter: Counter) {
    count_times(counter.index(), 1);
}

#[inline(always)]
fn count_times(index: u32, times: u64) {
    if let Some(total) = STATS.get_ptr_mut(index) {
        // SAFETY: a per-CPU value, which no other packet of this CPU can be writing.
        let total = unsafe { &mut *total };
        *total = total.wrapping_add(times);
    }
}

/// Begins the event in `scratch`: everything that is not set by the caller is zero.
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

/// Sends the event in `scratch`.
#[inline(always)]
pub(crate) fn send(scratch: &Scratch) {
    if EVENTS.output::<Event>(&scratch.event, 0).is_err() {
        count(Counter::EventsLost);
    }
}

/// Sends the event in `scratch` unless there were too many denials this second.
#[inline(always)]
pub(crate) fn send_denial(scratch: &mut Scratch) {
    let time = scratch.event.time;
    if time.wrapping_sub(scratch.denials_since) > SECOND {
        scratch.denials_since = time;
        scratch.denials = 0;
    }
    scratch.denials += 1;
    if scratch.denials > DENIALS_A_SECOND {
        count(Counter::EventsSuppressed);
    } else {
        send(scratch);
    }
}

/// Counts what was noted while a segment was read, and tells the refused negotiations.
#[inline(never)]
pub(crate) fn flush(scratch: &mut Scratch, key: &ConnectionKey, session: u64, interface: u32) {
    let mut flush = Flush { scratch, key, session, interface };
    // SAFETY: the callback gets this very flush as its context.
    unsafe { bpf_loop(Counter::TALLIED as u32, flush_one as *mut c_void, (&raw mut flush).cast(), 0) };
    flush.scratch.tally = Tally::default();
}

/// What each turn needs. A turn of `bpf_loop` takes one counter, so that it is verified once.
struct Flush<'a> {
    scratch: &'a mut Scratch,
    key: &'a ConnectionKey,
    session: u64,
    interface: u32,
}

unsafe extern "C" fn flush_one(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: `flush` passes a Flush, which nothing else uses meanwhile.
    let Flush { scratch, key, session, interface } = unsafe { &mut *context.cast::<Flush<'_>>() };
    let index = index & (Counter::TALLIED as u32 - 1);
    let times = scratch.tally.marks[index as usize];
    if times == 0 {
        return 0;
    }
    count_times(index, u64::from(times));
    if Counter::index_is_refusal(index) {
        event(scratch, EventKind::Refused, key, *interface);
        scratch.event.session = *session;
        scratch.event.reason = index as u8;
        scratch.event.times = u32::from(times);
        send(scratch);
    }
    0
}
