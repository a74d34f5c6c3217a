extern crate std;
use std::format;

use super::*;
use crate::counter::Counter;
use crate::flow::tcp;
use crate::segment::{MAX_DEFERRED, SegmentAction};
use crate::sequence::{WINDOW, before};
use crate::talk::Talk;

const PASV_ANSWER: &str = "227 Entering Passive Mode (10,0,1,1,40,1).\r\n";

#[test]
fn early_segments_of_the_client_are_deferred() {
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    assert_eq!(talk.client_bytes(seq.wrapping_add(2), b"SV\r\n"), SegmentAction::Defer);
    assert_eq!(talk.client_bytes(seq, b"PA"), SegmentAction::Parse { skip: 0, compare: 0 });
    assert_eq!(talk.client_bytes(seq, b"PASV\r\n"), SegmentAction::Parse { skip: 0, compare: 2 });
    talk.client_next = seq.wrapping_add(6);
    talk.server(PASV_ANSWER);
    assert_eq!(talk.port(), Some(10241));
    assert_eq!(talk.count(Counter::Desyncs), 0);
}

#[test]
fn repeated_bytes_change_nothing() {
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    talk.client("PASV\r\n");
    talk.client_bytes(seq, b"PASV\r\n");
    talk.client_bytes(seq.wrapping_add(1), b"ASV");
    let seq = talk.server_next;
    talk.server(PASV_ANSWER);
    talk.server_bytes(seq, talk.client_next, PASV_ANSWER.as_bytes());
    assert_eq!(talk.count(Counter::Commands), 1);
    assert_eq!(talk.count(Counter::Replies), 2);
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_long_repeat_is_the_same_when_its_lines_are() {
    let long = format!("RETR {}\r\n", "x".repeat(3 * RECENT));
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    talk.client(&long);
    talk.client_bytes(seq, long.as_bytes());
    assert_eq!(talk.count(Counter::OverlapsDiffer), 0);
    // Another line end far back: other commands.
    let other = long.replacen("xxxx", "x\r\nx", 1);
    talk.client_bytes(seq, other.as_bytes());
    assert_eq!(talk.count(Counter::OverlapsDiffer), 1);
    // A PORT far back: each byte counts, and is not kept any more.
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    let with_port = format!("PORT 10,0,1,2,40,1\r\n{long}");
    talk.client(&with_port);
    talk.client_bytes(seq, with_port.as_bytes());
    assert_eq!(talk.count(Counter::OverlapsDiffer), 1);
}

#[test]
fn other_bytes_in_the_place_of_unacknowledged_ones_desync() {
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    // The server's TCP drops this one (a bad checksum, say), and takes the next.
    talk.client("PORT 10,0,1,2,40,1\r\n");
    talk.client_bytes(seq, b"NOOP AAAAAAAAAAAAA\r\n");
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.count(Counter::OverlapsDiffer), 1);
    assert_eq!(talk.count(Counter::Desyncs), 1);
}

#[test]
fn bytes_that_only_the_receiver_saw_desync() {
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.client_next = talk.client_next.wrapping_add(6);
    talk.server_acknowledges();
    assert_eq!(talk.port(), None);
    let mut talk = Talk::greeted();
    talk.exchange("PASV\r\n", PASV_ANSWER);
    talk.server_next = talk.server_next.wrapping_add(6);
    talk.client_acknowledges();
    assert_eq!(talk.port(), None);
    assert_eq!(talk.count(Counter::Desyncs), 1);
    assert!(!talk.session.is_in_sync());
}

#[test]
fn a_session_out_of_sync_resyncs_after_one_whole_exchange() {
    let mut talk = Talk::greeted();
    talk.client_next = talk.client_next.wrapping_add(6);
    talk.server_acknowledges();
    talk.exchange("NOOP\r\n", "200 OK\r\n"); // ends a line that may have begun unseen
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), None);
    assert_eq!(talk.refusals(), [Counter::RefusedOutOfSync]);
    assert!(talk.session.is_in_sync());
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_session_picked_up_midstream_opens_nothing_until_it_is_in_sync() {
    let mut talk = Talk::midstream();
    talk.server("rest of a line\r\n");
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), None);
    talk.exchange("PORT 10,0,1,2,40,1\r\n", "200 OK\r\n");
    assert_eq!(talk.port(), None);
    // The first PASV may have been the end of a longer line, so its answer counts as unsolicited.
    assert_eq!(talk.refusals(), [Counter::RefusedUnsolicited, Counter::RefusedOutOfSync]);
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), Some(10241));
    assert_eq!(talk.count(Counter::Resyncs), 1);
}

#[test]
fn an_unsolicited_reply_keeps_a_session_out_of_sync() {
    let mut talk = Talk::midstream();
    talk.exchange("x\r\n", "200 y\r\n");
    talk.client("NOOP\r\n");
    talk.server("226 Transfer from before\r\n");
    talk.server("200 NOOP\r\n");
    talk.client_acknowledges();
    talk.exchange("PASV\r\n", PASV_ANSWER);
    assert_eq!(talk.port(), None);
}

#[test]
fn a_reply_that_has_only_begun_keeps_a_session_out_of_sync() {
    let mut talk = Talk::midstream();
    talk.exchange("x\r\n", "200 y\r\n");
    talk.exchange("NOOP\r\n", "200 OK\r\n214-Something else\r\n");
    talk.exchange("PASV\r\n", "214 end\r\n227 (10,0,1,1,40,1)\r\n");
    assert_eq!(talk.port(), None);
    assert_eq!(talk.count(Counter::Resyncs), 0);
}

#[test]
fn an_exchange_is_seen_whole_only_when_nothing_else_is_pending() {
    let mut talk = Talk::midstream();
    talk.exchange("x\r\n", "200 y\r\n");
    talk.client("NOOP\r\nNOOP\r\n");
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.session.server.exchange_seen, 0);
    talk.server("200 NOOP\r\n");
    assert_eq!(talk.session.server.exchange_seen, 1);
    talk.client_acknowledges();
    talk.exchange("NOOP\r\n", "200 NOOP\r\n");
    assert_eq!(talk.session.server.exchange_seen, 0, "it is in sync");
}

#[test]
fn more_commands_than_the_ring_holds_desync() {
    let mut talk = Talk::greeted();
    for _ in 0..RING {
        talk.client("NOOP\r\n");
    }
    assert_eq!(talk.count(Counter::Desyncs), 0);
    talk.client("NOOP\r\n");
    assert_eq!(talk.count(Counter::CommandsOverflow), 1);
    assert!(!talk.session.is_in_sync());
}

#[test]
fn an_early_segment_of_the_server_is_deferred_where_it_can_be() {
    let mut talk = Talk::greeted();
    talk.client("PASV\r\n");
    let (seq, ack) = (talk.server_next, talk.client_next);
    assert_eq!(talk.server_bytes(seq.wrapping_add(4), ack, &PASV_ANSWER.as_bytes()[4..]), SegmentAction::Defer);
    talk.server(PASV_ANSWER);
    assert_eq!(talk.port(), Some(10241));
}

#[test]
fn a_stream_of_early_segments_ends_in_a_desync_and_not_in_a_stuck_connection() {
    let mut talk = Talk::greeted();
    let seq = talk.client_next.wrapping_add(10);
    for _ in 0..MAX_DEFERRED {
        assert_eq!(talk.client_bytes(seq, b"NOOP\r\n"), SegmentAction::Defer);
    }
    assert_eq!(talk.client_bytes(seq, b"NOOP\r\n"), SegmentAction::Ignore);
    assert!(!talk.session.is_in_sync());
}

#[test]
fn blind_segments_change_nothing() {
    let mut talk = Talk::greeted();
    let before = talk.session;
    let (client, server) = (talk.client_next, talk.server_next);
    for segment in [
        Segment { seq: client.wrapping_add(WINDOW + 1), ..talk.client_segment(6) },
        Segment { seq: client.wrapping_sub(WINDOW + 1), ..talk.client_segment(6) },
        Segment { ack: server.wrapping_add(WINDOW + 1), ..talk.client_segment(6) },
        Segment { ack: server.wrapping_sub(WINDOW + 1), ..talk.client_segment(6) },
        Segment { flags: 0, ..talk.client_segment(6) },
        Segment {
            seq: client.wrapping_sub(6),
            hides_a_byte: true,
            flags: tcp::ACK | tcp::URG,
            ..talk.client_segment(6)
        },
    ] {
        let Session { client, server, .. } = &mut talk.session;
        server.acked = client.next; // all of it is old to the server
        assert_eq!(
            client.receive(server, &segment, talk.now, true, &mut talk.counts),
            SegmentAction::Ignore,
            "{segment:?}"
        );
        assert_eq!(talk.session, before, "{segment:?}");
    }
    for segment in [
        Segment { seq: server.wrapping_add(WINDOW + 1), ..talk.server_segment(6) },
        Segment { ack: client.wrapping_add(WINDOW + 1), ..talk.server_segment(6) },
        Segment { ack: client.wrapping_add(WINDOW + 1), ..talk.server_segment(0) },
    ] {
        let Session { client, server, .. } = &mut talk.session;
        assert_eq!(
            server.receive(client, &segment, true, false, &mut talk.counts),
            SegmentAction::Ignore,
            "{segment:?}"
        );
        assert_eq!(talk.session, before, "{segment:?}");
    }
    let reset = Segment { seq: client.wrapping_add(1), flags: tcp::RST, ..Segment::default() };
    assert!(!talk.session.client_resets(&reset));
    assert!(talk.session.client_resets(&Segment { seq: client, ..reset }));
}

#[test]
fn an_early_fin_is_deferred_like_an_early_byte() {
    let mut talk = Talk::greeted();
    let fin = Segment { flags: tcp::FIN | tcp::ACK, ..talk.client_segment(0) };
    let early = Segment { seq: talk.client_next.wrapping_add(6), ..fin };
    let Session { client, server, .. } = &mut talk.session;
    assert_eq!(client.receive(server, &early, talk.now, true, &mut talk.counts), SegmentAction::Defer);
}

#[test]
fn an_urgent_byte_that_the_server_may_not_read_desyncs() {
    let mut talk = Talk::greeted();
    let segment = Segment { hides_a_byte: true, flags: tcp::ACK | tcp::URG, ..talk.client_segment(6) };
    let Session { client, server, .. } = &mut talk.session;
    assert_eq!(client.receive(server, &segment, talk.now, true, &mut talk.counts), SegmentAction::Ignore);
    assert_eq!(talk.count(Counter::UrgentData), 1);
    assert!(!talk.session.is_in_sync());
    let mut talk = Talk::greeted();
    let blind = Segment { seq: talk.client_next.wrapping_add(WINDOW + 1), ..segment };
    let Session { client, server, .. } = &mut talk.session;
    assert_eq!(client.receive(server, &blind, talk.now, true, &mut talk.counts), SegmentAction::Ignore);
    assert!(talk.session.is_in_sync());
}

#[test]
fn a_session_is_closed_when_both_fins_are_acknowledged() {
    let mut talk = Talk::greeted();
    talk.server_fin();
    talk.server_next = talk.server_next.wrapping_add(1);
    talk.client_acknowledges();
    assert!(!talk.session.is_closed());
    talk.client_fin();
    talk.client_next = talk.client_next.wrapping_add(1);
    assert!(!talk.session.is_closed());
    talk.server_acknowledges();
    assert!(talk.session.is_closed());
}

#[test]
fn every_way_of_cutting_gives_the_same_expectation() {
    let commands = "USER a\r\nPASV\r\nPORT 10,0,1,2,40,2\r\n";
    let replies = "331 b\r\n227-x\r\n227 (10,0,1,1,40,1)\r\n200 OK\r\n";
    for cut in 1..commands.len().max(replies.len()) {
        let mut talk = Talk::greeted();
        for piece in commands.as_bytes().chunks(cut) {
            talk.client(core::str::from_utf8(piece).unwrap());
        }
        for piece in replies.as_bytes().chunks(cut) {
            talk.server(core::str::from_utf8(piece).unwrap());
        }
        assert_eq!(talk.port(), Some(10242), "pieces of {cut}");
        assert_eq!(talk.count(Counter::Commands), 3);
        assert_eq!(talk.count(Counter::Replies), 4);
    }
}

#[test]
fn bytes_in_the_place_of_a_fin_desync() {
    let mut talk = Talk::greeted();
    talk.client("PASV\r\n");
    talk.server("227 (10,0,1,1,40,1");
    talk.server_fin();
    talk.server("27 Entering Passive Mode (10,0,1,1,58,152).\r\n");
    assert_eq!((talk.count(Counter::Desyncs), talk.session.server.fin, talk.port()), (1, 0, None));

    let mut talk = Talk::greeted();
    talk.client("PA");
    talk.client_fin();
    assert_eq!(talk.client("SV\r\n"), SegmentAction::Ignore);
    assert_eq!((talk.count(Counter::Desyncs), talk.session.client.fin), (1, 0));
    // The FIN itself, and what stands before it, may come again.
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    talk.client("QUIT\r\n");
    talk.client_fin();
    talk.client_bytes(seq, b"QUIT\r\n");
    assert_eq!((talk.count(Counter::Desyncs), talk.session.client.fin), (0, 1));
}

#[test]
fn bytes_kept_by_words_are_those_kept_one_by_one() {
    let text: std::vec::Vec<u8> = (0..=255).cycle().take(40).collect();
    for first in [0u32, 3, 8, 125, u32::MAX - 5] {
        for length in 1..=text.len() {
            let (mut by_byte, mut by_word) = (ClientState::default(), ClientState::default());
            (by_byte.recent, by_word.recent) =
                ([0x5555_5555_5555_5555; RECENT / 8], [0x5555_5555_5555_5555; RECENT / 8]);
            let end = first.wrapping_add(length as u32);
            for (i, byte) in text[..length].iter().enumerate() {
                by_byte.remember(first.wrapping_add(i as u32), *byte);
            }
            let mut position = first & !7;
            while before(position, end) {
                let mut bytes = by_word.remembered_word(position).to_ne_bytes();
                for (i, byte) in bytes.iter_mut().enumerate() {
                    let at = position.wrapping_add(i as u32).wrapping_sub(first) as usize;
                    *byte = if at < length {
                        text[at]
                    } else if position == first & !7 {
                        *byte
                    } else {
                        0xaa
                    };
                }
                by_word.remember_word(position, u64::from_ne_bytes(bytes), end.wrapping_sub(position));
                position = position.wrapping_add(8);
            }
            assert_eq!(by_word.recent, by_byte.recent, "{length} bytes from {first} on");
        }
    }
}

#[test]
fn an_expectation_stands_while_its_session_has_it_and_is_sure_of_it() {
    let mut session = Session { session_id: 3, ..Session::default() };
    session.server.serial = 7;
    session.server.standing.mode = 1;
    (session.client.desyncs, session.server.resynced_for) = (2, 2);
    assert!(session.stands(3, 7));
    assert!(!session.stands(4, 7), "another session");
    assert!(!session.stands(3, 6), "an earlier expectation");
    let mut withdrawn = session;
    withdrawn.server.standing.mode = 0;
    assert!(!withdrawn.stands(3, 7));
    session.client.desyncs = 3;
    assert!(!session.stands(3, 7), "it has lost synchronization since");
}

#[test]
fn what_was_learned_stands_while_the_encrypted_session_lives() {
    let mut session = Session { session_id: 7, ..Session::default() };
    session.server.opaque = opaque::ENCRYPTED;
    assert!(session.stands(7, LEARNED));
    assert!(!session.stands(8, LEARNED), "another session");
    session.server.opaque = opaque::MULTIPATH;
    assert!(!session.stands(7, LEARNED), "it is not encrypted");
    session.server = ServerState { opaque: opaque::ENCRYPTED, fin: 1, ..ServerState::default() };
    assert!(!session.stands(7, LEARNED), "it ends");
}
