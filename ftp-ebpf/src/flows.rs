//! Established data connections, packet by packet.

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::closed::{self, Closed, FIN_WAIT};
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::{FIN, RST};
use ftp_common::flow::{AT_LEAST, Flow, state};
use ftp_common::keys::{ConnectionKey, Mode};

use crate::clock::{jiffies, now};
use crate::maps::{CLOSED, CLOSED_UNTIL, FLOWS, session};
use crate::packet::Packet;
use crate::scratch::{Scratch, current, scratch};
use crate::{half_open_table, report};

/// A segment of an established flow, which has been counted: it may end it.
#[inline(always)]
pub(crate) fn follow(packet: &Packet, key: &ConnectionKey, flow: &mut Flow, from_client: bool) {
    if flow.state != state::ESTABLISHED {
        return;
    }
    if flow.is_ended_by(from_client, packet.segment.flags) {
        end(packet, key, flow, from_client);
    } else if packet.segment.has(FIN) {
        if !from_client {
            note_closed(flow, now() + FIN_WAIT);
            if let Some(closed) = closed(key) {
                closed.await_last(&packet.segment, now());
            }
        }
        flow.note_fin(from_client, &packet.segment);
    }
}

#[inline(always)]
fn end(packet: &Packet, key: &ConnectionKey, flow: &mut Flow, from_client: bool) {
    flow.settle(from_client, &packet.segment);
    flow.state = state::ENDED;
    note_closed(flow, 0);
    if let Some(closed) = closed(key) {
        match (packet.segment.has(RST), from_client) {
            (true, _) => closed.client_resets(),
            (false, true) => closed.client_closes(&packet.segment),
            (false, false) => closed.await_last(&packet.segment, now()),
        }
    }
    report_end(packet, key, flow);
    let _gone = FLOWS.remove(key);
}

/// A connection that was accepted has ended.
#[inline(never)]
pub(crate) fn report_end(packet: &Packet, key: &ConnectionKey, flow: &Flow) {
    report::count(Counter::FlowsEnded);
    report_flow(packet, key, flow, EventKind::FlowEnded);
    // Some servers leave an aborted transfer without a final reply: what is pending may be dropped then.
    if let Some(Scratch { other, .. }) = scratch() {
        *other = *key;
        other.client_port = flow.control_client_port;
        other.server_port = flow.control_server_port;
        if let Some(owner) = session(other).filter(|owner| owner.session_id == flow.session_id) {
            owner.server.transfer = 0;
        }
    }
}

/// Notes that the server closes, or has closed, a flow of the connection in `current`: nothing begins by its numbers any
/// more, `from` a time on.
#[inline(always)]
pub(crate) fn note_closed(flow: &Flow, from: u64) {
    if flow.mode == Mode::Passive.number() {
        let _noted = closed_add(Closed::distance(flow), now(), from);
    }
}

/// A global function (see [`crate::control_stream`]): 1 if it is noted.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn closed_add(distance: u32, now: u64, from: u64) -> u32 {
    let (Some(scratch), Some(current)) = (scratch(), current()) else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    // First, so that who finds the connection closed finds the place marked.
    if let Some(until) = CLOSED_UNTIL.get_ptr_mut(closed::place(half_open_table::hash(key))) {
        // SAFETY: a value of an array map lives as long as the program; another CPU writes nearly the same.
        unsafe { *until = closed::until(jiffies()) };
    }
    scratch.closed = closed(key).map_or(Closed::default(), |known| *known);
    scratch.closed.add(distance, now, from);
    if CLOSED.insert(key, &scratch.closed, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
        return 0;
    }
    1
}

/// What is noted of the flows that the server has closed on these addresses and ports.
#[inline(always)]
pub(crate) fn closed(key: &ConnectionKey) -> Option<&'static mut Closed> {
    let closed = CLOSED.get_ptr_mut(key)?;
    // SAFETY: valid until the program returns; a reused entry has other numbers.
    Some(unsafe { &mut *closed })
}

/// Whether what is noted of the connection in `current` denies a segment of its client: 1, or 0. A global function (see
/// [`crate::control_stream`]).
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn closed_denies(seq: u32, ack: u32, now: u64) -> u32 {
    let Some(current) = current() else { return 0 };
    // SAFETY: this CPU's own value; nothing writes the key meanwhile.
    let key = unsafe { &(*current).key };
    closed(key).map_or(0, |closed| u32::from(closed.denies(seq, ack, now)))
}

#[inline(never)]
pub(crate) fn report_flow(packet: &Packet, key: &ConnectionKey, flow: &Flow, kind: EventKind) {
    let Some(scratch) = scratch() else { return };
    report::event(scratch, kind, key, packet.interface);
    scratch.event.session = flow.session_id;
    scratch.event.mode = flow.mode;
    scratch.event.bytes = flow.bytes;
    scratch.event.flag = u8::from(flow.marks & AT_LEAST != 0);
    report::send();
}
