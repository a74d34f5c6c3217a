//! The two halves of a session ([`ftp_common::session`]), a packet of each direction at once.
//!
//! What two CPUs open together is what one would have opened, in one order of the two packets or the other; or nothing.
//! The bound is two interruptions where a test names no other. That the session's memory becomes another's meanwhile is
//! not played.

use ftp_common::address::Address;
use ftp_common::flow::tcp;
use ftp_common::keys::ConnectionKey;
use ftp_common::policy::{CONTROL_PORTS, ServerPolicy, flag};
use ftp_common::segment::Segment;
use ftp_common::session::{Handshake, Negotiated, RING, Session};
use loom::sync::Arc;
use loom::thread;

use crate::halves::{Context, Cpu, Packet, Shared, client_sends, server_sends};
use crate::in_every_order;

const SECOND: u64 = 1_000_000_000;

/// A session, and what both ends have sent.
#[derive(Clone, Copy)]
struct Talk {
    session: Session,
    context: Context,
    client_next: u32,
    server_next: u32,
}

impl Talk {
    /// The server has greeted.
    fn greeted() -> Self {
        let mut control_ports = [0; CONTROL_PORTS];
        control_ports[0] = 21;
        let policy = ServerPolicy {
            control_ports,
            passive_first: 10240,
            passive_last: 20480,
            active_port: 20,
            flags: flag::PORT_PROMISCUOUS,
            expectation_timeout: 300,
            sessions_per_client: 128,
            mark: 0,
            mark_mask: 0,
        };
        let (client, server) = (address(2), address(1));
        let key = ConnectionKey { client, server, client_port: 40000, server_port: 21, scope: 0 };
        let context = Context { key, policy, now: 1000 * SECOND };
        let mut talk = Self { session: Session::default(), context, client_next: 100, server_next: 200 };
        let handshake = Handshake { client_next: 100, server_next: 200, ..Handshake::default() };
        talk.session.start(1, 999 * SECOND, &handshake);
        talk.server("220 Welcome\r\n");
        talk.client("");
        talk
    }

    /// The client's next packet.
    fn of_client(&self, text: &'static str) -> Packet {
        packet(self.client_next, self.server_next, text)
    }

    /// The server's next packet, when it has got what the client has sent so far.
    fn of_server(&self, text: &'static str) -> Packet {
        packet(self.server_next, self.client_next, text)
    }

    /// The client sends; the server gets it.
    fn client(&mut self, text: &'static str) {
        let packet = self.of_client(text);
        self.client_next += packet.segment.length;
        self.client_packet(&packet);
    }

    fn client_packet(&mut self, packet: &Packet) {
        let mut client = self.session.client;
        client_sends(&mut client, &mut self.session, packet, &self.context);
    }

    fn server(&mut self, text: &'static str) -> Option<Negotiated> {
        let packet = self.of_server(text);
        self.server_next += packet.segment.length;
        self.server_packet(&packet)
    }

    fn server_packet(&mut self, packet: &Packet) -> Option<Negotiated> {
        let mut server = self.session.server;
        server_sends(&mut server, &mut self.session, packet, &self.context)
    }

    /// What a session has opened: what was made, if it stands.
    fn opened(session: &Session, made: Option<Negotiated>) -> Option<Negotiated> {
        made.filter(|_| session.stands(1, session.server.serial))
    }

    /// What comes of two packets one after the other on one CPU, in both orders: the client's first, and last.
    fn in_turn(&self, client: &Packet, server: &Packet) -> [(Session, Option<Negotiated>); 2] {
        let (mut first, mut last) = (*self, *self);
        first.client_packet(client);
        let made = first.server_packet(server);
        let behind = last.server_packet(server);
        last.client_packet(client);
        [(first.session, made), (last.session, behind)]
    }

    /// Plays both packets at once, with at most so many interruptions. Ports that one CPU opens, in both orders.
    fn at_once(self, interruptions: usize, client: Packet, server: Packet) -> [Option<u16>; 2] {
        let in_turn = self.in_turn(&client, &server);
        let allowed = in_turn.map(|(session, made)| Self::opened(&session, made));
        in_every_order(interruptions, move || {
            let shared = Arc::new(Shared::new(&self.session, &in_turn.map(|(session, _)| session)));
            let other = shared.clone();
            let other = thread::spawn(move || {
                let mut half = self.session.client;
                client_sends(&mut half, &mut Cpu::new(&other), &client, &self.context);
                half
            });
            let mut session = self.session;
            let made = server_sends(&mut session.server, &mut Cpu::new(&shared), &server, &self.context);
            session.client = other.join().unwrap();
            let opened = Self::opened(&session, made);
            assert!(opened.is_none() || allowed.contains(&opened), "{opened:?}, and in turn {allowed:?}");
        });
        allowed.map(|negotiated| negotiated.map(|negotiated| negotiated.port))
    }
}

fn address(last: u8) -> Address {
    Address::from_v4_word(u32::from_ne_bytes([10, 0, 1, last]))
}

fn packet(seq: u32, ack: u32, text: &'static str) -> Packet {
    let length = text.len() as u32;
    Packet { segment: Segment { seq, ack, length, flags: tcp::ACK, hides_a_byte: false }, text }
}

const PASSIVE: &str = "227 Entering Passive Mode (10,0,1,1,40,1).\r\n";

#[test]
fn a_200_that_was_sent_before_a_port_does_not_accept_it() {
    let talk = Talk::greeted();
    let opened = talk.at_once(2, talk.of_client("PORT 10,0,1,2,40,1\r\n"), talk.of_server("200 OK\r\n"));
    assert_eq!(opened, [None, None]);
}

#[test]
fn a_227_that_was_sent_before_a_pasv_does_not_answer_it() {
    let talk = Talk::greeted();
    let opened = talk.at_once(2, talk.of_client("PASV\r\n"), talk.of_server(PASSIVE));
    assert_eq!(opened, [None, None]);
}

#[test]
fn a_200_that_comes_with_its_port_opens_that_port() {
    let mut talk = Talk::greeted();
    let port = talk.of_client("PORT 10,0,1,2,40,1\r\n");
    talk.client_next += port.segment.length;
    assert_eq!(talk.at_once(2, port, talk.of_server("200 OK\r\n")), [Some(10241), None]);
}

#[test]
fn a_200_accepts_the_port_that_it_acknowledges_and_not_the_next() {
    let mut talk = Talk::greeted();
    talk.client("PORT 10,0,1,2,40,1\r\n");
    let next = talk.of_client("PORT 10,0,1,2,40,2\r\n");
    assert_eq!(talk.at_once(2, next, talk.of_server("200 OK\r\n"))[1], Some(10241));
}

#[test]
fn a_port_goes_with_the_address_that_was_named_with_it() {
    let mut talk = Talk::greeted();
    talk.client("PORT 10,0,1,7,40,1\r\n");
    let next = talk.of_client("PORT 10,0,1,8,40,2\r\n");
    assert_eq!(talk.at_once(2, next, talk.of_server("200 OK\r\n")), [None, Some(10241)]);
}

/// At most one interruption.
#[test]
fn a_place_of_the_ring_is_read_behind_its_command() {
    let mut talk = Talk::greeted();
    talk.client("PASV\r\n");
    talk.server("500 Not now\r\n");
    for _ in 1..RING {
        talk.client("NOOP\r\n");
        talk.server("200 OK\r\n");
    }
    // It comes to lie in the place that the PASV was in, and is answered at once.
    let command = talk.of_client("NOOP\r\n");
    talk.client_next += command.segment.length;
    assert_eq!(talk.at_once(1, command, talk.of_server(PASSIVE)), [None, None]);
}

#[test]
fn what_is_opened_while_the_client_loses_the_step_does_not_stand() {
    let mut talk = Talk::greeted();
    talk.client("PASV\r\n");
    let mut unseen = talk.of_client("NOOP\r\n");
    unseen.segment.seq += 50;
    assert_eq!(talk.at_once(2, unseen, talk.of_server(PASSIVE)), [None, None]);
}
