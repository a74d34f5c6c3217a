//! Games with TCP's order: what the server reads and what ftptrack reads must be the same, or nothing
//! opens. Each game ends with the server saying by a 227 that [`INSIDE`] listens.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::network::{Family, Network};
use ftptrack_tests::packet::{Ipv4, MORE_FRAGMENTS};
use ftptrack_tests::segment::{Segment, flag};
use ftptrack_tests::server::{Server, Session};
use ftptrack_tests::tcp_peer::{Odd, Peer};
use std::net::Ipv4Addr;

const ANNOUNCES: &str = "227 Entering Passive Mode (10,0,0,1,58,152).";
const BAD_CHECKSUM: Odd = Odd { urgent: None, bad_checksum: true, old: false, hops: None };
const OLD: Odd = Odd { urgent: None, bad_checksum: false, old: true, hops: None };

struct Game {
    name: &'static str,
    /// What is sent until the server has heard a command, which it answers by [`ANNOUNCES`].
    play: fn(&mut Peer<'_>, &mut Session),
    /// Whether [`INSIDE`] is open then, with ftptrack.
    opens: bool,
    /// Raised by one or more.
    counter: Counter,
}

/// Sends `only_seen`, which the server doesn't take, and then `real` at the same place.
fn instead(peer: &mut Peer<'_>, only_seen: &str, odd: Odd, real: &str) {
    let ghost = peer.segment(only_seen);
    peer.put_odd(&ghost, odd);
    peer.say(real);
}

/// A line of this many bytes.
fn line(length: usize) -> String {
    format!("NOOP {}\r\n", "x".repeat(length - 7))
}

#[rustfmt::skip]
const GAMES: &[Game] = &[
    Game { name: "a PASV that the server drops for its checksum, a NOOP in its place", opens: false, counter: Counter::OverlapsDiffer,
        play: |peer, session| { instead(peer, "PASV\r\n", BAD_CHECKSUM, "NOOP\r\n"); session.hears("NOOP"); } },
    Game { name: "a PASV that the server drops for its age, a NOOP in its place", opens: false, counter: Counter::OverlapsDiffer,
        play: |peer, session| { instead(peer, "PASV\r\n", OLD, "NOOP\r\n"); session.hears("NOOP"); } },
    Game { name: "a PASV without the ACK flag, a NOOP in its place", opens: false, counter: Counter::RefusedUnsolicited,
        play: |peer, session| {
            let bare = Segment { flags: flag::PSH, ..peer.segment("PASV\r\n") };
            peer.put(&bare);
            peer.say("NOOP\r\n");
            session.hears("NOOP");
        } },
    Game { name: "only the end of the line is another", opens: false, counter: Counter::OverlapsDiffer,
        play: |peer, session| { instead(peer, "PASV\r\n", BAD_CHECKSUM, "PASVX\r\n"); session.hears("PASVX"); } },
    Game { name: "the real one a byte at a time", opens: false, counter: Counter::OverlapsDiffer,
        play: |peer, session| {
            let ghost = peer.segment("PASV\r\n");
            peer.put_odd(&ghost, BAD_CHECKSUM);
            "PASS\r\n".bytes().for_each(|byte| peer.say([byte]));
            session.hears("PASS");
        } },
    Game { name: "the difference lies farther back than what is kept", opens: false, counter: Counter::OverlapsDiffer,
        play: |peer, session| {
            let real = line(300);
            let ghost = format!("PASV\r\n{}", line(294));
            instead(peer, &ghost, BAD_CHECKSUM, &real);
            session.hears(real.trim_end());
        } },
    Game { name: "the real one goes on behind it", opens: false, counter: Counter::OverlapsDiffer,
        play: |peer, session| {
            instead(peer, "PASV\r\n", BAD_CHECKSUM, "NOOP\r\nNOOP\r\n");
            session.hears("NOOP");
            session.hears("NOOP");
        } },
    Game { name: "an early end that the real one replaces", opens: false, counter: Counter::HeldBack,
        play: |peer, session| {
            let early = Segment { seq: peer.next.wrapping_add(2), ..peer.segment("SV\r\n") };
            peer.put(&early);
            peer.say("NOOP\r\n");
            session.hears("NOOP");
        } },
    Game { name: "a PASV in fragments, which are not read", opens: false, counter: Counter::StepsLost,
        play: |peer, session| {
            let text = format!("{}PASV\r\n", line(90));
            let segment = peer.segment(&text);
            for packet in in_fragments(&peer.tcp(&segment, Odd::default()), 64) {
                peer.put_packet(&packet);
            }
            peer.next = segment.next();
            session.hears(line(90).trim_end());
            session.hears("PASV");
        } },
    Game { name: "an acknowledgement of what the server has not said", opens: false, counter: Counter::RefusedUnsolicited,
        play: |peer, session| {
            let ahead = Segment { ack: peer.heard.wrapping_add(1000), ..peer.segment("PASV\r\n") };
            peer.put(&ahead);
            peer.say("NOOP\r\n");
            session.hears("NOOP");
        } },
    Game { name: "what the server took is repeated as something else", opens: false, counter: Counter::RefusedUnsolicited,
        play: |peer, session| {
            let noop = peer.segment("NOOP\r\n");
            peer.say("NOOP\r\n");
            session.hears("NOOP");
            peer.put(&Segment { payload: b"PASV\r\n".to_vec(), ..noop });
        } },
    Game { name: "what the server took is repeated with a command behind it", opens: true, counter: Counter::ExpectationsPassive,
        play: |peer, session| {
            let noop = peer.segment("NOOP\r\n");
            peer.exchange(session, "NOOP", "200 ok");
            let longer = Segment { payload: b"NOOP\r\nPASV\r\n".to_vec(), ack: peer.heard, ..noop };
            peer.put(&longer);
            peer.next = longer.next();
            session.hears("PASV");
        } },
    Game { name: "the same again, cut elsewhere", opens: true, counter: Counter::ExpectationsPassive,
        play: |peer, session| {
            let ghost = peer.segment("PASV\r");
            peer.put_odd(&ghost, BAD_CHECKSUM);
            let start = peer.next;
            for (from, to) in [(0, 3), (1, 2), (0, 5), (2, 6), (5, 6)] {
                let again = Segment { seq: start.wrapping_add(from), ..peer.segment(&"PASV\r\n"[from as usize..to]) };
                peer.put(&again);
            }
            peer.next = start.wrapping_add(6);
            session.hears("PASV");
        } },
    Game { name: "an early end, and again once the beginning has passed", opens: true, counter: Counter::HeldBack,
        play: |peer, session| {
            let early = Segment { seq: peer.next.wrapping_add(2), ..peer.segment("SV\r\n") };
            peer.put(&early);
            peer.say("PA");
            peer.say("SV\r\n");
            session.hears("PASV");
        } },
];

fn in_fragments(tcp: &[u8], cut: usize) -> [Vec<u8>; 2] {
    let (front, back) = tcp.split_at(cut);
    let (source, destination) = (Ipv4Addr::new(10, 0, 0, 77), Ipv4Addr::new(10, 0, 0, 1));
    let piece =
        |fragment, bytes| Ipv4 { identification: 77, fragment, ..Ipv4::default() }.packet(source, destination, bytes);
    [piece(MORE_FRAGMENTS, front), piece(u16::try_from(cut / 8).expect("a small number"), back)]
}

#[test]
fn a_game_with_order_opens_nothing_and_the_session_goes_on() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let play = |game: &Game, port| {
        let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, port);
        (game.play)(&mut peer, &mut session);
        session.say(ANNOUNCES);
        peer.hear(&format!("{ANNOUNCES}\r\n"));
        let opened = peer.opens(INSIDE);
        (opened, peer, session)
    };
    for (game, port) in GAMES.iter().zip(30_000..) {
        assert!(play(game, port).0, "nothing is attached: {}", game.name);
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut failures = Vec::new();
    for (game, port) in GAMES.iter().zip(31_000..) {
        let before = ftptrack.stats();
        let (opened, mut peer, mut session) = play(game, port);
        let after = ftptrack.stats();
        let raised = after.of(game.counter) - before.of(game.counter);
        if opened != game.opens || raised == 0 {
            failures.push(format!("{}: opened {opened}, {:?} +{raised}", game.name, game.counter));
        }
        peer.finds_its_footing(&mut session);
        assert_eq!(ftptrack.stats().denied() - before.denied(), u64::from(!game.opens), "{}", game.name);
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}

/// The path behind a gateway loses a segment that the gateway has read, and the client repeats it.
#[test]
fn a_repeated_segment_is_the_same_however_long_it_is() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut failures = Vec::new();
    for (length, port) in [20, 100, 122, 123, 150, 500, 1400].into_iter().zip(32_500..) {
        let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, port);
        let text = format!("{}PASV\r\n", line(length));
        instead(&mut peer, &text, BAD_CHECKSUM, &text);
        session.hears(line(length).trim_end());
        session.hears("PASV");
        for answer in ["200 ok", ANNOUNCES] {
            session.say(answer);
            peer.hear(&format!("{answer}\r\n"));
        }
        if !peer.opens(INSIDE) {
            failures.push(format!("{} bytes", text.len()));
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(ftptrack.stats().of(Counter::StepsLost), 0);
    ftptrack.stop();
}
