//! For tests: a control connection between a client and a server that both behave, unless a test makes
//! them not; followed as the kernel program follows it.

extern crate std;

use core::net::IpAddr;
use std::vec::Vec;

use crate::SECOND;
use crate::address::Address;
use crate::counter::{Counter, Counts};
use crate::flow::tcp;
use crate::keys::ConnectionKey;
use crate::policy::{CONTROL_PORTS, ServerPolicy};
use crate::segment::{Segment, SegmentAction};
use crate::session::{Handshake, Negotiated, Session, decision};

pub(crate) const CLIENT: &str = "10.0.1.2";
pub(crate) const SERVER: &str = "10.0.1.1";

/// A session, and what both ends have sent.
pub(crate) struct Talk {
    pub(crate) session: Session,
    pub(crate) policy: ServerPolicy,
    pub(crate) key: ConnectionKey,
    pub(crate) counts: Counts,
    /// Nanoseconds; a test moves it.
    pub(crate) now: u64,
    /// The next byte that each end will send.
    pub(crate) client_next: u32,
    pub(crate) server_next: u32,
    /// The expectation that stands.
    pub(crate) expected: Option<Negotiated>,
}

pub(crate) fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

impl Talk {
    fn new(client_next: u32, server_next: u32) -> Self {
        let mut control_ports = [0; CONTROL_PORTS];
        control_ports[0] = 21;
        let policy = ServerPolicy {
            control_ports,
            passive_first: 10240,
            passive_last: 20480,
            active_port: 20,
            flags: 0,
            expectation_timeout: 300,
            sessions_per_client: 128,
            mark: 0,
            mark_mask: 0,
        };
        let key = ConnectionKey {
            client: address(CLIENT),
            server: address(SERVER),
            client_port: 40000,
            server_port: 21,
            scope: 0,
        };
        Self {
            session: Session::default(),
            policy,
            key,
            counts: Counts::default(),
            now: 1000 * SECOND,
            client_next,
            server_next,
            expected: None,
        }
    }

    /// Followed from the handshake on; sequence numbers that will wrap.
    pub(crate) fn from_the_start() -> Self {
        let mut talk = Self::new(u32::MAX - 3, u32::MAX - 7);
        let handshake = Handshake {
            client_next: talk.client_next,
            server_next: talk.server_next,
            multipath: 0,
            ..Handshake::default()
        };
        talk.session.start(1, talk.now, &handshake);
        talk
    }

    /// As [`Self::from_the_start`], and the server has greeted.
    pub(crate) fn greeted() -> Self {
        let mut talk = Self::from_the_start();
        talk.server("220 Welcome\r\n");
        talk
    }

    /// Picked up midstream, at an acknowledgement of the server.
    pub(crate) fn midstream() -> Self {
        let mut talk = Self::new(7, 9);
        let segment = talk.server_segment(0);
        talk.session.pick_up_midstream(1, talk.now, &segment);
        talk
    }

    pub(crate) fn client_segment(&self, length: u32) -> Segment {
        Segment { seq: self.client_next, ack: self.server_next, length, flags: tcp::ACK, hides_a_byte: false }
    }

    pub(crate) fn server_segment(&self, length: u32) -> Segment {
        Segment { seq: self.server_next, ack: self.client_next, length, flags: tcp::ACK, hides_a_byte: false }
    }

    /// The client sends text; the server gets it.
    pub(crate) fn client(&mut self, text: &str) -> SegmentAction {
        let action = self.client_bytes(self.client_next, text.as_bytes());
        self.client_next = self.client_next.wrapping_add(text.len() as u32);
        action
    }

    /// A segment of the client with these bytes at that position.
    pub(crate) fn client_bytes(&mut self, seq: u32, bytes: &[u8]) -> SegmentAction {
        let segment = Segment { seq, length: bytes.len() as u32, ..self.client_segment(0) };
        let Session { client, server, .. } = &mut self.session;
        let desyncs = client.desyncs;
        let action = client.receive(server, &segment, self.now, true, &mut self.counts);
        if let SegmentAction::Parse { skip, compare } = action {
            let (skip, compare) = (skip as usize, compare as usize);
            let (old, new) = bytes[skip..].split_at(compare);
            let mut position = seq.wrapping_add(skip as u32);
            let mut line = client.line_at(server.tail, position);
            let mut same = true;
            for byte in old {
                same &= client.is_same(&line, position, *byte);
                position = position.wrapping_add(1);
                if *byte == b'\n' {
                    line = client.line_at(server.tail, position);
                }
            }
            if same {
                for byte in new {
                    if client.push(*byte) {
                        client.end_line(&self.key.client, server, self.now, &mut self.counts);
                    }
                }
            } else {
                client.overlap_differs(&mut self.counts);
            }
        }
        self.session.finish_client(&segment);
        if self.session.client.desyncs != desyncs {
            self.expected = None;
        }
        action
    }

    /// The server sends text, having got all that the client sent.
    pub(crate) fn server(&mut self, text: &str) -> SegmentAction {
        let action = self.server_bytes(self.server_next, self.client_next, text.as_bytes());
        self.server_next = self.server_next.wrapping_add(text.len() as u32);
        action
    }

    /// A segment of the server with these bytes at that position.
    pub(crate) fn server_bytes(&mut self, seq: u32, ack: u32, bytes: &[u8]) -> SegmentAction {
        let segment = Segment { seq, ack, length: bytes.len() as u32, flags: tcp::ACK, hides_a_byte: false };
        let Session { client, server, .. } = &mut self.session;
        let action = server.receive(client, &segment, true, false, &mut self.counts);
        if let SegmentAction::Parse { skip, .. } = action {
            for byte in &bytes[skip as usize..] {
                if server.push(*byte) {
                    server.end_line(client, &self.key, &self.policy, ack, self.now, &mut self.counts);
                }
            }
        }
        server.finish(client, &segment);
        match server.decision {
            decision::WITHDRAW => self.expected = None,
            decision::REPLACE => {
                server.standing = server.wanted;
                self.expected = Some(server.wanted);
            }
            _ => {}
        }
        server.decision = decision::KEEP;
        action
    }

    /// The client acknowledges all; nothing else.
    pub(crate) fn client_acknowledges(&mut self) {
        self.client("");
    }

    /// The server acknowledges all; nothing else.
    pub(crate) fn server_acknowledges(&mut self) {
        self.server("");
    }

    /// The client sends a FIN behind all that it has sent.
    pub(crate) fn client_fin(&mut self) {
        let fin = Segment { flags: tcp::FIN | tcp::ACK, ..self.client_segment(0) };
        self.session.finish_client(&fin);
    }

    /// The server sends a FIN behind all that it has sent.
    pub(crate) fn server_fin(&mut self) {
        let fin = Segment { flags: tcp::FIN | tcp::ACK, ..self.server_segment(0) };
        let Session { client, server, .. } = &mut self.session;
        server.finish(client, &fin);
    }

    /// One command and its reply.
    pub(crate) fn exchange(&mut self, command: &str, reply: &str) {
        self.client(command);
        self.server(reply);
        self.client_acknowledges();
    }

    /// The port that is expected.
    pub(crate) fn port(&self) -> Option<u16> {
        self.expected.map(|negotiated| negotiated.port)
    }

    /// How often a counter was raised.
    pub(crate) fn count(&self, counter: Counter) -> u8 {
        self.counts.raised[counter as usize]
    }

    /// The refusals so far.
    pub(crate) fn refusals(&self) -> Vec<Counter> {
        Counter::ALL.iter().copied().filter(|c| Counter::index_is_refusal(c.index()) && self.count(*c) != 0).collect()
    }
}
