//! Opaque sessions: only positions and ends are followed, and whatever was lost, came early or had a bad checksum
//! before the filter, the real end is seen.

use super::*;
use crate::sequence::WINDOW;
use crate::session::{decision, opaque};
use crate::talk::Talk;

const FIN: u8 = tcp::FIN | tcp::ACK;

/// An encrypted session.
struct Opaque(Talk);

impl Opaque {
    fn new() -> Self {
        let mut talk = Talk::greeted();
        talk.exchange("AUTH TLS\r\n", "234 Go on\r\n");
        assert_eq!(talk.session.server.opaque, opaque::ENCRYPTED);
        Self(talk)
    }

    /// A segment of the client, so far behind what it has sent, passes.
    fn client(&mut self, ahead: i32, length: u32, flags: u8) {
        let segment = self.0.client_segment(length);
        let segment = Segment { seq: segment.seq.wrapping_add_signed(ahead), flags, ..segment };
        self.0.session.client.follow(&self.0.session.server, &segment);
    }

    /// A segment of the server, likewise.
    fn server(&mut self, ahead: i32, length: u32, flags: u8, trusted: bool) {
        let segment = self.0.server_segment(length);
        let segment = Segment { seq: segment.seq.wrapping_add_signed(ahead), flags, ..segment };
        self.0.session.server.follow(&self.0.session.client, &segment, trusted);
    }

    /// The client has sent so many bytes, whether the filter saw them or not.
    fn client_sent(&mut self, bytes: u32) {
        self.0.client_next = self.0.client_next.wrapping_add(bytes);
    }

    fn server_sent(&mut self, bytes: u32) {
        self.0.server_next = self.0.server_next.wrapping_add(bytes);
    }

    fn client_resets(&self) -> bool {
        let reset = Segment { seq: self.0.client_next, flags: tcp::RST, ..Segment::default() };
        self.0.session.client_resets(&reset)
    }

    fn fins(&self) -> (u8, u8) {
        (self.0.session.client.fin, self.0.session.server.fin)
    }
}

#[test]
fn both_ends_are_followed_to_the_close() {
    let mut talk = Opaque::new();
    talk.client(0, 40, tcp::ACK);
    talk.client_sent(40);
    talk.server(0, 90, tcp::ACK, false);
    talk.server_sent(90);
    talk.client(0, 0, FIN);
    talk.client_sent(1);
    assert_eq!(talk.fins(), (1, 0));
    talk.server(0, 0, FIN, false);
    talk.server_sent(1);
    assert_eq!(talk.fins(), (1, 1));
    assert!(!talk.0.session.is_closed(), "the client has not acknowledged it");
    talk.client(0, 0, tcp::ACK);
    assert!(talk.0.session.is_closed());
}

#[test]
fn a_segment_of_the_client_that_was_not_seen_hides_no_end() {
    // Lost before the filter, which sees only that the server has it.
    let mut talk = Opaque::new();
    talk.client_sent(40);
    assert!(!talk.client_resets());
    talk.server(0, 0, tcp::ACK, false);
    assert!(talk.client_resets());
    talk.client(0, 0, FIN);
    assert_eq!(talk.fins(), (1, 0));
    // The segment behind it tells of it as well.
    let mut talk = Opaque::new();
    talk.client(40, 10, tcp::ACK);
    talk.client_sent(50);
    assert!(talk.client_resets());
    talk.client(0, 0, FIN);
    assert_eq!(talk.fins(), (1, 0));
}

#[test]
fn segments_of_the_client_in_another_order_hide_no_end() {
    let mut talk = Opaque::new();
    talk.client(40, 10, tcp::ACK);
    talk.client(0, 40, tcp::ACK);
    talk.client_sent(50);
    assert_eq!(talk.0.session.client.next, talk.0.client_next);
    assert!(talk.client_resets());
    // The FIN itself comes early, and then what stands before it.
    talk.client(5, 0, FIN);
    talk.client(0, 5, tcp::ACK);
    assert_eq!(talk.fins(), (1, 0));
    assert_eq!(talk.0.session.client.fin_end, talk.0.client_next.wrapping_add(6));
}

#[test]
fn bytes_with_a_bad_checksum_hide_no_end() {
    let mut talk = Opaque::new();
    talk.client(0, 100, tcp::ACK); // the server's TCP drops it
    assert!(talk.client_resets(), "it is there that the client goes on");
    talk.client(0, 0, FIN);
    assert_eq!(talk.fins(), (1, 0));
    // A FIN with a bad checksum: what comes in its place shows that it was none.
    let mut talk = Opaque::new();
    talk.client(0, 0, FIN);
    talk.client(0, 30, tcp::ACK);
    assert_eq!(talk.fins(), (0, 0));
    talk.client_sent(30);
    talk.client(0, 0, FIN);
    assert_eq!(talk.0.session.client.fin_end, talk.0.client_next.wrapping_add(1));
    // The FIN comes again, with the bytes before it.
    talk.client(-30, 30, FIN);
    assert_eq!(talk.fins(), (1, 0));
}

#[test]
fn a_client_moves_no_position_from_afar_or_beyond_what_the_server_has_sent() {
    let mut talk = Opaque::new();
    let next = talk.0.session.client.next;
    talk.client(WINDOW as i32 + 1, 1, tcp::ACK);
    assert_eq!(talk.0.session.client.next, next);
    talk.client(WINDOW as i32, 1, tcp::ACK);
    assert_eq!(talk.0.session.client.next, next.wrapping_add(WINDOW + 1));
    let mut talk = Opaque::new();
    talk.server_sent(1);
    talk.client(0, 1, FIN);
    assert_eq!((talk.0.session.client.next, talk.fins()), (next, (0, 0)));
}

#[test]
fn a_segment_of_the_server_that_was_not_seen_hides_no_end() {
    let mut talk = Opaque::new();
    talk.server_sent(40);
    talk.server(0, 0, FIN, false);
    assert_eq!(talk.fins(), (0, 1), "lost before the filter");
    assert_eq!(talk.0.session.server.decision, decision::WITHDRAW);
    let mut talk = Opaque::new();
    talk.server(40, 10, tcp::ACK, false);
    talk.server(0, 40, tcp::ACK, false);
    talk.server_sent(50);
    assert_eq!(talk.0.session.server.next, talk.0.server_next, "in another order");
    talk.server(0, 0, FIN, false);
    talk.server(-1, 1, FIN, false);
    assert_eq!(talk.fins(), (0, 1), "with the byte before it, again");
    assert_eq!(talk.0.session.server.fin_end, talk.0.server_next.wrapping_add(1));
    talk.server(0, 30, tcp::ACK, false);
    assert_eq!(talk.fins(), (0, 0), "bytes in its place");
}

#[test]
fn only_this_hosts_own_tcp_moves_the_servers_position_from_afar() {
    let far = WINDOW as i32 + 1;
    for ahead in [far, -far] {
        let mut talk = Opaque::new();
        let before = talk.0.session;
        talk.client_sent(1);
        talk.server(ahead, 1, FIN, false);
        assert_eq!(talk.0.session, before);
        talk.server(ahead, 1, FIN, true);
        assert_eq!(talk.0.session.server.acked, talk.0.client_next);
        let end = talk.0.server_next.wrapping_add_signed(ahead).wrapping_add(1);
        assert!([end, end.wrapping_add(1)].contains(&talk.0.session.server.next));
    }
}

/// The server's packet that picks a session up in the middle; positions whose distance from 0 is a long one.
fn midstream(length: u32, flags: u8) -> Segment {
    Segment { seq: 0x9000_0000, ack: 0xa000_0000, length, flags, hides_a_byte: false }
}

#[test]
fn a_session_that_was_picked_up_midstream_and_is_opaque_at_once_is_followed_too() {
    let first = midstream(10, tcp::ACK);
    let mut session = Session::default();
    session.pick_up_midstream(1, 1, &first);
    session.server.opaque = opaque::ENCRYPTED;
    session.server.follow(&session.client, &first, false);
    let closes = Segment { seq: first.ack, ack: first.end(), flags: FIN, ..Segment::default() };
    session.client.follow(&session.server, &closes);
    assert_eq!((session.client.fin, session.client.acked), (1, first.end()));
    assert!(session.client_resets(&Segment { flags: tcp::RST, ..closes }));
}

#[test]
fn the_packet_that_a_session_is_picked_up_at_may_be_the_servers_last() {
    let last = midstream(10, FIN);
    let mut session = Session::default();
    session.pick_up_midstream(1, 1, &last);
    session.server.next = last.end(); // parsed
    session.server.finish(&session.client, &last);
    assert_eq!(session.server.fin, 1);
    assert!(!session.is_alive(1));
}

#[test]
fn what_the_server_acknowledges_only_grows() {
    let mut talk = Opaque::new();
    talk.client_sent(40);
    talk.server(0, 0, tcp::ACK, false);
    talk.client_sent(0u32.wrapping_sub(40));
    talk.server(0, 0, tcp::ACK, false);
    assert_eq!(talk.0.session.server.acked, talk.0.client_next.wrapping_add(40));
}
