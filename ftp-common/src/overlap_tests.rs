//! Bytes that a client sends again: what is skipped, what is compared, and with what.

extern crate std;
use std::format;

use super::*;
use crate::segment::Segment;
use crate::session::Session;
use crate::talk::Talk;

/// A session whose client has sent twenty bytes, of which the server has acknowledged so many; and where they begin.
fn talk(acknowledged: u32) -> (Talk, u32) {
    let mut talk = Talk::greeted();
    let first = talk.client_next;
    talk.client("NOOP 567890123456\r\n\r");
    assert_eq!(talk.client_next.wrapping_sub(first), 20);
    talk.session.server.acked = first.wrapping_add(acknowledged);
    (talk, first)
}

#[test]
fn what_is_acknowledged_is_skipped_and_the_rest_of_what_was_read_compared() {
    for (acknowledged, from, length, expected) in [
        (0, 0, 20, Some((0, 20))),
        (0, 0, 21, Some((0, 20))),
        (0, 5, 10, Some((0, 10))),
        (5, 0, 20, Some((5, 15))),
        (5, 0, 30, Some((5, 15))),
        (5, 4, 16, Some((1, 15))),
        (5, 5, 15, Some((0, 15))),
        (5, 7, 4, Some((0, 4))),
        (5, 0, 6, Some((5, 1))),
        (5, 0, 5, None),
        (5, 1, 3, None),
        (20, 0, 20, None),
        (20, 0, 21, Some((20, 0))),
        (20, 19, 2, Some((1, 0))),
    ] {
        let (talk, first) = talk(acknowledged);
        let segment = Segment { seq: first.wrapping_add(from), ..talk.client_segment(length) };
        let Session { client, server, .. } = talk.session;
        let expected = expected.map_or(SegmentAction::Ignore, |(skip, compare)| SegmentAction::Parse { skip, compare });
        assert_eq!(client.repeated(&server, &segment), expected, "{acknowledged} of 20: {length} from {from}");
    }
}

#[test]
fn a_byte_belongs_to_the_line_that_ends_behind_it() {
    let mut talk = Talk::greeted();
    let begin = talk.client_next;
    talk.client("NOOP\r\nPORT 10,0,1,2,40,1\r\nPASV\r\nRET");
    let line = |position: u32| {
        let line = talk.session.client.line_at(talk.session.server.tail, begin.wrapping_add(position));
        (line.end.wrapping_sub(begin), line.ended, line.exact)
    };
    assert_eq!((line(0), line(5)), ((6, 1, 0), (6, 1, 0)));
    assert_eq!((line(6), line(25)), ((26, 1, 1), (26, 1, 1)), "a PORT: each byte counts");
    assert_eq!((line(26), line(31)), ((32, 1, 0), (32, 1, 0)));
    assert_eq!(line(32), (35, 0, 0), "the line that has not ended");
}

#[test]
fn in_an_unfinished_port_each_byte_counts() {
    let mut talk = Talk::greeted();
    let begin = talk.client_next;
    talk.client("PORT 10,0");
    let line = talk.session.client.line_at(talk.session.server.tail, begin);
    assert_eq!((line.end, line.ended, line.exact), (talk.client_next, 0, 1));
}

#[test]
fn answered_commands_are_no_lines_any_more_and_the_newest_of_a_full_ring_is_one() {
    let mut talk = Talk::greeted();
    talk.exchange("PORT 10,0,1,2,40,1\r\n", "200 OK\r\n");
    let begin = talk.client_next;
    let line = talk.session.client.line_at(talk.session.server.tail, begin.wrapping_sub(1));
    assert_eq!((line.end, line.ended), (begin, 0));
    for _ in 1..RING {
        talk.client("NOOP\r\n");
    }
    talk.client("EPRT |1|10.0.1.2|10241|\r\n");
    let line = talk.session.client.line_at(talk.session.server.tail, talk.client_next.wrapping_sub(1));
    assert_eq!((line.end, line.ended, line.exact), (talk.client_next, 1, 1));
}

#[test]
fn a_port_parsed_out_of_sync_is_one_too() {
    let mut talk = Talk::greeted();
    talk.session.client.synced = 0;
    let begin = talk.client_next;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    assert_eq!(talk.session.client.line_at(talk.session.server.tail, begin).exact, 1);
}

#[test]
fn the_last_bytes_are_compared_as_they_are_and_older_ones_by_their_lines() {
    let mut client = ClientState { next: 1000, ..ClientState::default() };
    let recent = 1000 - RECENT as u32;
    client.remember(recent, b'a');
    let line = Line { end: 900, ended: 1, exact: 0, zero: 0 };
    for line in [line, Line { exact: 1, ..line }, Line { ended: 0, ..line }] {
        assert!(client.is_same(&line, recent, b'a') && !client.is_same(&line, recent, b'b'));
    }
    let open = Line { end: 860, ended: 0, exact: 0, zero: 0 };
    let line = Line { end: 860, ended: 1, exact: 0, zero: 0 };
    client.remember(859, b'a');
    for (line, position, byte, same) in [
        (line, 859, b'\n', true),
        (line, 859, b'a', false),
        (line, 858, b'\n', false),
        (line, 858, b'x', true),
        (Line { exact: 1, ..line }, 859, b'\n', false),
        (Line { exact: 1, ..line }, 858, b'x', false),
        (open, 859, b'\n', false),
        (open, 859, b'a', true),
    ] {
        assert_eq!(client.is_same(&line, position, byte), same, "{line:?} {position} {byte}");
    }
}

#[test]
fn each_byte_of_the_last_ones_has_its_own_place() {
    let mut client = ClientState::default();
    let first = u32::MAX - 20;
    for i in 0..RECENT as u32 {
        client.remember(first.wrapping_add(i), i as u8);
    }
    for i in 0..RECENT as u32 {
        assert_eq!(client.remembered(first.wrapping_add(i)), i as u8);
    }
}

#[test]
fn other_bytes_count_and_desync() {
    let mut talk = Talk::greeted();
    let seq = talk.client_next;
    let command = format!("RETR {}\r\n", "x".repeat(20));
    talk.client(&command);
    talk.client_bytes(seq, command.replace("xx", "xy").as_bytes());
    assert_eq!((talk.count(Counter::OverlapsDiffer), talk.count(Counter::Desyncs)), (1, 1));
    assert!(!talk.session.is_in_sync());
}
