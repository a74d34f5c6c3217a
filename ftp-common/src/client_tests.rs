//! The client's direction: which segments are read, what a line becomes in the ring, and when it is in sync again.

extern crate std;
use std::{format, vec::Vec};

use super::*;
use crate::SECOND;
use crate::flow::tcp::{ACK, FIN, URG};
use crate::session::Session;
use crate::talk::{CLIENT, Talk, address};

const PARSE: SegmentAction = SegmentAction::Parse { skip: 0, compare: 0 };

/// What the client's state decides on a segment, and how often it has lost synchronization by then.
fn decides(talk: &Talk, segment: &Segment, may_defer: bool) -> (SegmentAction, u32) {
    let (mut counts, Session { mut client, server, .. }) = (Counts::default(), talk.session);
    let action = client.receive(&server, segment, talk.now, may_defer, &mut counts);
    assert_eq!(u32::from(counts.raised[Counter::Desyncs as usize]), client.desyncs - talk.session.client.desyncs);
    (action, client.desyncs)
}

#[test]
fn what_is_early_is_deferred_where_that_is_possible_and_else_desyncs() {
    let talk = Talk::greeted();
    let segment = talk.client_segment(6);
    let early = Segment { seq: segment.seq.wrapping_add(2), ..segment };
    assert_eq!(decides(&talk, &segment, true), (PARSE, 0));
    assert_eq!(decides(&talk, &early, true), (SegmentAction::Defer, 0));
    assert_eq!(decides(&talk, &early, false), (SegmentAction::Ignore, 1));
    let mut out_of_sync = Talk::greeted();
    out_of_sync.session.client.synced = 0;
    assert_eq!(decides(&out_of_sync, &early, true), (SegmentAction::Ignore, 1), "nothing is lost by reading on");
    assert_eq!(decides(&out_of_sync, &segment, true), (PARSE, 0));
}

#[test]
fn a_segment_in_order_makes_the_number_deferred_in_a_row_begin_anew() {
    let mut talk = Talk::greeted();
    let Session { client, server, .. } = &mut talk.session;
    client.deferred = MAX_DEFERRED - 1;
    let segment = Segment { seq: client.next, ack: server.next, length: 6, flags: ACK, hides_a_byte: false };
    let early = Segment { seq: segment.seq.wrapping_add(2), ..segment };
    assert_eq!(client.receive(server, &early, talk.now, true, &mut talk.counts), SegmentAction::Defer);
    assert_eq!(client.deferred, MAX_DEFERRED);
    assert_eq!(client.receive(server, &segment, talk.now, true, &mut talk.counts), PARSE);
    assert_eq!(client.deferred, 0);
}

#[test]
fn what_acknowledges_bytes_of_the_server_that_were_not_seen_desyncs_only_in_its_place() {
    let talk = Talk::greeted();
    let segment = talk.client_segment(6);
    let unseen = Segment { ack: segment.ack.wrapping_add(1), ..segment };
    assert_eq!(decides(&talk, &unseen, true), (SegmentAction::Ignore, 1));
    let repeated = Segment { seq: unseen.seq.wrapping_sub(3), ..unseen };
    assert_eq!(decides(&talk, &repeated, true), (SegmentAction::Ignore, 0));
    let seen = Segment { ack: segment.ack, ..repeated };
    assert_eq!(decides(&talk, &seen, true), (SegmentAction::Parse { skip: 3, compare: 0 }, 0));
}

#[test]
fn an_empty_segment_is_not_read_unless_it_closes_or_hides_a_byte_of_the_next() {
    let talk = Talk::greeted();
    let empty = talk.client_segment(0);
    assert_eq!(decides(&talk, &empty, true), (SegmentAction::Ignore, 0));
    assert_eq!(decides(&talk, &Segment { flags: ACK | FIN, ..empty }, true), (PARSE, 0));
    let urgent = Segment { flags: ACK | URG, hides_a_byte: true, ..empty };
    assert_eq!(decides(&talk, &urgent, true), (SegmentAction::Ignore, 1));
    for seq in [empty.seq.wrapping_add(1), empty.seq.wrapping_sub(1)] {
        assert_eq!(decides(&talk, &Segment { seq, ..urgent }, true), (SegmentAction::Ignore, 0));
    }
}

#[test]
fn nothing_is_read_between_a_desync_and_the_servers_next_packet() {
    let mut talk = Talk::greeted();
    talk.session.client.desync(&mut talk.counts);
    let before = talk.session;
    assert_eq!(talk.client("PASV\r\n"), SegmentAction::Ignore);
    assert_eq!(talk.session, before);
    talk.server("");
    assert_eq!(talk.client("x\r\n"), PARSE);
    let client = &talk.session.client;
    assert_eq!(client.resync_epoch, talk.session.server.resync_epoch);
    assert_eq!((client.next, client.synced, talk.session.pending()), (talk.client_next, 0, 0));
}

#[test]
fn a_resync_forgets_what_was_known_of_the_stream() {
    let mut talk = Talk::greeted();
    talk.client("NOOP\r\n");
    talk.session.client.deferred = 5;
    talk.session.client.fin = 1;
    talk.client_next = talk.client_next.wrapping_add(9);
    talk.server("200 x\r\n");
    let server = talk.session.server;
    assert_eq!(talk.client("T\r\n"), PARSE);
    let client = &talk.session.client;
    assert_eq!((client.synced, client.deferred, client.fin, client.acked), (0, 0, 0, talk.server_next));
    assert_eq!((client.reply_batch, client.reply_batch_from), (server.finals, server.resync_seq));
    assert_eq!(client.head, server.tail, "the line that had begun unseen is none");
}

#[test]
fn it_is_in_sync_again_when_one_exchange_is_whole_and_nothing_is_under_way() {
    let mut whole = Talk::greeted();
    whole.session.client.synced = 0;
    whole.session.server.exchange_seen = 1;
    let synced = |change: fn(&mut Session, &mut Segment)| {
        let (mut session, mut segment, mut counts) = (whole.session, whole.client_segment(0), Counts::default());
        change(&mut session, &mut segment);
        session.client.receive(&session.server, &segment, whole.now, true, &mut counts);
        assert_eq!(counts.raised[Counter::Resyncs as usize], session.client.synced);
        session.client.synced == 1
    };
    assert!(synced(|_, _| ()));
    assert!(!synced(|session, _| session.server.exchange_seen = 0));
    assert!(!synced(|_, segment| segment.ack = segment.ack.wrapping_sub(1)), "a reply is under way");
    assert!(!synced(|session, _| session.server.acked = session.client.next.wrapping_sub(1)), "a command is");
    assert!(!synced(|session, _| session.client.head += 1), "a command is pending");
    assert!(!synced(|session, _| _ = session.client.parser.push(b'x')), "a line has begun");
    assert!(!synced(|session, _| _ = session.server.parser.push(b'2')), "a reply has begun");
    let mut in_sync = whole.session;
    in_sync.client.synced = 1;
    let mut counts = Counts::default();
    in_sync.client.receive(&in_sync.server, &whole.client_segment(0), whole.now, true, &mut counts);
    assert_eq!(counts.raised[Counter::Resyncs as usize], 0, "it was in sync");
}

#[test]
fn each_line_becomes_a_pending_command() {
    use fault::{FOREIGN, MALFORMED, NONE};
    for (line, kind, fault, port) in [
        ("PASV", kind::PASV, NONE, 0),
        ("EPSV ALL", kind::EPSV, NONE, 0),
        ("PORT 10,0,1,2,40,1", kind::PORT, NONE, 10241),
        ("EPRT |1|10.0.1.2|10242|", kind::PORT, NONE, 10242),
        ("PORT 10,0,1,3,40,1", kind::PORT, FOREIGN, 10241),
        ("PORT 10,0,1,2,40", kind::PORT, MALFORMED, 0),
        ("RETR a", kind::TRANSFER, NONE, 0),
        ("REIN", kind::REIN, NONE, 0),
        ("ABOR", kind::ABOR, NONE, 0),
        (" NOOP", kind::UNSURE, NONE, 0),
        ("NOOP", kind::OTHER, NONE, 0),
    ] {
        let mut talk = Talk::greeted();
        talk.client(&format!("{line}\r\n"));
        let pending: Vec<Command> = talk.session.pending_commands().collect();
        assert_eq!(pending, [Command { end: talk.client_next, kind, fault, port }], "{line}");
        assert_eq!((talk.session.client.last_command_at, talk.count(Counter::Commands)), (talk.now, 1));
        assert_eq!(talk.session.client.transfers, u16::from(kind == kind::TRANSFER));
        assert_eq!(talk.count(Counter::LongLines), 0);
        let (named, end) = (talk.session.client.named, talk.session.client.named_end);
        let foreign = (address("10.0.1.3"), talk.client_next);
        assert_eq!((named, end), if fault == FOREIGN { foreign } else { (Address::ANY, 0) }, "{line}");
        assert_eq!(talk.key.client, address(CLIENT));
    }
}

#[test]
fn a_long_line_counts_and_may_stay_unanswered() {
    let mut talk = Talk::greeted();
    talk.client(&format!("RETR {}\r\n", "x".repeat(5000)));
    assert_eq!(talk.session.pending_commands().map(|c| c.kind).collect::<Vec<_>>(), [kind::UNSURE]);
    assert_eq!((talk.count(Counter::LongLines), talk.session.client.transfers), (1, 0));
}

#[test]
fn commands_parsed_out_of_sync_are_marked() {
    let mut talk = Talk::greeted();
    talk.session.client.synced = 0;
    talk.client("PORT 10,0,1,2,40,1\r\n");
    let [command] = talk.session.pending_commands().collect::<Vec<_>>()[..] else { panic!("one command") };
    assert_eq!(command.kind, kind::PORT | kind::OUT_OF_SYNC);
    assert_eq!(command.asked(), kind::PORT);
}

#[test]
fn the_first_command_since_a_final_reply_is_remembered() {
    let mut talk = Talk::greeted();
    talk.client("NOOP\r\n");
    let first = talk.client_next;
    talk.client("NOOP\r\n");
    assert_eq!(talk.session.client.reply_batch_from, first);
    talk.server("150 No final reply\r\n");
    talk.client("NOOP\r\n");
    assert_eq!(talk.session.client.reply_batch_from, first);
    talk.server("200 A final one\r\n");
    talk.client("NOOP\r\n");
    assert_eq!(talk.session.client.reply_batch_from, talk.client_next);
    assert_eq!(talk.session.client.reply_batch, talk.session.server.finals);
}

#[test]
fn the_ring_is_full_at_its_size_and_the_next_line_desyncs() {
    let mut talk = Talk::greeted();
    talk.session.client.head = u32::MAX - 3; // its counts wrap
    talk.session.server.tail = u32::MAX - 3;
    for i in 0..RING {
        talk.client(if i == RING - 1 { "REIN\r\n" } else { "NOOP\r\n" });
    }
    assert_eq!(talk.session.pending(), RING as u32);
    assert_eq!(talk.session.pending_commands().last().unwrap().kind, kind::REIN);
    assert_eq!(talk.count(Counter::CommandsOverflow), 0);
    talk.client("NOOP\r\n");
    assert_eq!((talk.count(Counter::CommandsOverflow), talk.count(Counter::Desyncs)), (1, 1));
    assert_eq!(talk.session.pending(), RING as u32);
}

/// Commands that the server acknowledges and leaves unanswered; whether they are dropped a second later, when the
/// client goes on.
fn dropped(commands: &str) -> bool {
    let mut talk = Talk::greeted();
    talk.client(commands);
    talk.server_acknowledges();
    talk.now += SECOND;
    talk.client("NOOP\r\n");
    talk.count(Counter::CommandsUnanswered) == 1
}

#[test]
fn only_what_some_server_leaves_unanswered_is_dropped() {
    for commands in ["ABOR\r\n", " NOOP\r\n", "\tx\r\nABOR\r\n", "RETR a\r\nABOR\r\n", "ABOR\r\nLIST\r\n"] {
        assert!(dropped(commands), "{commands:?}");
    }
    assert!(dropped(&format!("{}\r\n", "x".repeat(5000))));
    assert!(dropped(&"ABOR\r\n".repeat(RING - 1)));
    for other in ["NOOP", "PASV", "EPSV", "PORT 10,0,1,2,40,1", "PORT 1", "REIN", "RETR a"] {
        assert!(!dropped(&format!("{other}\r\n")), "{other}");
        assert!(!dropped(&format!(" x\r\n{other}\r\n")), "{other}");
        assert!(!dropped(&format!("{other}\r\n x\r\n")), "{other}");
        assert_eq!(dropped(&format!("ABOR\r\n{other}\r\n")), other == "RETR a", "{other}");
    }
    assert!(!dropped(&format!("{}NOOP\r\n", "ABOR\r\n".repeat(RING - 2))), "the last of many");
    assert!(!dropped(""), "nothing is pending");
}

#[test]
fn it_is_dropped_only_in_a_silence_with_nothing_on_the_way() {
    assert_eq!(UNANSWERED, 500_000_000, "half a second of it");
    let mut silent = Talk::greeted();
    silent.client("ABOR\r\n");
    silent.server_acknowledges();
    silent.session.server.last_reply_at = silent.now;
    silent.now += UNANSWERED + 1;
    let voided = |change: fn(&mut Session, &mut Segment)| {
        let (mut session, mut segment, mut counts) = (silent.session, silent.client_segment(6), Counts::default());
        change(&mut session, &mut segment);
        session.client.receive(&session.server, &segment, silent.now, true, &mut counts);
        let next = session.client.next;
        let counted = counts.raised[Counter::CommandsUnanswered as usize];
        assert!(counted == 0 || session.client.voided == 1 && session.client.void_before == next);
        counted == 1
    };
    assert!(voided(|_, _| ()));
    assert!(!voided(|_, segment| segment.length = 0), "it sends nothing");
    assert!(!voided(|session, _| session.server.tail = session.client.head), "nothing is pending");
    assert!(!voided(|session, _| session.server.transfer = 1));
    assert!(!voided(|session, _| session.client.last_command_at += 1));
    assert!(!voided(|session, _| session.server.last_reply_at += 1));
    assert!(!voided(|session, _| session.server.last_reply_at = u64::MAX), "of a CPU whose clock is ahead");
    assert!(!voided(|session, _| session.server.acked = session.client.next.wrapping_sub(1)));
    assert!(!voided(|_, segment| segment.ack = segment.ack.wrapping_sub(1)));
    assert!(!voided(|session, _| {
        (session.client.voided, session.client.void_before) = (1, session.client.next);
    }));
    assert!(voided(|session, _| (session.client.voided, session.client.void_before) = (1, 5)));
    assert!(voided(|session, _| (session.client.voided, session.client.void_before) = (0, session.client.next)));
}
