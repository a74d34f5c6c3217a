//! Two CPUs at once: both directions of one session, and two connections that want one expectation.

use ftp_common::counter::Counter;
use ftptrack_tests::actors::client::six_numbers;
use ftptrack_tests::actors::server::CONTROL;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::packets::flood::{Attached, Talk};
use ftptrack_tests::packets::segment::{Segment, flag};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::suites::scenarios::races::{self, BUSY_COMMANDS, PASSIVE_EVERY};
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Commands, each with a reply.
const COMMANDS: u32 = 100_000;
/// Commands that wait at a time; there is room for sixteen.
const AHEAD: u32 = 8;
/// One in so many is a PASV.
const EVERY: u32 = 8;
/// Named in replies that announce nothing.
const DECOY: u16 = 20_000;

fn announced(n: u32) -> u16 {
    10_240 + u16::try_from(n / EVERY % 9000).expect("small")
}

/// The reply to the `n`th command, by a server at `server`.
fn reply(n: u32, server: SocketAddr) -> String {
    let six = |port| six_numbers(SocketAddr::new(server.ip(), port));
    let decoy = six(DECOY);
    match n % EVERY {
        0 => format!("227 Entering Passive Mode ({}).\r\n", six(announced(n))),
        1 => format!("200 227 ({decoy})\r\n"),
        2 => format!("214-Help\r\n227 Entering Passive Mode ({decoy}).\r\n214 end\r\n"),
        3 => format!("500 not ({decoy})\r\n"),
        _ => "200 ok\r\n".to_owned(),
    }
}

fn spin_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn both_directions_of_a_session_at_once_open_what_they_should_and_no_more() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let hooks = Attached::to(server);
    let ends = [client.at(Family::V4, 40_000), server.at(Family::V4, CONTROL)];
    // Both wrap on the way.
    let mut talk = Talk::begin(&hooks, ends[0], ends[1], [0u32.wrapping_sub(300_000), 0u32.wrapping_sub(900_000)]);
    talk.log_in();
    let before = ftptrack.stats();
    let start = talk.said;
    // Commands that passed; replies that passed; where the server's bytes end.
    let (said, answered, position) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(start[1]));
    let begin = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..COMMANDS {
                spin_until(|| n < answered.load(Ordering::Acquire) + AHEAD);
                let command = if n % EVERY == 0 { "PASV\r\n" } else { "NOOP\r\n" };
                let of_client = Segment {
                    seq: start[0].wrapping_add(n * 6),
                    ack: position.load(Ordering::Acquire),
                    ..talk.of_client(command)
                };
                assert!(hooks[0].passes(&of_client), "command {n}");
                said.store(n + 1, Ordering::Release);
            }
        });
        scope.spawn(|| {
            for n in 0..COMMANDS {
                spin_until(|| n < said.load(Ordering::Acquire));
                let of_server = Segment {
                    seq: position.load(Ordering::Relaxed),
                    ack: start[0].wrapping_add((n + 1) * 6),
                    ..talk.of_server(&reply(n, ends[1]))
                };
                assert!(hooks[1].passes(&of_server), "reply {n}");
                if n % EVERY == 0 {
                    // To the end: a session may leave only so many handshakes behind.
                    assert!(talk.opens(50_000, announced(n), n), "what reply {n} announced");
                }
                position.store(of_server.next(), Ordering::Release);
                answered.store(n + 1, Ordering::Release);
            }
        });
    });
    println!("{COMMANDS} commands and replies in {:?}", begin.elapsed());
    let after = ftptrack.stats();
    let raised = |counter| after.of(counter) - before.of(counter);
    assert_eq!(raised(Counter::ExpectationsPassive), u64::from(COMMANDS / EVERY), "{after:?}");
    assert_eq!(raised(Counter::Commands), u64::from(COMMANDS));
    assert_eq!(raised(Counter::Replies), u64::from(COMMANDS));
    assert_eq!((after.of(Counter::Desyncs), after.refused(), after.denied()), (0, 0, 0), "{after:?}");
    assert!(!talk.begins(50_001, DECOY, 1));
    ftptrack.stop();
}

#[test]
fn of_two_connections_that_want_one_expectation_exactly_one_is_established() {
    const ROUNDS: u16 = 3000;
    // Each leaves one handshake behind: a session may do so about as often.
    const LEFT_BEHIND: u16 = 30;
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let hooks = Attached::to(server);
    let at = server.at(Family::V4, CONTROL);
    let begin = |port| {
        let mut talk = Talk::begin(&hooks, client.at(Family::V4, port), at, [1, 1]);
        talk.log_in();
        talk
    };
    let mut talk = begin(40_000);
    for round in 0..ROUNDS {
        if round % LEFT_BEHIND == 0 {
            talk.server_closes();
            talk = begin(40_000 + round / LEFT_BEHIND);
        }
        let port = 10_240 + round;
        talk.passive(port);
        let together = Barrier::new(2);
        let goes_on = |from: u16| {
            let syn = talk.data(from, port, u32::from(from));
            let answer = Segment { seq: 77, ..syn.answer(flag::SYN | flag::ACK, b"") };
            let completes = answer.answer(flag::ACK, b"");
            assert!(hooks[0].passes(&syn) && hooks[1].passes(&answer));
            together.wait();
            hooks[0].passes(&completes) && hooks[0].passes(&Segment { payload: vec![7; 10], ..completes })
        };
        let both = thread::scope(|scope| {
            let threads = [50_000, 50_001].map(|from| scope.spawn(move || goes_on(from)));
            threads.map(|thread| thread.join().expect("no verdict is missing"))
        });
        assert!(both[0] != both[1], "round {round}: {both:?}");
    }
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::FlowsEstablished), u64::from(ROUNDS), "{stats:?}");
    assert_eq!(stats.of(Counter::DeniedUsed), u64::from(ROUNDS), "{stats:?}");
    assert_eq!(ftptrack.status().expectations, 0);
    ftptrack.stop();
}

/// The reply to a slow command (a PASS behind a slow name service) comes when the client has already
/// said PORT: it isn't PORT's, however long the silence was before.
#[test]
fn a_slow_reply_is_not_taken_for_that_of_the_next_command() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let hooks = Attached::to(server);
    let at = server.at(Family::V4, CONTROL);
    let mut expected = Vec::new();
    for (silence, port) in [0, 700].into_iter().zip(40_000..) {
        let mut talk = Talk::begin(&hooks, client.at(Family::V4, port), at, [1, 1]);
        talk.log_in();
        assert!(talk.client_says("PASS secret\r\n") && hooks[1].passes(&talk.of_server("")));
        // Longer than what waits is waited for.
        thread::sleep(Duration::from_millis(silence));
        let names = six_numbers(client.at(Family::V4, 41_000));
        assert!(talk.client_says(&format!("PORT {names}\r\n")) && hooks[1].passes(&talk.of_server("")));
        talk.server_says("230 in\r\n");
        expected.push(ftptrack.expectations().len());
        talk.server_says("500 no\r\n");
        expected.push(ftptrack.expectations().len());
    }
    assert_eq!(expected, [0; 4], "{:?}", ftptrack.stats());
    ftptrack.stop();
}

#[test]
fn a_busy_control_connection_still_opens_every_transfer() {
    races::BUSY.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        let (commands, passive) = (u64::from(BUSY_COMMANDS), u64::from(BUSY_COMMANDS / PASSIVE_EVERY));
        assert_eq!(stats.of(Counter::ExpectationsPassive), passive, "{stats:?}");
        assert_eq!((stats.of(Counter::Commands), stats.of(Counter::Replies)), (commands, commands + 1));
        // The one is the port of the inner lines.
        assert_eq!((stats.of(Counter::Desyncs), stats.denied(), stats.refused()), (0, 1, 0), "{stats:?}");
    });
}
