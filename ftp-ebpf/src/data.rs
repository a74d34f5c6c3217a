//! Packets on a guarded port: opened by an expectation, part of a known flow, or denied.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, RST, SYN};
use ftp_common::flow::{is_inner, is_worth_a_look};
use ftp_common::keys::{ConnectionKey, Mode};
use ftp_common::policy::{class, option};
use ftp_common::segment::Segment;

use crate::clock::now;
use crate::control::is_right_direction;
use crate::half_open;
use crate::maps::FLOWS;
use crate::packet::Packet;
use crate::syn;
use crate::verdict::{PASS, deny, deny_by_index};
use crate::{flows, half_open_table, servers};

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
    if packet.segment.has(SYN) && !packet.segment.has(ACK) {
        return syn::syn(skb, packet, key, generation, u32::from(source) << 8 | u32::from(destination));
    }
    if destination & (class::PASSIVE | class::ACTIVE) != 0 || source & class::EXPECTED != 0 {
        packet.as_client(key);
        let verdict = segment(skb, packet, key, generation, true);
        if verdict != PASS {
            return verdict;
        }
    }
    if source & (class::PASSIVE | class::ACTIVE) != 0 || destination & class::EXPECTED != 0 {
        packet.as_server(key);
        return segment(skb, packet, key, generation, false);
    }
    PASS
}

/// A segment that is no first SYN. It is denied only if its connection was not accepted.
#[inline(never)]
fn segment(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, from_client: bool) -> i32 {
    let mut promoted = false;
    // The clock is read where there is something to ask it for.
    if !half_open_table::is_empty(half_open_table::bucket(key))
        && let Some(entry) = half_open_table::find(now())
    {
        let mode = entry.flow.mode;
        match half_open::segment(packet, key, entry, from_client) {
            // Another CPU may have made it an established flow meanwhile: it may end that.
            half_open::PASSES if FLOWS.get_ptr(key).is_none() => return passed(skb, packet, key, generation, true),
            half_open::PASSES => {}
            half_open::PROMOTED => promoted = true,
            reason => {
                return match servers::policy(generation, &key.server) {
                    Some(policy) => deny_by_index(policy, reason, key, mode, packet.interface),
                    None => PASS,
                };
            }
        }
    }
    // What comes from where its sender can't be is forged: it ends nothing, and says nothing.
    let genuine = is_right_direction(packet, !from_client);
    // Each of the two in full: before 6.1 the verifier does not know that a condition which both lead to holds for the
    // one that has a flow.
    let Some(flow) = FLOWS.get_ptr_mut(key) else {
        if genuine && !begins_nothing(packet, key, from_client, false) {
            return deny_again(packet, key, generation);
        }
        return passed(skb, packet, key, generation, false);
    };
    // SAFETY: valid until the program returns. Its memory may be reused for another flow: then a
    // count goes astray, and nothing is let in that wasn't.
    let flow = unsafe { &mut *flow };
    if genuine {
        if !flow.is_open() && !begins_nothing(packet, key, from_client, true) {
            return deny_again(packet, key, generation);
        }
        // The same as on the fast path, whatever has led here.
        let Segment { seq, ack, length, flags, .. } = packet.segment;
        let has_news = promoted || !is_inner(flags) || is_worth_a_look(seq, ack, length);
        if !from_client && has_news && servers::options() & option::NO_ACCOUNTING == 0 {
            flow.account(&packet.segment);
        }
        flows::follow(packet, key, flow, from_client);
    }
    passed(skb, packet, key, generation, true)
}

/// Denies what would begin again a connection that the server has closed.
#[inline(never)]
fn deny_again(packet: &Packet, key: &ConnectionKey, generation: u32) -> i32 {
    match servers::policy(generation, &key.server) {
        Some(policy) => deny(policy, Counter::DeniedHandshake, key, Mode::Passive.number(), packet.interface),
        None => PASS,
    }
}

/// Whether a segment of no open flow can't begin again what the server has closed. `known`: its end is not over.
#[inline(never)]
fn begins_nothing(packet: &Packet, key: &ConnectionKey, from_client: bool, known: bool) -> bool {
    let segment = &packet.segment;
    if !from_client && (known || segment.has(RST)) {
        return true;
    }
    let Some(closed) = flows::closed(key) else { return true };
    if !from_client {
        closed.server_says(segment, now());
        return true;
    }
    if segment.has(RST) {
        closed.client_resets();
        return true;
    }
    flows::closed_denies(segment.seq, segment.ack, now()) == 0
}

/// A packet passes; `known`: of a connection that was accepted.
#[inline(always)]
pub(crate) fn passed(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, known: bool) -> i32 {
    if servers::options() & option::MARKS != 0 && !packet.egress {
        mark(skb, key, generation, known);
    }
    PASS
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
