//! The server's direction: which segments are read, what they acknowledge, and what a resync makes of it.

use super::*;
use crate::flow::tcp::{ACK, FIN};
use crate::sequence::WINDOW;
use crate::session::{Command, Session};
use crate::talk::Talk;

const PARSE: SegmentAction = SegmentAction::Parse { skip: 0, compare: 0 };
/// A local server's segment: from this host's own TCP.
const TRUSTED: bool = true;

/// A session in which everything is acknowledged.
fn talk() -> Talk {
    let mut talk = Talk::greeted();
    talk.exchange("NOOP\r\n", "200 OK\r\n");
    talk
}

/// What the server's state decides on a segment that can be deferred, how often it has lost synchronization by then,
/// and the state after.
fn receives(talk: &Talk, segment: &Segment, trusted: bool) -> (SegmentAction, u8, ServerState) {
    let (mut counts, Session { client, mut server, .. }) = (Counts::default(), talk.session);
    let action = server.receive(&client, segment, true, trusted, &mut counts);
    (action, counts.raised[Counter::Desyncs as usize], server)
}

/// Whether the state was resynchronized at this segment.
fn is_resynced_at(talk: &Talk, server: &ServerState, segment: &Segment) -> bool {
    server.resync_epoch == talk.session.server.resync_epoch.wrapping_add(1)
        && server.next == segment.seq
        && server.resync_seq == segment.ack
        && server.acked == segment.ack
}

#[test]
fn a_segment_in_its_place_is_read() {
    let mut talk = talk();
    talk.session.server.deferred = 3;
    let segment = talk.server_segment(6);
    let (action, desyncs, server) = receives(&talk, &segment, false);
    assert_eq!((action, desyncs, server.deferred), (PARSE, 0, 0));
    let fin = Segment { flags: ACK | FIN, length: 0, ..segment };
    assert_eq!(receives(&talk, &fin, false).0, PARSE);
    let empty = Segment { length: 0, ..segment };
    let (action, desyncs, server) = receives(&talk, &empty, false);
    assert_eq!((action, desyncs, server), (SegmentAction::Ignore, 0, talk.session.server));
}

#[test]
fn from_afar_only_this_hosts_own_tcp_is_believed() {
    let talk = talk();
    let segment = talk.server_segment(6);
    let far = [
        Segment { seq: segment.seq.wrapping_add(WINDOW + 1), ..segment },
        Segment { ack: segment.ack.wrapping_add(WINDOW + 1), ..segment },
        Segment { seq: segment.seq.wrapping_add(WINDOW + 1), ack: segment.ack.wrapping_add(WINDOW + 1), ..segment },
    ];
    for segment in far {
        assert_eq!(receives(&talk, &segment, false), (SegmentAction::Ignore, 0, talk.session.server), "{segment:?}");
        let (action, desyncs, server) = receives(&talk, &segment, TRUSTED);
        assert_eq!((action, desyncs), (PARSE, 1), "{segment:?}");
        assert!(is_resynced_at(&talk, &server, &segment), "{segment:?}");
    }
}

#[test]
fn what_was_read_before_is_skipped() {
    let talk = talk();
    let segment = talk.server_segment(6);
    for (behind, expected) in [
        (1, SegmentAction::Parse { skip: 1, compare: 0 }),
        (5, SegmentAction::Parse { skip: 5, compare: 0 }),
        (6, SegmentAction::Ignore),
        (7, SegmentAction::Ignore),
    ] {
        let old = Segment { seq: segment.seq.wrapping_sub(behind), ..segment };
        let (action, desyncs, server) = receives(&talk, &old, false);
        assert_eq!((action, desyncs, server), (expected, 0, talk.session.server), "{behind} behind");
    }
}

#[test]
fn an_early_segment_is_deferred_where_that_is_possible_and_else_desyncs() {
    let deferred = |change: fn(&mut Session, &mut Segment), may_defer, trusted| {
        let (mut talk, mut counts) = (talk(), Counts::default());
        let mut segment = talk.server_segment(6);
        segment.seq = segment.seq.wrapping_add(2);
        change(&mut talk.session, &mut segment);
        let Session { client, mut server, .. } = talk.session;
        let action = server.receive(&client, &segment, may_defer, trusted, &mut counts);
        let desyncs = counts.raised[Counter::Desyncs as usize];
        if action == SegmentAction::Defer {
            assert_eq!((desyncs, server.deferred), (0, talk.session.server.deferred + 1));
            return true;
        }
        assert_eq!((action, desyncs), (PARSE, 1));
        assert!(is_resynced_at(&talk, &server, &segment));
        false
    };
    assert!(deferred(|_, _| (), true, false));
    assert!(deferred(|session, _| session.server.deferred = MAX_DEFERRED - 1, true, false));
    assert!(!deferred(|session, _| session.server.deferred = MAX_DEFERRED, true, false));
    assert!(!deferred(|_, _| (), false, false), "the server host's own egress");
    assert!(!deferred(|session, _| session.client.synced = 0, true, false), "nothing is lost by reading on");
    assert!(!deferred(|_, segment| segment.seq = segment.seq.wrapping_add(WINDOW), true, TRUSTED), "far");
}

#[test]
fn what_acknowledges_bytes_of_the_client_that_were_not_seen_desyncs() {
    let mut talk = talk();
    talk.client("NOOP\r\n");
    let all = talk.server_segment(0);
    for behind in [0, 3] {
        let segment = Segment { ack: all.ack.wrapping_sub(behind), ..all };
        let (action, desyncs, server) = receives(&talk, &segment, false);
        assert_eq!((action, desyncs, server.acked), (SegmentAction::Ignore, 0, segment.ack));
    }
    let older = Segment { ack: talk.session.server.acked.wrapping_sub(1), ..all };
    assert_eq!(receives(&talk, &older, false).2.acked, talk.session.server.acked, "it only grows");
    let unseen = Segment { ack: all.ack.wrapping_add(1), ..all };
    let (action, desyncs, server) = receives(&talk, &unseen, false);
    assert_eq!((action, desyncs), (SegmentAction::Ignore, 1));
    assert!(is_resynced_at(&talk, &server, &unseen));
}

#[test]
fn until_the_client_has_followed_a_resync_its_position_is_that_one() {
    let mut talk = talk();
    talk.client_next = talk.client_next.wrapping_add(WINDOW); // nothing of it was seen
    let segment = talk.server_segment(0);
    let Session { client, server, .. } = &mut talk.session;
    server.receive(client, &segment, true, false, &mut talk.counts);
    talk.client_next = talk.client_next.wrapping_add(10);
    let segment = talk.server_segment(6);
    let (action, desyncs, server) = receives(&talk, &segment, false);
    assert_eq!((action, desyncs), (PARSE, 1), "near that position, and beyond it");
    assert!(is_resynced_at(&talk, &server, &segment));
    let again = Segment { ack: segment.ack.wrapping_sub(10), ..segment };
    assert_eq!(receives(&talk, &again, false).1, 0, "at that position");
}

#[test]
fn a_resync_voids_what_was_under_way() {
    let mut talk = talk();
    talk.client("NOOP\r\nNOOP\r\n");
    talk.session.client.desync(&mut talk.counts);
    let server = &mut talk.session.server;
    (server.transfer, server.exchange_seen, server.deferred, server.greeted) = (1, 1, 7, 0);
    let segment = talk.server_segment(0);
    let (_, desyncs, server) = receives(&talk, &segment, false);
    assert_eq!(desyncs, 0, "the client's direction has counted it");
    assert!(is_resynced_at(&talk, &server, &segment));
    assert_eq!((server.transfer, server.exchange_seen, server.deferred, server.greeted), (0, 0, 0, 1));
    assert_eq!((server.resynced_for, server.tail), (talk.session.client.desyncs, talk.session.client.head));
    assert_eq!(server.decision, decision::WITHDRAW);
    assert!(server.parser.at_reply_start(), "no byte of the server was missed");
    let jump = Segment { seq: segment.seq.wrapping_add(9), ..segment };
    assert!(!receives(&talk, &jump, false).2.parser.at_reply_start(), "it may begin anywhere in a line");
}

#[test]
fn bytes_in_the_place_of_a_fin_show_that_it_was_none() {
    let mut talk = talk();
    talk.server_fin();
    let segment = talk.server_segment(6);
    let (action, desyncs, server) = receives(&talk, &segment, false);
    assert_eq!((action, desyncs, server.fin), (PARSE, 1, 0));
    assert!(is_resynced_at(&talk, &server, &segment));
    let one = Segment { length: 1, ..segment };
    assert_eq!(receives(&talk, &one, false).1, 1, "one is enough");
    let before = Segment { seq: segment.seq.wrapping_sub(6), ..segment };
    let fin = Segment { length: 0, flags: ACK | FIN, ..segment };
    let behind = Segment { length: 0, seq: segment.seq.wrapping_add(1), ..segment };
    for other in [before, fin, behind] {
        let (action, desyncs, server) = receives(&talk, &other, false);
        assert_eq!((action, desyncs, server.fin), (SegmentAction::Ignore, 0, 1), "{other:?}");
    }
}

#[test]
fn multipath_tcp_makes_a_session_opaque_from_the_start() {
    let mut server = ServerState::default();
    server.start(5, 7, false);
    assert_eq!((server.next, server.acked, server.opaque), (5, 7, opaque::NOT));
    server.start(5, 7, true);
    assert_eq!((server.next, server.acked, server.opaque), (5, 7, opaque::MULTIPATH));
}

#[test]
fn a_session_picked_up_midstream_knows_both_positions_and_is_in_a_line() {
    let talk = Talk::midstream();
    let server = talk.session.server;
    assert_eq!((server.next, server.acked, server.resync_seq), (talk.server_next, talk.client_next, talk.client_next));
    assert_eq!((server.greeted, server.resync_epoch, server.parser.at_reply_start()), (1, 1, false));
    assert_eq!((talk.session.session_id, talk.session.since), (1, talk.now));
    assert!(!talk.session.is_in_sync());
}

#[test]
fn an_adopted_session_is_between_two_exchanges() {
    let fresh = Talk::midstream();
    let mut session = Session::default();
    session.adopt(4, 9, &fresh.client_segment(6));
    assert_eq!((session.session_id, session.since), (4, 9));
    assert_eq!((session.client.next, session.client.acked), (fresh.client_next, fresh.server_next));
    assert_eq!((session.server.next, session.server.acked), (fresh.server_next, fresh.client_next));
    assert!(session.is_in_sync() && session.is_alive(u64::MAX));
    assert_eq!((session.server.greeted, session.server.taken), (1, Command::default()));
    let line = b"200 a\n227 (10,0,1,1,40,1)\r\n";
    assert_eq!(line.iter().filter(|byte| session.server.push(**byte)).count(), 1, "lines end in CRLF");
}

#[test]
fn replies_leave_the_time_and_are_counted() {
    let mut talk = Talk::from_the_start();
    talk.server("120 Soon\r\n");
    assert_eq!((talk.session.server.greeted, talk.session.server.transfer), (0, 1));
    assert_eq!((talk.session.server.renew, talk.session.server.finals), (1, 0));
    talk.now += 5;
    talk.server("220 Welcome\r\n");
    assert_eq!((talk.session.server.greeted, talk.session.server.transfer), (1, 0));
    assert_eq!((talk.session.server.last_reply_at, talk.session.server.finals), (talk.now, 1));
    assert_eq!(talk.count(Counter::Replies), 2);
    talk.client("RETR a\r\n");
    talk.server("199 Soon\r\n");
    assert_eq!((talk.session.server.transfer, talk.session.pending()), (1, 1));
    talk.server("200 Done\r\n");
    assert_eq!((talk.session.server.transfer, talk.session.pending()), (0, 0));
    talk.server("421 Timeout\r\n");
    assert_eq!((talk.session.server.finals, talk.count(Counter::RepliesUnsolicited)), (3, 0));
}
