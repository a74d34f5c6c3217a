//! More of everything than there is room for: memory stays bounded, others' sessions go on, open
//! transfers go on, and no lock-out outlasts its cause.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{CONTROL, exchange, transfer};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::packets::flood::{self, Attached, DROPPED, Talk, spoofed};
use ftptrack_tests::packets::segment::{Segment, flag};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::subject::guarded::{Guarded, Testbed};
use ftptrack_tests::subject::hooks;
use std::net::SocketAddr;
use std::thread;
use std::time::Instant;

const SYNS: u32 = 1_000_000;
const SESSIONS: u32 = 100_000;
const FLOWS: u32 = 100_000;
/// The sizes of the SESSIONS and the FLOWS map.
const ROOM: usize = 16_384;
const ROOM_FOR_FLOWS: usize = 65_536;

/// Bytes that the handshakes of a few transfers may take for two minutes.
const HALF_OPEN: u64 = 4096;

/// After a flood: no more memory is taken, and the session that was there before gets its transfer.
#[track_caller]
fn ends_unharmed(mut guarded: Guarded<'_>, server: &Host, memory: u64) {
    let taken = hooks::memory(server) - memory;
    assert!(taken < HALF_OPEN, "{taken} bytes");
    assert_eq!(guarded.transfer(INSIDE), Outcome::Opened);
    guarded.ftptrack.stop();
}

/// A SYN from anywhere to a port of the server.
fn syn_to(target: SocketAddr) -> Vec<u8> {
    let source = "11.0.0.1:1024".parse().expect("an address");
    flood::frame(&Segment { source, destination: target, seq: 1, ack: 0, flags: flag::SYN, payload: Vec::new() })
}

/// A port that is not special, for the `n`th.
fn some_port(n: u32) -> u16 {
    u16::try_from(n % 50_000).expect("small") + 10_000
}

#[test]
fn a_million_spoofed_syns_leave_nothing_behind() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, .. }, .. } = &testbed;
    let mut guarded = testbed.guarded();
    let programs = Attached::to(server);
    let before = hooks::memory(server);
    let begin = Instant::now();
    thread::scope(|scope| {
        for (half, to) in [CONTROL, INSIDE].into_iter().enumerate() {
            let ingress = &programs[0];
            scope.spawn(move || {
                let mut frame = syn_to(server.at(Family::V4, to));
                for n in 0..SYNS / 2 {
                    flood::set_source(&mut frame, spoofed(n), some_port(n));
                    let dropped = ingress.verdict(&frame) == DROPPED;
                    assert_eq!(dropped, half == 1, "only the range is guarded");
                }
            });
        }
        // Meanwhile, and with the same maps:
        for port in INSIDE + 1..INSIDE + 6 {
            assert_eq!(guarded.transfer(port), Outcome::Opened);
        }
    });
    println!("{SYNS} SYNs in {:?}", begin.elapsed());
    let stats = guarded.ftptrack.stats();
    assert_eq!(stats.of(Counter::DeniedPassive), u64::from(SYNS / 2));
    assert_eq!(stats.of(Counter::SessionsStarted) + stats.of(Counter::SessionsMidstream), 1);
    let status = guarded.ftptrack.status();
    assert_eq!((status.sessions, status.expectations, status.flows), (1, 0, 0));
    ends_unharmed(guarded, server, before);
}

/// SYN-ACKs, as a server without SYN cookies gives them to spoofed SYNs: they fill the handshake table,
/// and no session.
#[test]
fn a_flood_of_half_open_handshakes_keeps_no_client_out() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let ftptrack = testbed.ftptrack();
    let programs = Attached::to(server);
    let source = server.at(Family::V4, CONTROL);
    let flags = flag::SYN | flag::ACK;
    let destination = "11.0.0.1:1024".parse().expect("an address");
    let syn_ack = Segment { source, destination, seq: 1, ack: 2, flags, payload: Vec::new() };
    let flood = || {
        let mut frame = flood::frame(&syn_ack);
        for n in 0..SESSIONS {
            flood::set_destination(&mut frame, spoofed(n), some_port(n));
            assert_ne!(programs[1].verdict(&frame), DROPPED);
        }
    };
    thread::scope(|scope| {
        scope.spawn(flood);
        for port in INSIDE..INSIDE + 20 {
            let (mut control, mut session) = ftp.session_with(client);
            // Its handshake may have been evicted: then the session is picked up midstream.
            for _ in 0..2 {
                exchange((&mut control, &mut session), "NOOP", "200 ok");
            }
            assert_eq!(transfer(client, server, (&mut control, &mut session), port), Outcome::Opened);
        }
    });
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::SessionsStarted) + stats.of(Counter::SessionsMidstream), 20, "{stats:?}");

    // One whose handshake is pushed out for certain.
    let mut talk = Talk::of(&programs, client.at(Family::V4, 40_000), ftp.address(), [1, 1]);
    talk.syn_and_answer();
    flood();
    talk.server_says("220 ready\r\n");
    for _ in 0..2 {
        talk.exchange("NOOP\r\n", "200 ok\r\n");
    }
    talk.passive(INSIDE + 20);
    assert!(talk.begins(50_000, INSIDE + 20, 1));
    let after = ftptrack.stats();
    assert_eq!(after.of(Counter::SessionsMidstream), stats.of(Counter::SessionsMidstream) + 1);
    assert!(ftptrack.sessions().len() <= 21);
    ftptrack.stop();
}

/// Handshakes of many clients, each whole. `every` is called now and then.
fn flood_of_sessions(programs: &[Attached; 2], server: SocketAddr, count: u32, mut every: impl FnMut()) {
    let client: SocketAddr = "11.0.0.1:1024".parse().expect("an address");
    let answer = Segment {
        source: server,
        destination: client,
        seq: 1,
        ack: 2,
        flags: flag::SYN | flag::ACK,
        payload: Vec::new(),
    };
    let mut completes = flood::frame(&answer.answer(flag::ACK, b""));
    let mut answer = flood::frame(&answer);
    for n in 0..count {
        flood::set_destination(&mut answer, spoofed(n), some_port(n));
        flood::set_source(&mut completes, spoofed(n), some_port(n));
        assert_ne!(programs[1].verdict(&answer), DROPPED);
        assert_ne!(programs[0].verdict(&completes), DROPPED);
        if n % 2000 == 0 {
            every();
        }
    }
}

#[test]
fn a_hundred_thousand_sessions_do_not_push_out_one_that_speaks() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, .. }, ftp, .. } = &testbed;
    let mut guarded = testbed.guarded();
    let programs = Attached::to(server);
    let before = hooks::memory(server);
    let begin = Instant::now();
    flood_of_sessions(&programs, ftp.address(), SESSIONS, || guarded.noop());
    println!("{SESSIONS} sessions in {:?}", begin.elapsed());
    let stats = guarded.ftptrack.stats();
    assert_eq!(stats.of(Counter::SessionsStarted), u64::from(SESSIONS) + 1, "{stats:?}");
    assert_eq!((stats.of(Counter::SessionsMidstream), stats.of(Counter::MapErrors)), (0, 0), "{stats:?}");
    let sessions = guarded.ftptrack.sessions().len();
    assert!(sessions <= ROOM && sessions > ROOM / 2, "{sessions}");
    ends_unharmed(guarded, server, before);
}

#[test]
fn a_session_that_is_pushed_out_breaks_no_transfer_and_resyncs() {
    use std::io::{Read as _, Write as _};
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let mut guarded = testbed.guarded();
    let programs = Attached::to(server);
    let listener = probe::listen(server, server.at(Family::V4, INSIDE));
    let target = guarded.negotiated(INSIDE);
    let mut data = probe::connect(client, target).expect("it was negotiated");
    let (mut sending, _) = listener.accept().expect("it was let in");
    let mut piece = [7; 1 << 14];
    let mut some = |data: &mut std::net::TcpStream| {
        sending.write_all(&piece).expect("the transfer goes on");
        data.read_exact(&mut piece).expect("the transfer goes on");
    };
    some(&mut data);
    let own = guarded.control.address().to_string();
    let pushed_out = (0..MOST_ROUNDS).any(|_| {
        flood_of_sessions(&programs, ftp.address(), SESSIONS / 2, || some(&mut data));
        guarded.ftptrack.sessions().iter().all(|session| session.client != own)
    });
    assert!(pushed_out);
    some(&mut data);
    drop(data);

    guarded.session.say("226 done");
    guarded.control.reply().must_be(226);
    guarded.noop();
    guarded.noop();
    assert_eq!(guarded.transfer(INSIDE + 1), Outcome::Opened);
    let stats = guarded.ftptrack.stats();
    assert_eq!((stats.of(Counter::SessionsMidstream), stats.of(Counter::Resyncs)), (1, 1), "{stats:?}");
    assert_eq!(stats.denied(), 0);
    guarded.ftptrack.stop();
}

/// Floods until an entry that is in use must have gone.
const MOST_ROUNDS: u32 = 16;

#[test]
fn a_flow_that_is_pushed_out_is_only_a_count_that_is_lost() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let programs = Attached::to(server);
    let at = server.at(Family::V4, CONTROL);
    let mut talk = Talk::begin(&programs, client.at(Family::V4, 40_000), at, [1, 1]);
    talk.log_in();
    talk.passive(INSIDE);
    assert!(talk.opens(50_000, INSIDE, 1));
    assert_eq!(ftptrack.stats().of(Counter::FlowsEstablished), 1);
    // Connections of others push it out: each needs an expectation, so this is slow.
    let mut others = Talk::begin(&programs, "11.0.0.1:1024".parse().expect("an address"), at, [1, 1]);
    others.log_in();
    let mut flood = |numbers: std::ops::Range<u32>| {
        for n in numbers {
            // Ports that come together again after half a billion.
            let port = 10_240 + u16::try_from(n % 10_000).expect("small");
            others.passive(port);
            let from = 10_001 + u16::try_from(n % 49_999).expect("small");
            assert!(others.opens(from, port, n));
        }
    };
    // The kernel gives an entry that was in use a second chance, and keeps lists for each CPU: how soon
    // it goes is not for us to say.
    let first = talk.data(50_000, INSIDE, 1);
    let own = first.source.to_string();
    let pushed_out = (0..MOST_ROUNDS).any(|round| {
        flood(round * FLOWS..(round + 1) * FLOWS);
        let flows = ftptrack.flows();
        assert!(flows.len() <= ROOM_FOR_FLOWS, "{}", flows.len());
        flows.iter().all(|flow| flow.client != own)
    });
    assert!(pushed_out);
    let bytes = Segment { payload: vec![7; 1000], ack: 14, seq: 2, flags: flag::ACK, ..first };
    assert!(programs[0].passes(&bytes) && programs[1].passes(&bytes.answer(flag::ACK, b"more")));
    assert!(!programs[0].passes(&talk.data(50_001, INSIDE, 1)), "a new one doesn't");
    ftptrack.stop();
}
