//! The first SYN of a connection to or from a guarded port: expected, or denied.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use ftp_common::counter::Counter;
use ftp_common::keys::{ConnectionKey, Mode};
use ftp_common::policy::{ServerPolicy, class, flag};

use crate::accept::{self, Accepted};
use crate::control::is_right_direction;
use crate::data::passed;
use crate::packet::Packet;
use crate::servers;
use crate::verdict::{DROP, PASS, deny, deny_by_index};

/// What [`judge`] says of a SYN, if it is not the counter's index of a denial that is to be carried out yet. A number,
/// as a function has room for five arguments and not for a result in memory.
/// No policy guards the port.
const UNGUARDED: u32 = 0x100;
/// It is expected by a session of this client address.
const ACCEPTED: u32 = 0x101;
/// It is expected by a session of another address.
const ACCEPTED_FOREIGN: u32 = 0x102;
/// Denied, and dropped.
const DROPPED: u32 = 0x103;
/// Denied by a policy in monitor mode.
const MONITORED: u32 = 0x104;
/// Bit of what [`judge`] is told, beside the mode: the denial is carried out by who asks.
const LATER: u8 = 0x80;

/// The verdict on a SYN. `classes`: of the source port in the second byte, of the destination port in the first.
#[inline(never)]
pub(crate) fn syn(skb: *mut __sk_buff, packet: &Packet, key: &mut ConnectionKey, generation: u32, classes: u32) -> i32 {
    let (source, destination) = ((classes >> 8) as u8, classes as u8);
    let to_passive = destination & class::PASSIVE != 0;
    if destination & class::ACTIVE != 0 {
        packet.as_client(key);
        if let Some(policy) = policy(skb, packet, key, generation, Mode::Passive)
            && policy.active_port == key.server_port
            && !policy.is_passive(key.server_port)
        {
            // Nobody listens there. It would cross a SYN of the server's, one that was denied, too: both ends had a
            // connection then (RFC 9293 §3.5).
            return deny(policy, Counter::DeniedActive, key, Mode::Active.number(), packet.interface);
        }
    }
    let mut active = UNGUARDED;
    if source & class::ACTIVE != 0 || destination & class::EXPECTED != 0 {
        packet.as_server(key);
        active = judge(skb, packet, key, generation, Mode::Active.number() | if to_passive { LATER } else { 0 });
        // The verifier would follow all the rest for each reason that there is.
        active = black_box(active);
        // The client's own address may be a guarded server, too, and its port in that one's passive range: what
        // its own session has negotiated is let in all the same.
        if active == ACCEPTED {
            return passed(skb, packet, key, generation, true);
        }
    }
    let mut passive = UNGUARDED;
    if to_passive {
        packet.as_client(key);
        passive = judge(skb, packet, key, generation, Mode::Passive.number());
        if active < UNGUARDED && passive != DROPPED && passive != MONITORED {
            packet.as_server(key);
            active = carry_out(skb, packet, key, generation, active);
        }
    }
    if active == DROPPED || passive == DROPPED {
        return DROP;
    }
    if active == MONITORED || passive == MONITORED {
        return PASS;
    }
    if active != UNGUARDED {
        packet.as_server(key);
    }
    passed(skb, packet, key, generation, active != UNGUARDED || passive != UNGUARDED)
}

/// Carries out a denial in active mode that was put off.
#[inline(never)]
fn carry_out(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, reason: u32) -> u32 {
    match policy(skb, packet, key, generation, Mode::Active) {
        Some(policy) => denied(policy, reason, key, Mode::Active, packet),
        None => UNGUARDED,
    }
}

#[inline(always)]
fn denied(policy: &ServerPolicy, reason: u32, key: &ConnectionKey, mode: Mode, packet: &Packet) -> u32 {
    let verdict = deny_by_index(policy, reason, key, mode.number(), packet.interface);
    if verdict == DROP { DROPPED } else { MONITORED }
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

/// `how`: the mode's number, and [`LATER`].
#[inline(never)]
fn judge(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, generation: u32, how: u8) -> u32 {
    let mode = Mode::from_number(how & !LATER);
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
    } else {
        match accept::accept(skb, packet, key, policy, mode) {
            Ok(Accepted::Own) => return ACCEPTED,
            Ok(Accepted::Foreign) => return ACCEPTED_FOREIGN,
            Err(reason) => reason,
        }
    };
    if !guarded {
        UNGUARDED
    } else if how & LATER != 0 {
        reason.index()
    } else {
        denied(policy, reason.index(), key, mode, packet)
    }
}
