//! Segments of data connections whose handshake is not over.

use aya_ebpf::bindings::{__sk_buff, BPF_ANY, BPF_NOEXIST};
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::FIN;
use ftp_common::flow::{Flow, IN_RANGE, PROMISCUOUS, state};
use ftp_common::half_open::{ANSWERED, HalfOpenFlow, Handshake, LIFE};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};

use crate::clock::now;
use crate::control::is_right_direction;
use crate::flows::{report_flow, segments};
use crate::maps::{EXPECTATIONS, FLOWS, USED, session};
use crate::packet::Packet;
use crate::scratch::{Scratch, scratch};
use crate::{expectations, half_open_table, report};

/// What becomes of a segment besides being denied for the reason that is a counter's index: it passes.
pub(crate) const PASSES: u32 = 0x100;
/// It passes, and the flow is now among the established ones: it may end it, too.
pub(crate) const PROMOTED: u32 = 0x101;
/// Of what [`segment`] is told: the client sent it.
pub(crate) const FROM_CLIENT: u32 = 1;
/// It is counted here.
pub(crate) const ACCOUNTS: u32 = 2;

/// A segment, no SYN of the opener, of a half-open flow. `what`: bits of the above, as five arguments are the most
/// that a function can have.
#[inline(never)]
pub(crate) fn segment(
    skb: *mut __sk_buff,
    packet: &Packet,
    key: &ConnectionKey,
    entry: &mut HalfOpenFlow,
    what: u32,
) -> u32 {
    let (from_client, accounts) = (what & FROM_CLIENT != 0, what & ACCOUNTS != 0);
    let passive = entry.flow.mode == Mode::Passive.number();
    let from_opener = passive == from_client;
    // What comes from where its sender can't be is forged: it says nothing, and begins nothing.
    if !is_right_direction(packet, !from_client) {
        return if from_opener { Counter::DeniedWrongDirection.index() } else { PASSES };
    }
    let segment = &packet.segment;
    let step = entry.on_segment(from_opener, segment.flags, segment.seq, segment.ack, segment.length);
    if entry.flow.state == state::UNCONFIRMED && from_opener && step == Handshake::Same && !is_owned(key, entry) {
        // Its session ended before the listening host took it: with a bad checksum, for instance, it never did.
        entry.flow.state = state::DENIED;
        return Counter::DeniedSessionGone.index();
    }
    if step == Handshake::Unfit {
        let denied = entry.flow.state == state::DENIED;
        return if denied { Counter::DeniedUsed.index() } else { Counter::DeniedHandshake.index() };
    }
    if accounts {
        entry.flow.account(from_client, segments(skb), segment.length, now());
    }
    if entry.flow.state == state::UNCONFIRMED && segment.has(FIN) {
        entry.flow.marks |= Flow::fin_mark(from_client);
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
            report::count(Counter::FlowsEnded);
            report_flow(packet, key, &entry.flow, EventKind::FlowEnded);
        }
        Handshake::Ignored => {
            release_half_open(key, &entry.flow);
            half_open_table::half_open_remove();
        }
        Handshake::Same | Handshake::Unfit => {}
    }
    PASSES
}

/// Whether the session of an unconfirmed flow lives.
#[inline(always)]
fn is_owned(key: &ConnectionKey, entry: &HalfOpenFlow) -> bool {
    let Some(scratch) = scratch() else { return false };
    let control = &mut scratch.other;
    *control = *key;
    control.client = entry.control_client;
    control.client_port = entry.flow.control_client_port;
    control.server_port = entry.flow.control_server_port;
    session(control).is_some_and(|owner| owner.session_id == entry.flow.session_id)
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
fn promote(key: &ConnectionKey, entry: &mut HalfOpenFlow) -> u32 {
    entry.flow.state = state::ESTABLISHED;
    // An entry of an earlier connection with the same addresses and ports may still be there.
    if FLOWS.insert(key, &entry.flow, u64::from(BPF_ANY)).is_err() {
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
/// is gone. Who deletes it wins, on whatever CPU: in active mode, too, where the winner puts it back for the next
/// transfer command.
#[inline(never)]
fn use_up(key: &ConnectionKey, flow: &Flow) -> bool {
    let Some(Scratch { expected, expectation: kept, used, .. }) = scratch() else { return false };
    set_expected(expected, key, flow);
    let Some(expectation) = expectations::get(expected) else { return false };
    if expectation.session_id != flow.session_id || expectation.serial != flow.serial {
        return false;
    }
    *kept = *expectation;
    let Some(owner) = session(&kept.session).filter(|owner| owner.session_id == flow.session_id) else {
        return false;
    };
    if !kept.may_begin(owner.client.transfers) || EXPECTATIONS.remove(&*expected).is_err() {
        return false;
    }
    owner.unfinished.give_back();
    if flow.mode == Mode::Passive.number() {
        *used = now();
        let _noted = USED.insert(&*expected, &*used, u64::from(BPF_ANY));
        return true;
    }
    kept.uses = kept.uses.wrapping_add(1);
    kept.release_half_open(flow.since);
    let back = EXPECTATIONS.insert(&*expected, &*kept, u64::from(BPF_NOEXIST));
    // Withdrawn while it was out of the map: then it must not come back.
    if back.is_ok() && !session(&kept.session).is_some_and(|owner| owner.stands(flow.session_id, flow.serial)) {
        let _gone = EXPECTATIONS.remove(&*expected);
    }
    true
}

/// Somebody refused: the half-open slot is free again, the expectation stays.
#[inline(always)]
fn release_half_open(key: &ConnectionKey, flow: &Flow) {
    let Some(Scratch { expected, .. }) = scratch() else { return };
    set_expected(expected, key, flow);
    if flow.marks & IN_RANGE == 0
        && let Some(expectation) = expectations::get(expected)
        && expectation.session_id == flow.session_id
        && expectation.serial == flow.serial
    {
        expectation.release_half_open(flow.since);
    }
}
