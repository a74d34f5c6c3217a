//! Segments of data connections whose handshake is not over.

use core::mem::offset_of;

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::expectation::{self, Expectation, Shared, Used};
use ftp_common::flow::tcp::FIN;
use ftp_common::flow::{Flow, IN_RANGE, PROMISCUOUS, state};
use ftp_common::half_open::{ANSWERED, HalfOpenFlow, Handshake, LIFE};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::session::Session;

use crate::clock::now;
use crate::control::is_right_direction;
use crate::flows::report_flow;
use crate::maps::{EXPECTATIONS, FLOWS, USED, session};
use crate::packet::Packet;
use crate::scratch::{Scratch, scratch};
use crate::{atomic, expectations, flows, half_open_table, report};

/// What becomes of a segment besides being denied for the reason that is a counter's index: it passes.
pub(crate) const PASSES: u32 = 0x100;
/// It passes, and the flow is now among the established ones: it may end it, too.
pub(crate) const PROMOTED: u32 = 0x101;

/// A segment, no SYN of the opener, of a half-open flow.
#[inline(never)]
pub(crate) fn segment(packet: &Packet, key: &ConnectionKey, entry: &mut HalfOpenFlow, from_client: bool) -> u32 {
    let passive = entry.flow.mode == Mode::Passive.number();
    let from_opener = passive == from_client;
    // What comes from where its sender can't be is forged: it says nothing, and begins nothing.
    if !is_right_direction(packet, !from_client) {
        return if from_opener { Counter::DeniedWrongDirection.index() } else { PASSES };
    }
    let segment = &packet.segment;
    let step = entry.on_segment(from_opener, segment.flags, segment.seq, segment.ack, segment.length);
    let step = unknown(step);
    // Its session ended before the listening host took it: with a bad checksum, for instance, it never did.
    let is_orphan =
        entry.flow.state == state::UNCONFIRMED && from_opener && step == Handshake::Same && !is_owned(key, entry);
    if is_orphan || step == Handshake::Unfit {
        // A server that opens may hold its end for longer than a handshake lasts, and go on where it was.
        if !passive {
            entry.until = now() + LIFE;
        }
        if is_orphan {
            entry.flow.state = state::DENIED;
            return Counter::DeniedSessionGone.index();
        }
        let denied = entry.flow.state == state::DENIED;
        return if denied { Counter::DeniedUsed.index() } else { Counter::DeniedHandshake.index() };
    }
    // The listener's FIN confirms the connection, and counts when that is among the established ones.
    if entry.flow.state == state::UNCONFIRMED && segment.has(FIN) && from_opener {
        entry.flow.note_fin(from_client, segment);
    }
    match step {
        Handshake::Answered => {
            if !entry.was_answered() {
                entry.flow.syn_ack_seq = segment.seq;
                entry.flow.marks |= ANSWERED;
            }
            if entry.flow.state == state::SYN_SENT {
                entry.flow.state = state::SYN_RECV;
            }
            entry.until = now() + LIFE;
        }
        Handshake::AnsweredAnew => return Counter::DeniedHandshake.index(),
        Handshake::Acknowledged => {
            if !establish(packet, key, entry) {
                return Counter::DeniedUsed.index();
            }
        }
        Handshake::Confirmed => {
            if entry.flow.state == state::SYN_RECV && !establish(packet, key, entry) {
                return PASSES; // the opener's next segment is denied
            }
            return promote(key, entry);
        }
        Handshake::Refused => {
            release_half_open(key, &entry.flow);
            entry.flow.state = state::REFUSED;
            report::count(Counter::FlowsRefused);
        }
        Handshake::Reset => {
            entry.flow.state = state::DENIED;
            flows::report_end(packet, key, &entry.flow);
        }
        Handshake::Gone => {
            flows::report_end(packet, key, &entry.flow);
            flows::note_closed(&entry.flow, 0);
            half_open_table::half_open_remove();
        }
        Handshake::Ignored => {
            release_half_open(key, &entry.flow);
            half_open_table::half_open_remove();
        }
        Handshake::Same | Handshake::Unfit => {}
    }
    PASSES
}

/// The same step, of which the verifier knows nothing: LLVM makes one of two as `4 | bit`, and 6.18.15 warns where a
/// comparison leaves neither. Only values in maps it does not follow.
#[inline(always)]
fn unknown(step: Handshake) -> Handshake {
    let Some(scratch) = scratch() else { return Handshake::Unfit };
    scratch.step = step;
    // SAFETY: it was just written.
    unsafe { (&raw const scratch.step).read_volatile() }
}

/// Whether the session of an unconfirmed flow lives: its server has not closed. A client that never acknowledges that
/// keeps its entry.
#[inline(always)]
fn is_owned(key: &ConnectionKey, entry: &HalfOpenFlow) -> bool {
    let Some(scratch) = scratch() else { return false };
    let control = &mut scratch.other;
    *control = *key;
    control.client = entry.control_client;
    control.client_port = entry.flow.control_client_port;
    control.server_port = entry.flow.control_server_port;
    session(control).is_some_and(|owner| owner.session_id == entry.flow.session_id && owner.server.fin == 0)
}

/// The handshake is complete: uses the expectation up, or denies the flow for good.
#[inline(always)]
fn establish(packet: &Packet, key: &ConnectionKey, entry: &mut HalfOpenFlow) -> bool {
    let in_range = entry.flow.marks & IN_RANGE != 0;
    if !(if in_range { is_owned(key, entry) } else { use_up(key, &entry.flow) }) {
        entry.flow.state = state::DENIED;
        return false;
    }
    entry.flow.state = state::UNCONFIRMED;
    report::count(Counter::FlowsEstablished);
    report_flow(packet, key, &entry.flow, EventKind::FlowStarted);
    true
}

/// The listening host has taken the connection: nothing more can begin on it, and losing its entry loses a count.
#[inline(always)]
fn promote(key: &ConnectionKey, entry: &HalfOpenFlow) -> u32 {
    let Some(scratch) = scratch() else { return PASSES };
    // A copy: another CPU may look at the entry until it is removed, and must see a handshake.
    scratch.half_open.flow = entry.flow;
    scratch.half_open.flow.state = state::ESTABLISHED;
    if FLOWS.insert(key, &scratch.half_open.flow, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
    }
    half_open_table::half_open_remove();
    PROMOTED
}

/// Sets the key of the expectation that a flow was made on.
#[inline(always)]
fn set_expected(expected: &mut ExpectationKey, key: &ConnectionKey, flow: &Flow) {
    *expected = ExpectationKey::for_connection(key, Mode::from_number(flow.mode));
    if flow.marks & PROMISCUOUS != 0 {
        expected.client = Address::ANY;
    }
}

/// Uses the expectation up. False if another connection was first, or it was withdrawn meanwhile, or its session
/// is gone.
#[inline(never)]
fn use_up(key: &ConnectionKey, flow: &Flow) -> bool {
    let Some(Scratch { expected, other, used, .. }) = scratch() else { return false };
    set_expected(expected, key, flow);
    let Some(expectation) = expectations::get(expected) else { return false };
    if !is_of(expectation, flow) {
        return false;
    }
    *other = expectation.session;
    let Some(owner) = session(other) else { return false };
    let mode = Mode::from_number(flow.mode);
    if !expectation::use_up(&mut Expected { key: expected, expectation, owner, flow }, mode) {
        return false;
    }
    owner.unfinished.give_back();
    if mode == Mode::Passive {
        *used = Used { session: *other, session_id: flow.session_id };
        let _noted = USED.insert(&*expected, &*used, u64::from(BPF_ANY));
    } else {
        expectation.release_half_open(flow.since);
    }
    true
}

/// The expectation that a flow was made on, in its map.
struct Expected<'a> {
    key: &'a ExpectationKey,
    expectation: *mut Expectation,
    owner: &'a Session,
    flow: &'a Flow,
}

impl Shared for Expected<'_> {
    #[inline(always)]
    fn delete(&mut self) -> bool {
        EXPECTATIONS.remove(self.key).is_ok()
    }

    #[inline(always)]
    fn uses(&self) -> (bool, u16) {
        // SAFETY: a map value, valid until the program returns; that it is still this expectation is looked at.
        let expectation = unsafe { &*self.expectation };
        (expectation.may_begin(self.owner.client.transfers), expectation.uses)
    }

    #[inline(always)]
    fn add_use(&mut self) {
        self.add(Expectation::ONE_USE);
    }

    #[inline(always)]
    fn take_use_back(&mut self) {
        self.add(Expectation::ONE_USE.wrapping_neg());
    }

    #[inline(always)]
    fn stands(&self) -> bool {
        self.owner.stands(self.flow.session_id, self.flow.serial)
    }
}

impl Expected<'_> {
    #[inline(always)]
    fn add(&mut self, count: u32) {
        let word = self.expectation.cast::<u8>().wrapping_add(offset_of!(Expectation, uses));
        atomic::add(word.cast(), count);
    }
}

/// Whether a flow was made on this expectation.
#[inline(always)]
fn is_of(expectation: &Expectation, flow: &Flow) -> bool {
    expectation.session_id == flow.session_id && expectation.serial == flow.serial
}

/// Somebody refused: the half-open slot is free again, the expectation stays.
#[inline(always)]
fn release_half_open(key: &ConnectionKey, flow: &Flow) {
    let Some(Scratch { expected, .. }) = scratch() else { return };
    set_expected(expected, key, flow);
    if flow.marks & IN_RANGE == 0
        && let Some(expectation) = expectations::get(expected)
        && is_of(expectation, flow)
    {
        expectation.release_half_open(flow.since);
    }
}
