//! How a session ends: resets and FINs, and where they count.

use super::*;
use crate::sequence::WINDOW;
use crate::session::{ClientState, ServerState, decision};
use crate::talk::Talk;

fn reset(seq: u32) -> Segment {
    Segment { seq, flags: tcp::RST, ..Segment::default() }
}

/// A session in which the client has sent a line that the server did not take (a bad checksum, say): positions
/// behind what was taken, and behind what was read.
fn one_line_not_taken() -> (Talk, u32, u32) {
    let mut talk = Talk::greeted();
    talk.exchange("NOOP\r\n", "200 OK\r\n");
    let taken = talk.client_next;
    talk.client("QUIT\r\n");
    let read = talk.client_next;
    (talk, taken, read)
}

#[test]
fn a_clients_reset_counts_between_what_the_server_acknowledged_and_what_was_read() {
    let (mut talk, taken, read) = one_line_not_taken();
    for seq in [taken, taken + 1, read] {
        assert!(talk.session.client_resets(&reset(seq)), "{seq}");
        assert!(!talk.session.client_resets(&Segment { flags: tcp::ACK | tcp::FIN, ..reset(seq) }), "no reset");
    }
    for seq in [taken - 1, read + 1, taken.wrapping_sub(1 << 30), read + (1 << 30)] {
        assert!(!talk.session.client_resets(&reset(seq)), "{seq}");
    }
    talk.server_acknowledges();
    assert!(!talk.session.client_resets(&reset(taken)));
    assert!(talk.session.client_resets(&reset(read)));
}

#[test]
fn a_clients_reset_counts_anywhere_near_while_no_position_is_certain() {
    let near = |talk: &Talk| {
        let acked = talk.session.server.acked;
        for seq in [acked.wrapping_sub(WINDOW), acked, acked.wrapping_add(WINDOW)] {
            assert!(talk.session.client_resets(&reset(seq)), "{seq}");
        }
        for seq in [acked.wrapping_sub(WINDOW + 1), acked.wrapping_add(WINDOW + 1)] {
            assert!(!talk.session.client_resets(&reset(seq)), "{seq}");
        }
    };
    let mut talk = Talk::greeted();
    talk.session.client.desync(&mut talk.counts);
    near(&talk);
    talk.server_acknowledges();
    near(&talk); // the server's state has resynchronized, the client's has not
    talk.client_acknowledges();
    assert!(talk.session.client_resets(&reset(talk.client_next)));
    assert!(!talk.session.client_resets(&reset(talk.client_next.wrapping_sub(1))));
}

#[test]
fn a_servers_reset_counts_from_this_host_anywhere_and_else_where_tcp_takes_it() {
    let mut talk = Talk::greeted();
    talk.client_acknowledges();
    let taken = talk.server_next;
    talk.server("421 Timeout\r\n");
    let read = talk.server_next;
    for seq in [taken, read] {
        assert!(talk.session.server_resets(&reset(seq), false), "{seq}");
    }
    for seq in [taken.wrapping_sub(1), taken.wrapping_add(1), read.wrapping_add(1), read.wrapping_add(1 << 30)] {
        assert!(!talk.session.server_resets(&reset(seq), false), "{seq}");
        assert!(talk.session.server_resets(&reset(seq), true), "{seq}");
    }
    assert!(!talk.session.server_resets(&Segment { flags: tcp::ACK, ..reset(read) }, true));
}

#[test]
fn a_clients_fin_counts_in_front_of_bytes_that_the_server_did_not_take() {
    let (mut talk, taken, read) = one_line_not_taken();
    talk.client_next = taken;
    talk.client_fin();
    assert_eq!((talk.session.client.fin, talk.session.client.fin_end), (1, taken + 1));
    assert_eq!(talk.session.client.next, read, "what was read stays read");
    talk.client_next = read;
    talk.client_fin();
    assert_eq!(talk.session.client.fin_end, taken + 1, "the first stays");
    // The server has taken it, and closes too.
    talk.client_next = taken + 1;
    talk.server_acknowledges();
    assert!(!talk.session.is_closed());
    talk.server_fin();
    talk.server_next = talk.server_next.wrapping_add(1);
    talk.client_acknowledges();
    assert!(talk.session.is_closed());
}

#[test]
fn a_clients_fin_counts_nowhere_else() {
    let (talk, taken, read) = one_line_not_taken();
    let good = Segment { seq: read, flags: tcp::FIN | tcp::ACK, ..talk.client_segment(0) };
    let fin_of = |segment: Segment| {
        let mut session = talk.session;
        session.finish_client(&segment);
        session.client.fin
    };
    assert_eq!(fin_of(good), 1);
    assert_eq!(fin_of(Segment { seq: taken, length: read - taken, ..good }), 1, "behind payload");
    for segment in [
        Segment { seq: taken - 1, ..good },
        Segment { seq: read + 1, ..good },
        Segment { length: 1, ..good },
        Segment { flags: tcp::ACK, ..good },
        Segment { flags: tcp::FIN, ..good },
        Segment { ack: good.ack.wrapping_add(1), ..good },
        Segment { ack: good.ack.wrapping_sub(WINDOW + 1), ..good },
    ] {
        assert_eq!(fin_of(segment), 0, "{segment:?}");
    }
    let mut lost = talk.session;
    lost.client.desyncs += 1;
    lost.finish_client(&good);
    assert_eq!(lost.client.fin, 0, "no position is certain");
    let mut lost = talk.session;
    lost.server.resync_epoch += 1;
    lost.finish_client(&good);
    assert_eq!(lost.client.fin, 0, "it has not followed the resync");
}

#[test]
fn a_fin_notes_what_it_acknowledges_and_takes_a_position() {
    let mut talk = Talk::greeted();
    talk.server("421 Timeout\r\n");
    assert_ne!(talk.session.client.acked, talk.server_next);
    talk.client_fin();
    assert_eq!(talk.session.client.acked, talk.server_next);
    assert_eq!(talk.session.client.next, talk.client_next.wrapping_add(1));
    let older = Segment { ack: talk.server_next.wrapping_sub(3), ..talk.client_segment(0) };
    talk.session.finish_client(&older);
    assert_eq!(talk.session.client.acked, talk.server_next, "an older segment takes nothing back");
    talk.server_fin();
    assert_eq!(talk.session.server.next, talk.server_next.wrapping_add(1));
}

#[test]
fn a_servers_fin_counts_between_what_the_client_acknowledged_and_what_was_read() {
    let mut talk = Talk::greeted();
    talk.client_acknowledges();
    let taken = talk.server_next;
    talk.server("421 Timeout\r\n");
    let read = talk.server_next;
    let good = Segment { flags: tcp::FIN | tcp::ACK, ..talk.server_segment(0) };
    let after = |segment: Segment| {
        let Session { client, mut server, .. } = talk.session;
        server.finish(&client, &segment);
        (server.fin, server.decision, server.next)
    };
    let open = (0, decision::KEEP, read);
    assert_eq!(after(good), (1, decision::WITHDRAW, read.wrapping_add(1)));
    assert_eq!(after(Segment { seq: taken, ..good }), (1, decision::WITHDRAW, read));
    assert_eq!(after(Segment { seq: taken.wrapping_sub(1), ..good }), open);
    assert_eq!(after(Segment { seq: read.wrapping_add(1), ..good }), open);
    assert_eq!(after(Segment { length: 1, ..good }), open);
    assert_eq!(after(Segment { flags: tcp::ACK, ..good }), open);
    // The first stays.
    let Session { client, server, .. } = &mut talk.session;
    server.finish(client, &Segment { seq: taken, ..good });
    server.finish(client, &good);
    assert_eq!(server.fin_end, taken.wrapping_add(1));
}

#[test]
fn a_session_is_closed_when_each_end_has_sent_fin_and_knows_of_the_others() {
    let client = ClientState { fin: 1, fin_end: 10, acked: 20, ..ClientState::default() };
    let server = ServerState { fin: 1, fin_end: 20, acked: 10, ..ServerState::default() };
    let closed = Session { client, server, ..Session::default() };
    assert!(closed.is_closed());
    let with = |change: fn(&mut Session)| {
        let mut session = closed;
        change(&mut session);
        session.is_closed()
    };
    assert!(with(|session| session.client.acked = 21));
    assert!(with(|session| session.server.acked = 11));
    assert!(!with(|session| session.client.fin = 0));
    assert!(!with(|session| session.server.fin = 0));
    assert!(!with(|session| session.client.acked = 19));
    assert!(!with(|session| session.server.acked = 9));
}

#[test]
fn a_session_is_alive_until_its_server_closes_but_ten_seconds_only_if_that_sends_nothing() {
    assert_eq!(UNCONFIRMED, 10_000_000_000);
    let silent = Session { since: 5, ..Session::default() };
    assert!(silent.is_alive(5 + UNCONFIRMED - 1));
    assert!(!silent.is_alive(5 + UNCONFIRMED));
    assert!(silent.is_alive(1), "begun on another CPU, whose clock is ahead");
    let mut talking = silent;
    talking.server.confirmed = 1;
    assert!(talking.is_alive(u64::MAX));
    talking.client.fin = 1;
    assert!(talking.is_alive(u64::MAX), "the server may go on sending");
    talking.server.fin = 1;
    assert!(!talking.is_alive(5));
}
