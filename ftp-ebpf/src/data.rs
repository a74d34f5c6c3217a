//! Packets on a guarded port: claim an expectation, follow the flow, or deny.

use aya_ebpf::bindings::{__sk_buff, BPF_ANY};
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::{ACK, FIN, SYN};
use ftp_common::flow::{self, Flow, PROMISCUOUS, Step};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::{ServerPolicy, class, flag};

use crate::maps::{EXPECTATIONS, FLOWS, LOOPBACK, scratch, session};
use crate::packet::Packet;
use crate::verdict::{PASS, deny};
use crate::{expectations, report, servers};

/// The verdict on a packet of which at least one port is guarded by some policy.
#[inline(always)]
pub(crate) fn data(
    skb: *mut __sk_buff,
    packet: &Packet,
    key: &mut ConnectionKey,
    generation: u32,
    source: u8,
    destination: u8,
) -> i32 {
    const GUARDED: u8 = class::PASSIVE | class::ACTIVE;
    if destination & GUARDED != 0 {
        packet.as_client(key);
        let way = if destination & class::PASSIVE != 0 { FROM_CLIENT | MAY_BEGIN } else { FROM_CLIENT };
        let verdict = packet_of(skb, packet, key, generation, way);
        if verdict != PASS {
            return verdict;
        }
    }
    if source & GUARDED != 0 {
        packet.as_server(key);
        let way = if source & class::ACTIVE != 0 { MAY_BEGIN } else { 0 };
        return packet_of(skb, packet, key, generation, way);
    }
    PASS
}

/// The packet goes from client to server.
const FROM_CLIENT: u32 = 1;
/// A SYN in this direction begins a connection that must have been expected.
const MAY_BEGIN: u32 = 2;

/// `way`: bits of the above, in one word as five arguments are the most that a function can have.
#[inline(never)]
fn packet_of(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, way: u32) -> i32 {
    let from_client = way & FROM_CLIENT != 0;
    let segment = &packet.segment;
    let opens = segment.has(SYN) && !segment.has(ACK);
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: valid until the program returns. Its memory may be reused for another flow: then a
        // count goes astray, and nothing is let in that wasn't.
        let flow = unsafe { &mut *flow };
        let from_beginner = (flow.mode == Mode::Passive.number()) == from_client;
        let step = flow.step(from_beginner, from_client, segment.flags, segment.seq, segment.ack);
        if step != Step::Anew {
            return follow(skb, packet, key, generation, flow, step, from_client, from_beginner);
        }
    }
    if opens && way & MAY_BEGIN != 0 {
        return begin(packet, key, generation, if from_client { Mode::Passive } else { Mode::Active });
    }
    PASS
}

/// The first SYN of a connection to or from a guarded port.
#[inline(always)]
fn begin(packet: &Packet, key: &ConnectionKey, generation: u32, mode: Mode) -> i32 {
    let Some(policy) = servers::policy(generation, &key.server) else { return PASS };
    let passive = mode == Mode::Passive;
    let guarded = if passive { policy.is_passive(key.server_port) } else { policy.active_port == key.server_port };
    if !guarded {
        return PASS;
    }
    match claim(packet, key, policy, mode) {
        Ok(()) => PASS,
        Err(reason) => deny(policy, reason, key, mode.number(), packet.interface),
    }
}

/// Takes a place on the expectation and makes the flow, or says why not.
#[inline(always)]
fn claim(packet: &Packet, key: &ConnectionKey, policy: &ServerPolicy, mode: Mode) -> Result<(), Counter> {
    if packet.mapped {
        return Err(Counter::DeniedMappedAddress);
    }
    let passive = mode == Mode::Passive;
    let mut expected = ExpectationKey {
        client: key.client,
        server: key.server,
        port: if passive { key.server_port } else { key.client_port },
        mode: mode.number(),
        zero: 0,
        scope: key.scope,
    };
    let mut found = expectations::get(&expected);
    let mut marks = 0;
    if found.is_none() && passive && policy.has(flag::PASV_PROMISCUOUS) {
        expected.client = Address::ANY;
        found = expectations::get(&expected);
        marks = PROMISCUOUS;
    }
    let Some(expectation) = found else {
        return Err(if passive { Counter::DeniedPassive } else { Counter::DeniedActive });
    };
    let now = report::now();
    if now > expectation.expires {
        let _gone = EXPECTATIONS.remove(&expected);
        return Err(Counter::DeniedExpired);
    }
    let owner = expectation.session;
    let Some(owner) = session(&owner).filter(|owner| owner.generation == expectation.generation) else {
        let _gone = EXPECTATIONS.remove(&expected);
        return Err(Counter::DeniedSessionGone);
    };
    if !expectation.may_begin(owner.client.transfers) {
        return Err(Counter::DeniedUsed);
    }
    if !expectation.take_place(now) {
        return Err(Counter::DeniedHalfOpen);
    }
    let Some(scratch) = scratch() else { return Err(Counter::MapErrors) };
    scratch.flow = Flow {
        generation: expectation.generation,
        since: now,
        last_seen: now,
        serial: expectation.serial,
        begun_at: packet.segment.seq,
        interface: packet.interface,
        control_client_port: expectation.session.client_port,
        control_server_port: expectation.session.server_port,
        mode: mode.number(),
        begun_at_egress: u8::from(packet.egress),
        marks,
        ..Flow::default()
    };
    scratch.flow.packets[usize::from(!passive)] = 1;
    if FLOWS.insert(key, &scratch.flow, u64::from(BPF_ANY)).is_err() {
        return Err(Counter::MapErrors);
    }
    Ok(())
}

/// A packet of a flow that was let in.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "inlined into its one caller")]
fn follow(
    skb: *mut __sk_buff,
    packet: &Packet,
    key: &ConnectionKey,
    generation: u32,
    flow: &mut Flow,
    step: Step,
    from_client: bool,
    from_beginner: bool,
) -> i32 {
    if step == Step::Completed && !establish(packet, key, flow) {
        flow.state = flow::state::DENIED;
    }
    if flow.state == flow::state::DENIED {
        return match servers::policy(generation, &key.server) {
            Some(policy) => deny(policy, Counter::DeniedUsed, key, flow.mode, packet.interface),
            None => PASS,
        };
    }
    if flow.counts_here(packet.interface, packet.egress, LOOPBACK.load() != 0, from_beginner) {
        let way = usize::from(!from_client);
        // SAFETY: the context is valid for the whole run.
        let segments = unsafe { (*skb).gso_segs };
        flow.packets[way] += if segments > 1 { u64::from(segments) } else { 1 };
        flow.bytes[way] += u64::from(packet.segment.length);
        flow.last_seen = report::now();
    }
    match step {
        Step::Answered => {
            flow.answered_at = packet.segment.seq;
            flow.state = flow::state::ANSWERED;
        }
        Step::Refused => {
            give_back(key, flow);
            report::count(Counter::FlowsRefused);
            let _gone = FLOWS.remove(key);
        }
        Step::Ended => end(packet, key, flow),
        _ => {}
    }
    if packet.segment.has(FIN) && flow.state == flow::state::ESTABLISHED {
        flow.marks |= if from_client { 1 } else { 2 };
    }
    PASS
}

#[inline(always)]
fn expected_by(key: &ConnectionKey, flow: &Flow) -> ExpectationKey {
    let passive = flow.mode == Mode::Passive.number();
    ExpectationKey {
        client: if flow.marks & PROMISCUOUS != 0 { Address::ANY } else { key.client },
        server: key.server,
        port: if passive { key.server_port } else { key.client_port },
        mode: flow.mode,
        zero: 0,
        scope: key.scope,
    }
}

/// The handshake is complete: uses the expectation up. False if another connection was first, or it
/// was withdrawn meanwhile. Who deletes it wins, on whatever CPU.
#[inline(always)]
fn establish(packet: &Packet, key: &ConnectionKey, flow: &mut Flow) -> bool {
    let expected = expected_by(key, flow);
    let Some(expectation) = expectations::get(&expected) else { return false };
    if expectation.generation != flow.generation || expectation.serial != flow.serial {
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
        expectation.free_place(flow.since);
    }
    flow.state = flow::state::ESTABLISHED;
    report::count(Counter::FlowsEstablished);
    tell(packet, key, flow, EventKind::FlowStarted);
    true
}

/// The listening side refused: the place is free again, the expectation stands.
#[inline(always)]
fn give_back(key: &ConnectionKey, flow: &Flow) {
    if let Some(expectation) = expectations::get(&expected_by(key, flow))
        && expectation.generation == flow.generation
        && expectation.serial == flow.serial
    {
        expectation.free_place(flow.since);
    }
}

#[inline(always)]
fn end(packet: &Packet, key: &ConnectionKey, flow: &mut Flow) {
    flow.state = flow::state::ENDED;
    report::count(Counter::FlowsEnded);
    tell(packet, key, flow, EventKind::FlowEnded);
    // Some servers leave an aborted transfer without a final reply: what waits may be dropped then.
    let control =
        ConnectionKey { client_port: flow.control_client_port, server_port: flow.control_server_port, ..*key };
    if let Some(owner) = session(&control).filter(|owner| owner.generation == flow.generation) {
        owner.server.transfer = 0;
    }
    let _gone = FLOWS.remove(key);
}

#[inline(never)]
fn tell(packet: &Packet, key: &ConnectionKey, flow: &Flow, kind: EventKind) {
    let Some(scratch) = scratch() else { return };
    report::event(scratch, kind, key, packet.interface);
    scratch.event.session = flow.generation;
    scratch.event.mode = flow.mode;
    scratch.event.packets = flow.packets;
    scratch.event.bytes = flow.bytes;
    report::send(scratch);
}
