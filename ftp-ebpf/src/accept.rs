//! Whether a SYN may open a data connection; and its half-open flow.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::expectation::Used;
use ftp_common::flow::{Flow, IN_RANGE, PROMISCUOUS};
use ftp_common::half_open::{LIFE, Syn};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::{ServerPolicy, flag};
use ftp_common::session::LEARNED;

use crate::clock::now;
use crate::maps::{EXPECTATIONS, FLOWS, USED, session};
use crate::packet::Packet;
use crate::scratch::{Scratch, scratch};
use crate::{expectations, flows, half_open_table, ranges, tcp_options};

/// What a SYN may do.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Accepted {
    /// It is expected by the session of the very client address that it goes to or comes from.
    Own,
    /// It is expected by a session of another address.
    Foreign,
}

/// Finds the expectation of a SYN, reserves a half-open slot of it and makes the flow, or gives the reason why
/// not. A SYN that TCP repeats passes as it did before.
#[inline(always)]
pub(crate) fn accept(
    skb: *mut __sk_buff,
    packet: &Packet,
    key: &ConnectionKey,
    policy: &ServerPolicy,
    mode: Mode,
) -> Result<Accepted, Counter> {
    let passive = mode == Mode::Passive;
    let Some(scratch) = scratch() else { return Err(Counter::MapErrors) };
    // Keys lie in scratch: the stack has no room for them in the middle of the way.
    let Scratch { expected, other, .. } = &mut *scratch;
    *expected = ExpectationKey::for_connection(key, mode);
    let mut found = expectations::get(expected);
    let mut marks = 0;
    if found.is_none() && passive && policy.has(flag::PASV_PROMISCUOUS) {
        expected.client = Address::ANY;
        found = expectations::get(expected);
        marks = PROMISCUOUS;
    }
    let Some(expectation) = found else {
        if passive && policy.has(flag::FTPS_CLIENT_RANGE) {
            return accept_in_range(skb, packet, key).map(|()| Accepted::Own);
        }
        return Err(if passive && was_used(expected, other) {
            Counter::DeniedUsed
        } else if ranges::is_encrypted(scratch, key) {
            Counter::DeniedEncrypted
        } else if passive {
            Counter::DeniedPassive
        } else {
            Counter::DeniedActive
        });
    };
    let now = now();
    if now > expectation.expires {
        let _gone = EXPECTATIONS.remove(&*expected);
        return Err(Counter::DeniedExpired);
    }
    *other = expectation.session;
    let Some(owner) = session(other).filter(|owner| owner.session_id == expectation.session_id) else {
        let _gone = EXPECTATIONS.remove(&*expected);
        return Err(Counter::DeniedSessionGone);
    };
    // Another CPU is about to withdraw it, or has missed it: while it was made, the client's packet lost the step.
    let is_void = expectation.serial == LEARNED && !policy.has(flag::FTPS_LEARN);
    if is_void || !owner.stands(expectation.session_id, expectation.serial) {
        return Err(Counter::DeniedSessionGone);
    }
    if is_fast_open(skb, packet, scratch) {
        return Err(Counter::DeniedFastOpen);
    }
    let accepted = if expectation.session.client == key.client { Accepted::Own } else { Accepted::Foreign };
    if is_repeated(packet, key, expectation.session_id, expectation.serial, now)? {
        return Ok(accepted);
    }
    if !expectation.may_begin(owner.client.transfers) {
        return Err(Counter::DeniedUsed);
    }
    if !expectation.reserve_half_open(now) {
        return Err(Counter::DeniedHalfOpen);
    }
    if !owner.unfinished.take(now) {
        expectation.release_half_open(now);
        return Err(Counter::DeniedHalfOpenFull);
    }
    scratch.half_open.flow = Flow {
        session_id: expectation.session_id,
        serial: expectation.serial,
        control_client_port: expectation.session.client_port,
        control_server_port: expectation.session.server_port,
        mode: mode.number(),
        marks,
        ..Flow::default()
    };
    scratch.half_open.control_client = expectation.session.client;
    make_flow(packet, key, now, scratch).map(|()| accepted)
}

/// Whether a connection has used the expectation of this key up, for a session that still lives.
#[inline(always)]
fn was_used(expected: &ExpectationKey, control: &mut ConnectionKey) -> bool {
    let Some(used) = USED.get_ptr(expected) else { return false };
    // SAFETY: valid until the program returns; a reused entry names another session, and a denial another reason.
    let Used { session: key, session_id } = unsafe { *used };
    *control = key;
    session(control).is_some_and(|owner| owner.session_id == session_id)
}

/// Whether the host could take a connection by its SYN alone: Fast Open, or data in it.
#[inline(always)]
fn is_fast_open(skb: *mut __sk_buff, packet: &Packet, scratch: &mut Scratch) -> bool {
    packet.segment.length != 0 || tcp_options::has(skb, packet, scratch, tcp_options::FAST_OPEN)
}

/// An encrypted session may have negotiated it: its client's address may use the range while it lives.
#[inline(never)]
fn accept_in_range(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey) -> Result<(), Counter> {
    let Some(scratch) = scratch() else { return Err(Counter::MapErrors) };
    if !ranges::find_owner(scratch, key) {
        return Err(Counter::DeniedPassive);
    }
    if is_fast_open(skb, packet, scratch) {
        return Err(Counter::DeniedFastOpen);
    }
    let now = now();
    if is_repeated(packet, key, scratch.owner.session_id, 0, now)? {
        return Ok(());
    }
    let Scratch { owner, other, .. } = &mut *scratch;
    *other = *key;
    other.client_port = owner.client_port;
    other.server_port = owner.server_port;
    if !session(other).is_some_and(|session| session.unfinished.take(now)) {
        return Err(Counter::DeniedHalfOpenFull);
    }
    scratch.half_open.flow = Flow {
        session_id: owner.session_id,
        control_client_port: owner.client_port,
        control_server_port: owner.server_port,
        mode: Mode::Passive.number(),
        marks: IN_RANGE,
        ..Flow::default()
    };
    scratch.half_open.control_client = key.client;
    make_flow(packet, key, now, scratch)
}

/// Whether a SYN repeats that of a half-open flow; an error if its addresses and ports are another's.
#[inline(always)]
fn is_repeated(packet: &Packet, key: &ConnectionKey, session_id: u64, serial: u32, now: u64) -> Result<bool, Counter> {
    if let Some(half_open) = half_open_table::find(now) {
        match half_open.on_syn(packet.segment.seq, session_id, serial) {
            Syn::Repeated => {
                half_open.until = now + LIFE;
                return Ok(true);
            }
            Syn::Anew if half_open_table::half_open_remove() != 0 => {}
            _ => return Err(Counter::DeniedTupleInUse),
        }
    }
    match flows::closed(key) {
        Some(closed) if !closed.has_room(now) => Err(Counter::DeniedTupleInUse),
        _ => Ok(false),
    }
}

/// Completes the flow in `scratch`, and makes it.
#[inline(always)]
fn make_flow(packet: &Packet, key: &ConnectionKey, now: u64, scratch: &mut Scratch) -> Result<(), Counter> {
    if let Some(earlier) = FLOWS.get_ptr(key) {
        // It is over for the client, who sends a SYN, and was the server's to close: its numbers are kept as others' are.
        // SAFETY: valid until the program returns.
        flows::note_closed(unsafe { &*earlier }, 0);
        let _gone = FLOWS.remove(key);
    }
    scratch.half_open.key = *key;
    scratch.half_open.until = now + LIFE;
    let flow = &mut scratch.half_open.flow;
    flow.since = now;
    flow.syn_seq = packet.segment.seq;
    if half_open_table::half_open_insert() != 0 { Ok(()) } else { Err(Counter::DeniedHalfOpenFull) }
}
