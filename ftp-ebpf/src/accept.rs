//! Whether a data connection is accepted, and its flow.

use aya_ebpf::bindings::BPF_ANY;
use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::flow::{Flow, IN_RANGE, PROMISCUOUS};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::policy::{ServerPolicy, flag};

use crate::clock::now;
use crate::maps::{EXPECTATIONS, FLOWS, session};
use crate::packet::Packet;
use crate::scratch::{Scratch, scratch};
use crate::{expectations, ranges};

/// Reserves a half-open slot of the expectation and makes the flow, or gives the reason why not.
#[inline(always)]
pub(crate) fn accept(packet: &Packet, key: &ConnectionKey, policy: &ServerPolicy, mode: Mode) -> Result<(), Counter> {
    if packet.mapped {
        return Err(Counter::DeniedMappedAddress);
    }
    let passive = mode == Mode::Passive;
    let mut expected = ExpectationKey::for_connection(key, mode);
    let mut found = expectations::get(&expected);
    let mut marks = 0;
    if found.is_none() && passive && policy.has(flag::PASV_PROMISCUOUS) {
        expected.client = Address::ANY;
        found = expectations::get(&expected);
        marks = PROMISCUOUS;
    }
    let Some(expectation) = found else {
        if passive && policy.has(flag::FTPS_CLIENT_RANGE) {
            return accept_in_range(packet, key);
        }
        return Err(if passive { Counter::DeniedPassive } else { Counter::DeniedActive });
    };
    let now = now();
    if now > expectation.expires {
        let _gone = EXPECTATIONS.remove(&expected);
        return Err(Counter::DeniedExpired);
    }
    let owner = expectation.session;
    let Some(owner) = session(&owner).filter(|owner| owner.session_id == expectation.session_id) else {
        let _gone = EXPECTATIONS.remove(&expected);
        return Err(Counter::DeniedSessionGone);
    };
    if !expectation.may_begin(owner.client.transfers) {
        return Err(Counter::DeniedUsed);
    }
    if !expectation.reserve_half_open(now) {
        return Err(Counter::DeniedHalfOpen);
    }
    let Some(scratch) = scratch() else { return Err(Counter::MapErrors) };
    scratch.flow = Flow {
        session_id: expectation.session_id,
        serial: expectation.serial,
        control_client_port: expectation.session.client_port,
        control_server_port: expectation.session.server_port,
        mode: mode.number(),
        marks,
        ..Flow::default()
    };
    make_flow(packet, key, now, scratch)
}

/// An encrypted session may have negotiated it: its client's address may use the range while it lives.
#[inline(never)]
fn accept_in_range(packet: &Packet, key: &ConnectionKey) -> Result<(), Counter> {
    let Some(scratch) = scratch() else { return Err(Counter::MapErrors) };
    if !ranges::find_owner(scratch, key) {
        return Err(Counter::DeniedPassive);
    }
    scratch.flow = Flow {
        session_id: scratch.owner.session_id,
        control_client_port: scratch.owner.client_port,
        control_server_port: scratch.owner.server_port,
        mode: Mode::Passive.number(),
        marks: IN_RANGE,
        ..Flow::default()
    };
    make_flow(packet, key, now(), scratch)
}

/// Completes the flow in `scratch`, and makes it.
#[inline(always)]
fn make_flow(packet: &Packet, key: &ConnectionKey, now: u64, scratch: &mut Scratch) -> Result<(), Counter> {
    let flow = &mut scratch.flow;
    flow.since = now;
    flow.last_seen = now;
    flow.syn_seq = packet.segment.seq;
    flow.interface = packet.interface;
    flow.opened_at_egress = u8::from(packet.egress);
    flow.packets[usize::from(flow.mode != Mode::Passive.number())] = 1;
    if FLOWS.insert(key, flow, u64::from(BPF_ANY)).is_err() {
        return Err(Counter::MapErrors);
    }
    Ok(())
}
