//! Packets on a guarded port: opened by an expectation, part of a known flow, or denied.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::flow::Transition;
use ftp_common::flow::tcp::{ACK, SYN};
use ftp_common::keys::{ConnectionKey, Mode};
use ftp_common::policy::{class, flag, option};

use crate::globals::LOOPBACK;
use crate::maps::FLOWS;
use crate::packet::Packet;
use crate::verdict::{PASS, deny};
use crate::{accept, flows, servers};

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
    if destination & (class::PASSIVE | class::ACTIVE) != 0 || source & class::EXPECTED != 0 {
        packet.as_client(key);
        let way = if destination & class::PASSIVE != 0 { FROM_CLIENT | MAY_OPEN } else { FROM_CLIENT };
        let verdict = packet_of(skb, packet, key, generation, way);
        if verdict != PASS {
            return verdict;
        }
    }
    if source & (class::PASSIVE | class::ACTIVE) != 0 || destination & class::EXPECTED != 0 {
        packet.as_server(key);
        let way = if source & class::ACTIVE != 0 || destination & class::EXPECTED != 0 { MAY_OPEN } else { 0 };
        return packet_of(skb, packet, key, generation, way);
    }
    PASS
}

/// The packet goes from client to server.
const FROM_CLIENT: u32 = 1;
/// A SYN in this direction may open a data connection.
const MAY_OPEN: u32 = 2;

/// `way`: bits of the above, in one word as five arguments are the most that a function can have.
#[inline(never)]
fn packet_of(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, way: u32) -> i32 {
    let from_client = way & FROM_CLIENT != 0;
    let segment = &packet.segment;
    let opens = segment.has(SYN) && !segment.has(ACK);
    let options = servers::options();
    let mut known = false;
    let mut verdict = PASS;
    if let Some(flow) = FLOWS.get_ptr_mut(key) {
        // SAFETY: valid until the program returns. Its memory may be reused for another flow: then a
        // count goes astray, and nothing is let in that wasn't.
        let flow = unsafe { &mut *flow };
        let from_opener = (flow.mode == Mode::Passive.number()) == from_client;
        let transition = flow.transition(from_opener, from_client, segment.flags, segment.seq, segment.ack);
        if transition != Transition::NewSyn {
            known = true;
            let accounts = options & option::NO_ACCOUNTING == 0
                && flow.counts_here(packet.interface, packet.egress, LOOPBACK.load() != 0, from_opener);
            verdict = flows::follow(skb, packet, key, generation, flow, transition, from_client, accounts);
        }
    }
    if !known && opens && way & MAY_OPEN != 0 {
        match open(packet, key, generation, from_client) {
            ACCEPTED => known = true,
            UNGUARDED => {}
            denied => verdict = denied,
        }
    }
    if options & option::MARKS != 0 && verdict == PASS && !packet.egress {
        mark(skb, key, generation, known);
    }
    verdict
}

/// Result of [`open`] besides the verdict of a denial: the connection is expected, and accepted.
const ACCEPTED: i32 = -2;
/// As above: no policy guards the port.
const UNGUARDED: i32 = -3;

/// The first SYN of a connection to or from a guarded port, or to a client's port where one is expected.
#[inline(always)]
fn open(packet: &Packet, key: &ConnectionKey, generation: u32, passive: bool) -> i32 {
    let Some(policy) = servers::policy(generation, &key.server) else { return UNGUARDED };
    let guarded = if passive { policy.is_passive(key.server_port) } else { policy.active_port == key.server_port };
    if !guarded && (passive || !policy.has(flag::ACTIVE_ANY)) {
        return UNGUARDED;
    }
    let mode = if passive { Mode::Passive } else { Mode::Active };
    match accept::accept(packet, key, policy, mode) {
        Ok(()) => ACCEPTED,
        Err(_) if !guarded => UNGUARDED,
        Err(reason) => deny(policy, reason, key, mode.number(), packet.interface),
    }
}

/// Sets the mark that a rule of the firewall may accept by, on each packet of guarded ports that passes:
/// also of flows whose entry was lost, so that losing one breaks no transfer. Where no port is guarded
/// (active data connections from any port), only on packets of known flows.
#[inline(never)]
fn mark(skb: *mut __sk_buff, key: &ConnectionKey, generation: u32, known: bool) {
    let Some(policy) = servers::policy(generation, &key.server) else { return };
    let port = key.server_port;
    if policy.mark_mask != 0 && (known || policy.is_passive(port) || port != 0 && policy.active_port == port) {
        // SAFETY: the context is valid for the whole run.
        let mark = unsafe { &mut (*skb).mark };
        *mark = *mark & !policy.mark_mask | policy.mark & policy.mark_mask;
    }
}
