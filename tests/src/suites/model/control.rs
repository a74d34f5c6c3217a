//! Packets on a control port.

use ftp_common::counter::{Counter, Counts};
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::ConnectionKey;
use ftp_common::segment::SegmentAction;
use ftp_common::session::{Handshake, Session};

use super::{Model, Packet};
use crate::subject::test_run::{Hook, Verdict};

/// Kind of the Multipath TCP option.
pub const MULTIPATH: u8 = 30;
/// Kind of the TCP Fast Open option.
pub const FAST_OPEN: u8 = 34;

impl Model {
    pub(super) fn client_speaks(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        if packet.is_mapped() {
            return self.deny(Counter::DeniedMappedAddress);
        }
        if !self.is_right_direction(hook, false) {
            return self.deny(Counter::DeniedWrongDirection);
        }
        if packet.opens() {
            let has_data = !packet.tcp.payload.is_empty();
            return if has_data { self.deny(Counter::DeniedSynData) } else { Verdict::Pass };
        }
        let key = packet.as_client();
        self.complete_handshake(packet, key);
        let Some(mut session) = self.sessions.get(&key).copied() else { return Verdict::Pass };
        let mut segment = packet.segment();
        segment.hides_a_byte = packet.hides_a_byte();
        if session.client_resets(&segment) {
            self.end(key, &session);
            return Verdict::Pass;
        }
        if packet.has(RST) {
            self.count(Counter::ResetsIgnored);
            return Verdict::Pass;
        }
        if session.server.opaque != 0 {
            session.client.follow(&session.server, &segment);
        } else {
            let mut counts = Counts::default();
            let before = session.client;
            let may_defer = self.may_defer(hook);
            let mut action = session.client.receive(&session.server, &segment, self.now, may_defer, &mut counts);
            if packet.fragmented && matches!(action, SegmentAction::Parse { .. }) {
                action = session.client.desync(&mut counts);
            }
            match action {
                SegmentAction::Defer => return self.hold(key, session, &counts),
                SegmentAction::Parse { skip, compare } => {
                    let text = &packet.tcp.payload[skip as usize..];
                    self.read_client(&mut session, &key, segment.seq.wrapping_add(skip), text, compare, &mut counts);
                }
                SegmentAction::Ignore => {}
            }
            session.finish_client(&segment);
            if session.client.desyncs != before.desyncs {
                self.withdraw(key, &session);
            } else if session.client.transfers != before.transfers {
                self.renew(key, &session);
            }
            self.flush(&counts);
        }
        self.keep_or_end(key, session);
        Verdict::Pass
    }

    /// `text` begins at position `seq`; its first `compare` bytes have been read before.
    fn read_client(
        &self,
        session: &mut Session,
        key: &ConnectionKey,
        seq: u32,
        text: &[u8],
        compare: u32,
        counts: &mut Counts,
    ) {
        let (old, new) = text.split_at(compare as usize);
        let tail = session.server.tail;
        let mut position = seq;
        let mut line = session.client.line_at(tail, position);
        for byte in old {
            if !session.client.is_same(&line, position, *byte) {
                session.client.overlap_differs(counts);
                return;
            }
            position = position.wrapping_add(1);
            if *byte == b'\n' {
                line = session.client.line_at(tail, position);
            }
        }
        for byte in new {
            if session.client.push(*byte) {
                session.client.end_line(&key.client, &session.server, self.now, counts);
            }
        }
    }

    pub(super) fn server_speaks(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        if packet.is_mapped() {
            return self.deny(Counter::DeniedMappedAddress);
        }
        if !self.is_right_direction(hook, true) {
            return self.deny(Counter::DeniedWrongDirection);
        }
        let key = packet.as_server();
        if packet.has(SYN) {
            self.note_handshake(packet, key);
            return Verdict::Pass;
        }
        let segment = packet.segment();
        if !self.sessions.contains_key(&key) {
            let says_something = packet.has(ACK) && !packet.has(RST) && !packet.has(FIN) && segment.length != 0;
            if !says_something || !self.admits(&key) {
                return Verdict::Pass;
            }
            let mut session = Session::default();
            session.pick_up_midstream(self.now, self.now, &segment);
            self.sessions.insert(key, session);
            self.count(Counter::SessionsMidstream);
        }
        let mut session = self.sessions[&key];
        if session.server_resets(&segment, Self::is_local(hook)) {
            self.end(key, &session);
            return Verdict::Pass;
        }
        if packet.has(RST) || !packet.has(ACK) {
            self.count(Counter::ResetsIgnored);
            return Verdict::Pass;
        }
        if segment.length != 0 {
            session.server.confirmed = 1;
        }
        if session.server.opaque != 0 {
            session.server.follow(&session.client, &segment, Self::is_local(hook));
        } else {
            let mut counts = Counts::default();
            let may_defer = self.may_defer(hook);
            match session.server.receive(&session.client, &segment, may_defer, Self::is_local(hook), &mut counts) {
                SegmentAction::Defer => return self.hold(key, session, &counts),
                SegmentAction::Parse { skip, .. } if !packet.fragmented => {
                    let text = &packet.tcp.payload[skip as usize..];
                    self.read_server(&mut session, &key, text, segment.ack, &mut counts);
                }
                _ => {}
            }
            if session.server.opaque != 0 && session.server.fin == 0 {
                session.server.next = segment.end();
            }
            session.server.finish(&session.client, &segment);
            self.flush(&counts);
        }
        self.carry_out(key, &mut session);
        self.keep_or_end(key, session);
        Verdict::Pass
    }

    fn read_server(&self, session: &mut Session, key: &ConnectionKey, text: &[u8], ack: u32, counts: &mut Counts) {
        for byte in text {
            if session.server.push(*byte) {
                session.server.end_line(&session.client, key, &self.policy, ack, self.now, counts);
                if session.server.opaque != 0 {
                    return; // the rest is encrypted
                }
            }
        }
    }

    fn hold(&mut self, key: ConnectionKey, session: Session, counts: &Counts) -> Verdict {
        self.flush(counts);
        self.sessions.insert(key, session);
        self.count(Counter::SegmentsDeferred);
        Verdict::Drop
    }

    fn note_handshake(&mut self, packet: &Packet, key: ConnectionKey) {
        if packet.has(ACK) && !packet.has(RST) {
            let handshake = Handshake {
                client_next: packet.tcp.ack,
                server_next: packet.tcp.seq.wrapping_add(1),
                multipath: u32::from(has_option(&packet.tcp.options, MULTIPATH)),
                idle: 0,
            };
            self.handshakes.insert(key, handshake);
            if let Some(session) = self.sessions.get_mut(&key) {
                session.server.no_handshake = 0;
            }
        }
    }

    fn complete_handshake(&mut self, packet: &Packet, key: ConnectionKey) {
        if !packet.has(ACK) || packet.has(RST) || packet.has(SYN) {
            return;
        }
        let Some(handshake) = self.handshakes.get(&key).copied() else { return };
        if (packet.tcp.seq, packet.tcp.ack) != (handshake.client_next, handshake.server_next) {
            return;
        }
        self.handshakes.remove(&key);
        if let Some(old) = self.sessions.get(&key).copied() {
            self.end(key, &old);
        }
        if self.admits(&key) {
            let mut session = Session::default();
            session.start(self.now, self.now, &handshake);
            session.server.no_handshake = 1;
            self.sessions.insert(key, session);
            let opaque = handshake.multipath != 0;
            self.count(if opaque { Counter::SessionsMultipath } else { Counter::SessionsStarted });
        } else {
            self.count(Counter::SessionsOverLimit);
        }
    }

    fn keep_or_end(&mut self, key: ConnectionKey, session: Session) {
        if session.is_closed() {
            self.end(key, &session);
        } else {
            self.sessions.insert(key, session);
        }
    }

    fn end(&mut self, key: ConnectionKey, session: &Session) {
        self.withdraw(key, session);
        self.count(Counter::SessionsEnded);
        self.sessions.remove(&key);
    }
}

/// Whether TCP options have one of a kind (RFC 9293 §3.2).
pub(super) fn has_option(options: &[u8], kind: u8) -> bool {
    let mut rest = options;
    loop {
        match rest {
            [first, ..] if *first == kind => return true,
            [1, behind @ ..] => rest = behind,
            [kind, length, ..] if *kind > 1 && *length > 1 => match rest.get(usize::from(*length)..) {
                Some(behind) => rest = behind,
                None => return false,
            },
            _ => return false,
        }
    }
}
