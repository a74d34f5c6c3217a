//! The first SYN of a connection to or from a guarded port: expected, or denied.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::counter::Counter;
use ftp_common::keys::{ConnectionKey, Mode};
use ftp_common::policy::{ServerPolicy, class, flag};

use crate::accept::{self, Accepted};
use crate::control::is_right_direction;
use crate::data::passed;
use crate::packet::Packet;
use crate::scratch::scratch;
use crate::servers;
use crate::tcp_options;
use crate::verdict::{PASS, deny_by_index};

/// What [`judge`] says of a SYN: a number, as a function has room for five arguments and not for a result in memory.
/// No policy guards the port.
const UNGUARDED: u32 = 0x100;
/// It is expected by a session of this client address.
const ACCEPTED: u32 = 0x101;
/// It is expected by a session of another address.
const ACCEPTED_FOREIGN: u32 = 0x102;
/// Denied: the counter's index is added.
const DENIED: u32 = 0;

/// The verdict on a SYN. `classes`: of the source port in the second byte, of the destination port in the first.
#[inline(never)]
pub(crate) fn syn(skb: *mut __sk_buff, packet: &Packet, key: &mut ConnectionKey, generation: u32, classes: u32) -> i32 {
    let (source, destination) = ((classes >> 8) as u8, classes as u8);
    let mut active = UNGUARDED;
    if source & class::ACTIVE != 0 || destination & class::EXPECTED != 0 {
        packet.as_server(key);
        active = judge(skb, packet, key, generation, Mode::Active.number());
        // The client's own address may be a guarded server, too, and its port in that one's passive range: what
        // its own session has negotiated is let in all the same.
        if active == ACCEPTED {
            return passed(skb, packet, key, generation, true);
        }
    }
    let mut passive = UNGUARDED;
    if destination & class::PASSIVE != 0 {
        packet.as_client(key);
        passive = judge(skb, packet, key, generation, Mode::Passive.number());
        if passive < UNGUARDED {
            return denied(skb, packet, key, generation, u32::from(Mode::Passive.number()) << 16 | passive);
        }
    }
    if active != UNGUARDED {
        packet.as_server(key);
    }
    if active < UNGUARDED {
        return denied(skb, packet, key, generation, u32::from(Mode::Active.number()) << 16 | active);
    }
    passed(skb, packet, key, generation, active != UNGUARDED || passive != UNGUARDED)
}

#[inline(always)]
fn policy(
    skb: *mut __sk_buff,
    packet: &Packet,
    key: &ConnectionKey,
    generation: u32,
    mode: Mode,
) -> Option<&'static ServerPolicy> {
    servers::policy(generation, &key.server).or_else(|| servers::own_policy(skb, packet, generation, mode))
}

#[inline(never)]
fn denied(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, why: u32) -> i32 {
    let mode = Mode::from_number((why >> 16) as u8);
    let reason = why & 0xffff;
    match policy(skb, packet, key, generation, mode) {
        Some(policy) => deny_by_index(policy, reason, key, mode.number(), packet.interface),
        None => PASS,
    }
}

#[inline(never)]
fn judge(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, mode: u8) -> u32 {
    let mode = Mode::from_number(mode);
    let Some(policy) = policy(skb, packet, key, generation, mode) else { return UNGUARDED };
    let passive = mode == Mode::Passive;
    let guarded = if passive { policy.is_passive(key.server_port) } else { policy.active_port == key.server_port };
    if !guarded && (passive || !policy.has(flag::ACTIVE_ANY)) {
        return UNGUARDED;
    }
    let reason = if packet.mapped {
        Counter::DeniedMappedAddress
    } else if !is_right_direction(packet, !passive) {
        Counter::DeniedWrongDirection
    } else if is_fast_open(skb, packet) {
        // The host would take the connection before its handshake is over.
        Counter::DeniedFastOpen
    } else {
        match accept::accept(packet, key, policy, mode) {
            Ok(Accepted::Own) => return ACCEPTED,
            Ok(Accepted::Foreign) => return ACCEPTED_FOREIGN,
            Err(reason) => reason,
        }
    };
    if guarded { DENIED + reason.index() } else { UNGUARDED }
}

#[inline(always)]
fn is_fast_open(skb: *mut __sk_buff, packet: &Packet) -> bool {
    if packet.segment.length != 0 {
        return true;
    }
    let Some(scratch) = scratch() else { return true };
    tcp_options::has(skb, packet, scratch, tcp_options::FAST_OPEN)
}
