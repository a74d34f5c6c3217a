//! How a session begins at its handshake, or where one was found idle.

use aya_ebpf::bindings::{__sk_buff, BPF_ANY};
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::{ACK, RST, SYN};
use ftp_common::keys::ConnectionKey;
use ftp_common::owner::Joint;
use ftp_common::policy::{ServerPolicy, flag};
use ftp_common::session::{Handshake, idle};

use crate::clock::now;
use crate::lifecycle::{end_session, make_session, report_session};
use crate::maps::{HANDSHAKES, JOINABLE, session};
use crate::packet::Packet;
use crate::scratch::Scratch;
use crate::{adopt, atomic, report, tcp_options};

/// The server's SYN-ACK: both first positions are known, and nothing is followed yet. So a flood of
/// SYNs fills no session.
#[inline(never)]
pub(crate) fn note_handshake(skb: *mut __sk_buff, packet: &Packet, key: &ConnectionKey, scratch: &mut Scratch) {
    let segment = &packet.segment;
    if !segment.has(ACK) || segment.has(RST) {
        return;
    }
    let handshake = Handshake {
        client_next: segment.ack,
        server_next: segment.seq.wrapping_add(1),
        multipath: u32::from(tcp_options::has(skb, packet, scratch, tcp_options::MULTIPATH)),
        idle: idle::NOT,
    };
    if HANDSHAKES.insert(key, &handshake, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
    }
    // A session that another CPU is making looks for the entry: it finds it, or is found here.
    atomic::fence(&mut scratch.fence);
    if let Some(session) = session(key) {
        session.server.no_handshake = 0;
    }
}

/// The client's first acknowledgement of the SYN-ACK begins the session; or its first payload on a
/// connection that was found idle.
#[inline(never)]
pub(crate) fn complete_handshake(
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
        end_session(scratch, key, old, packet.interface);
    }
    let now = now();
    let Some(session) = make_session(key, policy, now) else {
        report::count(Counter::SessionsOverLimit);
        return;
    };
    if was_idle {
        session.adopt(now, now, segment);
    } else {
        session.start(now, now, &handshake);
    }
    if policy.has(flag::FTPS_LEARN) {
        note_joint(scratch, key, &handshake);
    }
    // In this order: another CPU may note one meanwhile, and take the 1 back.
    session.server.no_handshake = 1;
    atomic::fence(&mut scratch.fence);
    if HANDSHAKES.get_ptr(key).is_some() {
        session.server.no_handshake = 0;
    }
    if was_idle {
        report::count(Counter::SessionsAdopted);
        report_session(scratch, EventKind::SessionStarted, key, session, packet.interface);
        return;
    }
    if handshake.multipath != 0 {
        report::count(Counter::SessionsMultipath);
        report_session(scratch, EventKind::SessionOpaque, key, session, packet.interface);
        return;
    }
    report::count(Counter::SessionsStarted);
    report_session(scratch, EventKind::SessionStarted, key, session, packet.interface);
}

/// It is seen before the server's TCP accepts it, wherever that is.
#[inline(always)]
fn note_joint(scratch: &mut Scratch, key: &ConnectionKey, handshake: &Handshake) {
    scratch.joint = Joint {
        client: key.client,
        client_next: handshake.client_next,
        server_next: handshake.server_next,
        client_port: u32::from(key.client_port),
    };
    if JOINABLE.insert(&scratch.joint, key, u64::from(BPF_ANY)).is_err() {
        report::count(Counter::MapErrors);
    }
}

/// Payload passed on a connection that user space is looking at, or has found idle: it isn't idle.
#[inline(always)]
pub(crate) fn forget_idle(key: &ConnectionKey) {
    let Some(handshake) = HANDSHAKES.get_ptr(key) else { return };
    // SAFETY: valid until the program returns.
    if unsafe { (*handshake).idle } != idle::NOT {
        let _gone = HANDSHAKES.remove(key);
    }
}
