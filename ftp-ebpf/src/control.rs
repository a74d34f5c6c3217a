//! Packets on a control port: whose voice, and what becomes of it.

use aya_ebpf::bindings::__sk_buff;
use aya_log_ebpf::debug;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::ConnectionKey;
use ftp_common::overlap::Line;
use ftp_common::policy::{ServerPolicy, Side, class, flag};
use ftp_common::segment::Intake;
use ftp_common::session::{Session, opaque};

use crate::clock::{coarse_now, now};
use crate::globals::SIDE;
use crate::handshake::{complete_handshake, forget_idle, note_handshake};
use crate::lifecycle::{end, make_session, tell};
use crate::maps::session;
use crate::packet::{Memory, Packet};
use crate::scratch::{Progress, Scratch, scratch};
use crate::verdict::{self, PASS, deny};
use crate::{expectations, ranges, report, servers, text};

/// The verdict on a packet of a control connection; `None` if it isn't of one.
#[inline(always)]
pub(crate) fn control(
    skb: *mut __sk_buff,
    packet: &mut Packet,
    key: &mut ConnectionKey,
    generation: u32,
    source: u8,
    destination: u8,
) -> Option<i32> {
    let opens = packet.segment.has(SYN) && !packet.segment.has(ACK);
    if destination & class::CONTROL != 0
        && let Some(policy) = servers::policy(generation, &packet.destination)
        && policy.is_control(packet.destination_port)
    {
        packet.as_client(key);
        return Some(client_speaks(skb, packet, key, policy));
    }
    // A SYN from a control port speaks for no server: it may still begin a data connection.
    if source & class::CONTROL != 0
        && !opens
        && let Some(policy) = servers::policy(generation, &packet.source)
        && policy.is_control(packet.source_port)
    {
        packet.as_server(key);
        return Some(server_speaks(skb, packet, key, policy));
    }
    None
}

/// Whether this hook is where a voice can be heard: the server's comes out of a host at egress and
/// the client's goes in at ingress, or the other way round, by the interface's side.
#[inline(always)]
fn is_right_side(packet: &Packet, server: bool) -> bool {
    let side = SIDE.load();
    side == Side::Both.number() || (side == Side::ServersBehind.number()) == (server == packet.egress)
}

/// Whether an early segment can be held back for TCP to repeat: not where this host's own TCP is
/// just sending it, and not in monitor mode, which changes nothing.
#[inline(always)]
fn may_hold(packet: &Packet, policy: &ServerPolicy) -> bool {
    !packet.local && !policy.has(flag::MONITOR)
}

#[inline(never)]
fn client_speaks(skb: *mut __sk_buff, packet: &mut Packet, key: &ConnectionKey, policy: &ServerPolicy) -> i32 {
    if packet.mapped {
        return deny(policy, Counter::DeniedMappedAddress, key, 0, packet.interface);
    }
    if !is_right_side(packet, false) {
        return deny(policy, Counter::DeniedWrongSide, key, 0, packet.interface);
    }
    packet.segment.hides_a_byte = packet.hides_a_byte(Memory { skb });
    let segment = &packet.segment;
    if segment.has(SYN) && !segment.has(ACK) {
        // A SYN makes nothing. Its data (Fast Open) would be read by the server and not by us.
        if segment.length != 0 {
            return deny(policy, Counter::DeniedSynData, key, 0, packet.interface);
        }
        return PASS;
    }
    let Some(scratch) = scratch() else { return PASS };
    complete_handshake(skb, scratch, key, policy, packet);
    let Some(session) = session(key) else { return PASS };
    if session.client_resets(segment) {
        end(scratch, key, session, packet.interface);
        return PASS;
    }
    if segment.has(RST) {
        report::count(Counter::ResetsIgnored);
        return PASS;
    }
    if session.server.opaque != opaque::NOT {
        session.client.follow(segment);
    } else {
        let lost = session.client.lost;
        let transfers = session.client.transfers;
        match take_from_client(packet, policy, session, scratch) {
            HOLD => {
                report::flush(session.generation);
                return verdict::hold();
            }
            READ => {
                text::read_client(skb, &raw mut *session, &raw mut *scratch);
                session.client.finish(segment);
            }
            _ => {}
        }
        if session.client.lost != lost {
            expectations::withdraw(scratch, key, session, packet.interface);
        } else if session.client.transfers != transfers {
            expectations::renew(key, session, policy);
        }
        if scratch.tally.dirty != 0 {
            report::flush(session.generation);
        }
    }
    if session.is_closed() {
        end(scratch, key, session, packet.interface);
    }
    PASS
}

const TAKEN: u32 = 0;
const HOLD: u32 = 1;
const READ: u32 = 2;

/// Asks the client's half what to do with a segment. One of the above; with [`READ`], what and how
/// much is in `scratch.progress`.
#[inline(never)]
fn take_from_client(packet: &Packet, policy: &ServerPolicy, session: &mut Session, scratch: &mut Scratch) -> u32 {
    let now = coarse_now(&mut scratch.clock);
    let Session { client, server, generation, .. } = session;
    let generation = *generation;
    let intake = client.receive(server, &packet.segment, now, may_hold(packet, policy), &mut scratch.tally);
    let taken = take(packet, scratch, intake);
    scratch.progress.now = now;
    scratch.progress.generation = generation;
    let segment = &packet.segment;
    debug!(
        0,
        "client: seq {} ack {} length {}: intake {} (0 pass, 1 hold, 2 read)",
        segment.seq,
        segment.ack,
        segment.length,
        taken
    );
    taken
}

/// Asks the server's half what to do with a segment.
#[inline(never)]
fn take_from_server(packet: &Packet, policy: &ServerPolicy, session: &mut Session, scratch: &mut Scratch) -> u32 {
    let Session { client, server, generation, .. } = session;
    let generation = *generation;
    let intake = server.receive(client, &packet.segment, may_hold(packet, policy), packet.local, &mut scratch.tally);
    let taken = take(packet, scratch, intake);
    if taken == READ {
        scratch.progress.now = coarse_now(&mut scratch.clock); // a bare acknowledgement needs no time
        scratch.progress.generation = generation;
    }
    let segment = &packet.segment;
    debug!(
        0,
        "server: seq {} ack {} length {}: intake {} (0 pass, 1 hold, 2 read)",
        segment.seq,
        segment.ack,
        segment.length,
        taken
    );
    taken
}

#[inline(always)]
fn take(packet: &Packet, scratch: &mut Scratch, intake: Intake) -> u32 {
    let (skip, compare) = match intake {
        Intake::Hold => return HOLD,
        Intake::Pass => return TAKEN,
        Intake::Read { skip, compare } => (skip, compare),
    };
    // The other fragments are not read, so this one isn't either: the receiver's acknowledgement of
    // what we haven't seen makes the session lose step.
    if packet.fragmented {
        return TAKEN;
    }
    scratch.progress = Progress {
        now: 0,        // the caller's to set
        generation: 0, // likewise
        offset: packet.payload.wrapping_add(skip),
        left: packet.segment.length.wrapping_sub(skip).wrapping_sub(compare),
        compare,
        position: packet.segment.seq.wrapping_add(skip),
        at: 0,
        ack: packet.segment.ack,
        line: Line::default(),
    };
    READ
}

#[inline(never)]
fn server_speaks(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, policy: &ServerPolicy) -> i32 {
    if packet.mapped {
        return deny(policy, Counter::DeniedMappedAddress, key, 0, packet.interface);
    }
    if !is_right_side(packet, true) {
        return deny(policy, Counter::DeniedWrongSide, key, 0, packet.interface);
    }
    let segment = &packet.segment;
    let Some(scratch) = scratch() else { return PASS };
    if segment.has(SYN) {
        note_handshake(skb, packet, key, scratch);
        return PASS;
    }
    if session(key).is_none() {
        // Only words begin a session in the middle: a bare acknowledgement may be the echo of a closed one.
        if segment.has(RST) || segment.has(FIN) || !segment.has(ACK) || segment.length == 0 {
            return PASS;
        }
        forget_idle(key);
        let now = now();
        if let Some(met) = make_session(key, policy, now) {
            met.meet(now, now, segment);
            report::count(Counter::SessionsMet);
        }
    }
    let Some(session) = session(key) else { return PASS };
    if session.server_resets(segment) {
        end(scratch, key, session, packet.interface);
        return PASS;
    }
    if segment.has(RST) || !segment.has(ACK) {
        report::count(Counter::ResetsIgnored);
        return PASS;
    }
    if session.server.opaque != opaque::NOT {
        session.server.follow(segment);
    } else {
        match take_from_server(packet, policy, session, scratch) {
            HOLD => {
                report::flush(session.generation);
                return verdict::hold();
            }
            READ => {
                text::read_server(skb, policy, &raw mut *session, &raw mut *scratch);
                session.server.finish(segment);
            }
            _ => {}
        }
        if session.server.opaque != opaque::NOT {
            // What stood behind the reply was not read; a FIN behind that counts all the same.
            if session.server.fin == 0 {
                session.server.next = segment.end();
                session.server.finish(segment);
            }
            tell(scratch, EventKind::SessionOpaque, key, session, packet.interface);
        }
        if scratch.tally.dirty != 0 {
            report::flush(session.generation);
        }
    }
    expectations::carry_out(scratch, key, session, policy, packet.interface);
    if session.server.opaque == opaque::ENCRYPTED && policy.has(flag::FTPS_CLIENT_RANGE) && segment.length != 0 {
        ranges::open(scratch, key, session);
    }
    if session.is_closed() {
        end(scratch, key, session, packet.interface);
    }
    PASS
}
