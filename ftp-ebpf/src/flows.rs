//! Data connections that were accepted, packet by packet.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::FIN;
use ftp_common::flow::{self, Flow, IN_RANGE, PROMISCUOUS, Transition};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};

use crate::clock::now;
use crate::maps::{EXPECTATIONS, FLOWS, session};
use crate::packet::Packet;
use crate::scratch::scratch;
use crate::verdict::{PASS, deny};
use crate::{expectations, report, servers};

/// A packet of an accepted flow. `accounts`: its packets are counted here.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined into its one caller")]
pub(crate) fn follow(
    skb: *mut __sk_buff,
    packet: &Packet,
    key: &ConnectionKey,
    generation: u32,
    flow: &mut Flow,
    transition: Transition,
    from_client: bool,
    accounts: bool,
) -> i32 {
    if transition == Transition::Established && !establish(packet, key, flow) {
        flow.state = flow::state::DENIED;
    }
    if flow.state == flow::state::DENIED {
        return match servers::policy(generation, &key.server) {
            Some(policy) => deny(policy, Counter::DeniedUsed, key, flow.mode, packet.interface),
            None => PASS,
        };
    }
    if accounts {
        flow.account(from_client, segments(skb), packet.segment.length, now());
    }
    match transition {
        Transition::SynAck => {
            flow.syn_ack_seq = packet.segment.seq;
            flow.state = flow::state::SYN_RECV;
        }
        Transition::Refused => {
            release_half_open(key, flow);
            report::count(Counter::FlowsRefused);
            let _gone = FLOWS.remove(key);
        }
        Transition::Ended => end(packet, key, flow),
        _ => {}
    }
    if packet.segment.has(FIN) && flow.state == flow::state::ESTABLISHED {
        flow.marks |= if from_client { 1 } else { 2 };
    }
    PASS
}

/// How many packets a packet stands for: the kernel keeps several of a flow as one.
#[inline(always)]
pub(crate) fn segments(skb: *mut __sk_buff) -> u32 {
    // SAFETY: the context is valid for the whole run.
    let segments = unsafe { (*skb).gso_segs };
    if segments > 1 { segments } else { 1 }
}

#[inline(always)]
fn expected_by(key: &ConnectionKey, flow: &Flow) -> ExpectationKey {
    let mut expected = ExpectationKey::for_connection(key, Mode::from_number(flow.mode));
    if flow.marks & PROMISCUOUS != 0 {
        expected.client = Address::ANY;
    }
    expected
}

/// The handshake is complete: uses the expectation up. False if another connection was first, or it
/// was withdrawn meanwhile. Who deletes it wins, on whatever CPU.
#[inline(always)]
fn establish(packet: &Packet, key: &ConnectionKey, flow: &mut Flow) -> bool {
    if flow.marks & IN_RANGE == 0 && !use_up(key, flow) {
        return false;
    }
    flow.state = flow::state::ESTABLISHED;
    report::count(Counter::FlowsEstablished);
    report_flow(packet, key, flow, EventKind::FlowStarted);
    true
}

#[inline(always)]
fn use_up(key: &ConnectionKey, flow: &Flow) -> bool {
    let expected = expected_by(key, flow);
    let Some(expectation) = expectations::get(&expected) else { return false };
    if expectation.session_id != flow.session_id || expectation.serial != flow.serial {
        return false;
    }
    if flow.mode == Mode::Passive.number() {
        if EXPECTATIONS.remove(&expected).is_err() {
            return false;
        }
    } else {
        let owner = expectation.session;
        let transfers = session(&owner).map_or(0, |owner| owner.client.transfers);
        if !expectation.may_begin(transfers) {
            return false;
        }
        expectation.uses = expectation.uses.wrapping_add(1);
        expectation.release_half_open(flow.since);
    }
    true
}

/// The listening end refused: the half-open slot is free again, the expectation stays.
#[inline(always)]
fn release_half_open(key: &ConnectionKey, flow: &Flow) {
    if flow.marks & IN_RANGE == 0
        && let Some(expectation) = expectations::get(&expected_by(key, flow))
        && expectation.session_id == flow.session_id
        && expectation.serial == flow.serial
    {
        expectation.release_half_open(flow.since);
    }
}

#[inline(always)]
fn end(packet: &Packet, key: &ConnectionKey, flow: &mut Flow) {
    flow.state = flow::state::ENDED;
    report::count(Counter::FlowsEnded);
    report_flow(packet, key, flow, EventKind::FlowEnded);
    // Some servers leave an aborted transfer without a final reply: what is pending may be dropped then.
    let control =
        ConnectionKey { client_port: flow.control_client_port, server_port: flow.control_server_port, ..*key };
    if let Some(owner) = session(&control).filter(|owner| owner.session_id == flow.session_id) {
        owner.server.transfer = 0;
    }
    let _gone = FLOWS.remove(key);
}

#[inline(never)]
fn report_flow(packet: &Packet, key: &ConnectionKey, flow: &Flow, kind: EventKind) {
    let Some(scratch) = scratch() else { return };
    report::event(scratch, kind, key, packet.interface);
    scratch.event.session = flow.session_id;
    scratch.event.mode = flow.mode;
    scratch.event.packets = flow.packets;
    scratch.event.bytes = flow.bytes;
    report::send();
}
