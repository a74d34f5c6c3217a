//! Packets on a control port: who sent them, whether they can be read, and what follows from them.

use aya_ebpf::bindings::__sk_buff;
use aya_log_ebpf::debug;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::ConnectionKey;
use ftp_common::overlap::Line;
use ftp_common::policy::{ServerPolicy, Side, class, flag};
use ftp_common::segment::{Segment, SegmentAction};
use ftp_common::session::{Session, opaque};

use crate::clock::{coarse_now, now};
use crate::globals::SIDE;
use crate::handshake::{complete_handshake, forget_idle, note_handshake};
use crate::lifecycle::{end_session, make_session, report_session};
use crate::maps::session;
use crate::packet::{Memory, Packet};
use crate::scratch::{Progress, Scratch, scratch};
use crate::verdict::{self, PASS, deny};
use crate::{control_stream, expectations, ranges, report, servers};

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
        return Some(from_client(skb, packet, key, policy));
    }
    // A SYN from a control port belongs to no session: it may still open a data connection.
    if source & class::CONTROL != 0
        && !opens
        && let Some(policy) = servers::policy(generation, &packet.source)
        && policy.is_control(packet.source_port)
    {
        packet.as_server(key);
        return Some(from_server(skb, packet, key, policy));
    }
    None
}

/// Whether this hook is where the sender's packets pass: the server's leave a host at egress and the
/// client's enter at ingress, or the other way round, by the interface's side. What leaves by the interface that it
/// came in by is from beyond it, whatever address it bears: a neighbour had it sent back.
#[inline(always)]
pub(crate) fn is_right_direction(packet: &Packet, server: bool) -> bool {
    let side = SIDE.load();
    side == Side::Both.number()
        || (side == Side::ServersBehind.number()) == (server == packet.egress) && !packet.returned
}

/// Whether an early segment can be dropped for retransmission: not where this host's own TCP is just
/// sending it, and not in monitor mode, which changes nothing.
#[inline(always)]
fn may_defer(packet: &Packet, policy: &ServerPolicy) -> bool {
    !packet.local && !policy.has(flag::MONITOR)
}

#[inline(never)]
fn from_client(skb: *mut __sk_buff, packet: &mut Packet, key: &ConnectionKey, policy: &ServerPolicy) -> i32 {
    if packet.mapped {
        return deny(policy, Counter::DeniedMappedAddress, key, 0, packet.interface);
    }
    if !is_right_direction(packet, false) {
        return deny(policy, Counter::DeniedWrongDirection, key, 0, packet.interface);
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
    let session = match session(key) {
        Some(session) if session.server.no_handshake != 0 => session,
        _ => {
            complete_handshake(skb, scratch, key, policy, packet);
            match session(key) {
                Some(session) => session,
                None => return PASS,
            }
        }
    };
    if session.client_resets(segment) {
        end_session(scratch, key, session, packet.interface);
        return PASS;
    }
    if segment.has(RST) {
        report::count(Counter::ResetsIgnored);
        return PASS;
    }
    if session.server.opaque != opaque::NOT {
        session.client.follow(&session.server, segment);
    } else {
        let desyncs = session.client.desyncs;
        let transfers = session.client.transfers;
        match receive_from_client(packet, policy, session, scratch) {
            DEFER => {
                report::flush(session.session_id);
                return verdict::defer();
            }
            PARSE => control_stream::parse_client(skb, &raw mut *session, &raw mut *scratch),
            _ => {}
        }
        session.finish_client(segment);
        if session.client.desyncs != desyncs {
            expectations::withdraw(scratch, key, session, packet.interface);
        } else if session.client.transfers != transfers {
            expectations::renew(key, session, policy);
        }
        if scratch.counts.dirty != 0 {
            report::flush(session.session_id);
        }
    }
    if session.is_closed() {
        end_session(scratch, key, session, packet.interface);
    }
    PASS
}

const IGNORE: u32 = 0;
const DEFER: u32 = 1;
const PARSE: u32 = 2;

/// Asks the client's state what to do with a segment. One of the above; with [`PARSE`], what and how
/// much is in `scratch.progress`.
#[inline(never)]
fn receive_from_client(packet: &Packet, policy: &ServerPolicy, session: &mut Session, scratch: &mut Scratch) -> u32 {
    let now = coarse_now(&mut scratch.clock);
    let Session { client, server, session_id, .. } = session;
    let session_id = *session_id;
    let mut action = client.receive(server, &packet.segment, now, may_defer(packet, policy), &mut scratch.counts);
    if packet.fragmented && matches!(action, SegmentAction::Parse { .. }) {
        // The other fragments are not read, so this one isn't either, and where the client is, is not known.
        action = client.desync(&mut scratch.counts);
    }
    let action = start_parse(packet, scratch, action);
    scratch.progress.now = now;
    scratch.progress.session_id = session_id;
    let segment = &packet.segment;
    debug!(
        0,
        "client: seq {} ack {} length {}: action {} (0 ignore, 1 defer, 2 parse)",
        segment.seq,
        segment.ack,
        segment.length,
        action
    );
    action
}

/// Asks the server's state what to do with a segment.
#[inline(never)]
fn receive_from_server(packet: &Packet, policy: &ServerPolicy, session: &mut Session, scratch: &mut Scratch) -> u32 {
    let Session { client, server, session_id, .. } = session;
    let session_id = *session_id;
    let action = server.receive(client, &packet.segment, may_defer(packet, policy), packet.local, &mut scratch.counts);
    let action = start_parse(packet, scratch, action);
    if action == PARSE {
        scratch.progress.now = coarse_now(&mut scratch.clock); // a pure acknowledgement needs no time
        scratch.progress.session_id = session_id;
    }
    let segment = &packet.segment;
    debug!(
        0,
        "server: seq {} ack {} length {}: action {} (0 ignore, 1 defer, 2 parse)",
        segment.seq,
        segment.ack,
        segment.length,
        action
    );
    action
}

#[inline(always)]
fn start_parse(packet: &Packet, scratch: &mut Scratch, action: SegmentAction) -> u32 {
    let (skip, compare) = match action {
        SegmentAction::Defer => return DEFER,
        SegmentAction::Ignore => return IGNORE,
        SegmentAction::Parse { skip, compare } => (skip, compare),
    };
    // The other fragments are not read, so this one isn't either: the receiver's acknowledgement of
    // unseen bytes makes the session lose synchronization.
    if packet.fragmented {
        return IGNORE;
    }
    scratch.progress = Progress {
        now: 0,        // the caller's to set
        session_id: 0, // likewise
        offset: packet.payload.wrapping_add(skip),
        left: packet.segment.length.wrapping_sub(skip).wrapping_sub(compare),
        compare,
        position: packet.segment.seq.wrapping_add(skip),
        at: 0,
        ack: packet.segment.ack,
        line: Line::default(),
    };
    PARSE
}

/// A session that begins at a packet of the server; or that another CPU has just made.
#[inline(always)]
fn pick_up_midstream(key: &ConnectionKey, policy: &ServerPolicy, segment: &Segment) -> Option<&'static mut Session> {
    // Only payload: a pure acknowledgement may belong to a closed connection.
    if segment.has(RST) || segment.has(FIN) || !segment.has(ACK) || segment.length == 0 {
        return None;
    }
    forget_idle(key);
    let now = now();
    if let Some(session) = make_session(key, policy, now) {
        session.pick_up_midstream(now, now, segment);
        report::count(Counter::SessionsMidstream);
    }
    session(key)
}

#[inline(never)]
fn from_server(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, policy: &ServerPolicy) -> i32 {
    if packet.mapped {
        return deny(policy, Counter::DeniedMappedAddress, key, 0, packet.interface);
    }
    if !is_right_direction(packet, true) {
        return deny(policy, Counter::DeniedWrongDirection, key, 0, packet.interface);
    }
    let segment = &packet.segment;
    let Some(scratch) = scratch() else { return PASS };
    if segment.has(SYN) {
        note_handshake(skb, packet, key, scratch);
        return PASS;
    }
    let session = match session(key) {
        Some(session) => session,
        None => match pick_up_midstream(key, policy, segment) {
            Some(session) => session,
            None => return PASS,
        },
    };
    if session.server_resets(segment, packet.local) {
        end_session(scratch, key, session, packet.interface);
        return PASS;
    }
    if segment.has(RST) || !segment.has(ACK) {
        report::count(Counter::ResetsIgnored);
        return PASS;
    }
    if segment.length != 0 {
        session.server.confirmed = 1;
    }
    let Session { client, server, .. } = &mut *session;
    if server.opaque != opaque::NOT {
        server.follow(client, segment, packet.local);
    } else {
        match receive_from_server(packet, policy, session, scratch) {
            DEFER => {
                report::flush(session.session_id);
                return verdict::defer();
            }
            PARSE => control_stream::parse_server(skb, policy, &raw mut *session, &raw mut *scratch),
            _ => {}
        }
        let Session { client, server, .. } = &mut *session;
        if server.opaque != opaque::NOT && server.fin == 0 {
            server.next = segment.end(); // what stood behind the reply was not read
        }
        server.finish(client, segment);
        if server.opaque != opaque::NOT {
            report_session(scratch, EventKind::SessionOpaque, key, session, packet.interface);
        }
        if scratch.counts.dirty != 0 {
            report::flush(session.session_id);
        }
    }
    expectations::carry_out(scratch, key, session, policy, packet.interface);
    if session.server.opaque == opaque::ENCRYPTED && segment.length != 0 {
        let opens = policy.has(flag::FTPS_CLIENT_RANGE);
        if ranges::note(scratch, key, session, opens) && opens {
            report::count(Counter::RangesOpened);
        }
    }
    if session.is_closed() {
        end_session(scratch, key, session, packet.interface);
    }
    PASS
}
