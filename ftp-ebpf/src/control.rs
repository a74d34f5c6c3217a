//! Packets on a control port: whose voice, handshakes, and the life of sessions.

use aya_ebpf::bindings::{__sk_buff, BPF_ANY, BPF_NOEXIST};
use aya_log_ebpf::debug;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::ConnectionKey;
use ftp_common::overlap::Line;
use ftp_common::policy::{ServerPolicy, Side, class, flag};
use ftp_common::server::opaque;
use ftp_common::session::{Handshake, Intake, Session, idle};

use crate::maps::{BLANK, HANDSHAKES, SESSIONS, SIDE, Scratch, scratch, session};
use crate::packet::{Memory, Packet};
use crate::text::{self, Progress};
use crate::verdict::{self, PASS, deny};
use crate::{adopt, expectations, limit, multipath, ranges, report, servers};

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
    let now = report::coarse_now(&mut scratch.clock);
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
        scratch.progress.now = report::coarse_now(&mut scratch.clock); // a bare acknowledgement needs no time
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
        let now = report::now();
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

/// Words were said on a connection that user space looks at, or has found idle: it isn't.
#[inline(always)]
fn forget_idle(key: &ConnectionKey) {
    let Some(handshake) = HANDSHAKES.get_ptr(key) else { return };
    // SAFETY: valid until the program returns.
    if unsafe { (*handshake).idle } != idle::NOT {
        let _gone = HANDSHAKES.remove(key);
    }
}

/// The server's SYN-ACK: both first positions are known, and nothing is followed yet. So a flood of
/// SYNs fills no session.
#[inline(never)]
fn note_handshake(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, scratch: &mut Scratch) {
    let segment = &packet.segment;
    if !segment.has(ACK) || segment.has(RST) {
        return;
    }
    let handshake = Handshake {
        client_next: segment.ack,
        server_next: segment.seq.wrapping_add(1),
        multipath: u32::from(multipath::agreed(skb, packet, scratch)),
        idle: idle::NOT,
    };
    if HANDSHAKES.insert(key, &handshake, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
    }
}

/// The client's first acknowledgement of the SYN-ACK begins the session; or its first words on a
/// connection that was found idle.
#[inline(never)]
fn complete_handshake(
    skb: *mut __sk_buff,
    scratch: &mut Scratch,
    key: &ConnectionKey,
    policy: &ServerPolicy,
    packet: &Packet,
) {
    let segment = &packet.segment;
    if !segment.has(ACK) || segment.has(RST) || segment.has(SYN) {
        return;
    }
    let Some(handshake) = HANDSHAKES.get_ptr(key) else { return };
    // SAFETY: valid until the program returns; a reused entry can only fail the comparison below.
    let handshake = unsafe { *handshake };
    let was_idle = handshake.idle != idle::NOT;
    if was_idle {
        if segment.length == 0 {
            return;
        }
        if handshake.idle == idle::LOOKED_AT || session(key).is_some() {
            let _gone = HANDSHAKES.remove(key);
            return;
        }
        if !adopt::socket_agrees(skb, packet, scratch) {
            return;
        }
    } else if segment.seq != handshake.client_next || segment.ack != handshake.server_next {
        return;
    }
    if HANDSHAKES.remove(key).is_err() {
        return; // another CPU was first
    }
    // The tuple was used before, and the server has begun anew on it.
    if let Some(old) = session(key) {
        end(scratch, key, old, packet.interface);
    }
    let now = report::now();
    let Some(session) = make_session(key, policy, now) else {
        report::count(Counter::SessionsOverLimit);
        return;
    };
    if was_idle {
        session.adopt(now, now, segment);
        report::count(Counter::SessionsAdopted);
        tell(scratch, EventKind::SessionStarted, key, session, packet.interface);
        return;
    }
    session.start(now, now, &handshake);
    if handshake.multipath != 0 {
        report::count(Counter::SessionsMultipath);
        tell(scratch, EventKind::SessionOpaque, key, session, packet.interface);
        return;
    }
    report::count(Counter::SessionsStarted);
    tell(scratch, EventKind::SessionStarted, key, session, packet.interface);
}

/// A zeroed session under this key, if there was none and its client may have one more.
#[inline(always)]
fn make_session(key: &ConnectionKey, policy: &ServerPolicy, generation: u64) -> Option<&'static mut Session> {
    if limit::admits(generation, policy.sessions_per_client) == 0 {
        return None;
    }
    let blank = BLANK.get(0)?;
    if SESSIONS.insert(key, blank, u64::from(BPF_NOEXIST)).is_err() {
        report::count(Counter::MapErrors);
        return None;
    }
    let made = SESSIONS.get_ptr_mut(key)?;
    // SAFETY: as in `maps::session`; its generation is 0, so nobody else takes it for a session yet.
    Some(unsafe { &mut *made })
}

/// Ends a session: its expectation goes with it, its open transfers go on.
#[inline(never)]
fn end(scratch: &mut Scratch, key: &ConnectionKey, session: &mut Session, interface: u32) {
    expectations::withdraw(scratch, key, session, interface);
    prepare(scratch, EventKind::SessionEnded, key, session, interface);
    if SESSIONS.remove(key).is_err() {
        return; // another CPU, with the other direction's last packet, was first
    }
    report::count(Counter::SessionsEnded);
    report::send();
}

#[inline(always)]
fn tell(scratch: &mut Scratch, kind: EventKind, key: &ConnectionKey, session: &Session, interface: u32) {
    prepare(scratch, kind, key, session, interface);
    report::send();
}

#[inline(always)]
fn prepare(scratch: &mut Scratch, kind: EventKind, key: &ConnectionKey, session: &Session, interface: u32) {
    report::event(scratch, kind, key, interface);
    scratch.event.session = session.generation;
    let multipath = session.server.opaque == opaque::MULTIPATH;
    scratch.event.reason = (if multipath { Counter::SessionsMultipath } else { Counter::SessionsEncrypted }) as u8;
}
