//! A greedy client, or somebody who forges its address: the limits hold, others don't notice,
//! and no lock-out outlasts its cause.

use ftp_common::counter::Counter;
use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{CONTROL, transfer};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::packets::flood::{Attached, Talk};
use ftptrack_tests::packets::segment::{Segment, flag};
use ftptrack_tests::packets::wire::Wire;
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::subject::guarded::Testbed;
use ftptrack_tests::suites::scenarios::greedy;
use ftptrack_tests::support::wait::{self, patience};
use ftptrack_tests::{INSIDE, PASSIVE_RANGE};
use socket2::{Domain, Socket, Type};
use std::io::{self};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// The default of `sessions-per-client`.
const LIMIT: usize = MAX_SESSIONS_PER_CLIENT as usize;

#[test]
fn one_client_gets_so_many_sessions_and_no_more() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, third, .. }, ftp, .. } = &testbed;
    let ftptrack = testbed.ftptrack();
    let mut ends: Vec<_> = (0..LIMIT + 12).map(|_| ftp.session_with(client)).collect();
    assert_eq!(ftptrack.sessions().len(), LIMIT);
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::SessionsStarted), u64::from(MAX_SESSIONS_PER_CLIENT));
    assert!(stats.of(Counter::SessionsOverLimit) >= 12, "{stats:?}");

    let transfer =
        |host: &Host, (control, session): &mut (_, _), port| transfer(host, server, (control, session), port);
    assert_eq!(transfer(third, &mut ftp.session_with(third), INSIDE), Outcome::Opened, "others don't notice");
    assert_eq!(transfer(client, &mut ends[0], INSIDE + 1), Outcome::Opened, "nor do those within the limit");
    assert_eq!(transfer(client, &mut ends[LIMIT], INSIDE + 2), Outcome::Silence, "this one is over it");

    // Places are free again when sessions end, at the latest a second after none was found.
    drop(ends.drain(..20));
    let ended = Instant::now();
    wait::until("a new session is followed", || {
        let mut ends = ftp.session_with(client);
        let own = ends.0.address().to_string();
        let followed = ftptrack.sessions().iter().any(|session| session.client == own && session.state == "in sync");
        followed.then(|| assert_eq!(transfer(client, &mut ends, INSIDE + 3), Outcome::Opened))
    });
    assert!(ended.elapsed() < Duration::from_secs(3), "{:?}", ended.elapsed());
    assert!(ftptrack.sessions().len() <= LIMIT + 1, "the third host's may be there still");
    ftptrack.stop();
}

/// How often a control connection is counted that isn't followed: once.
#[test]
fn a_connection_over_the_limit_is_counted_once() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let programs = Attached::to(server);
    let at = server.at(Family::V4, CONTROL);
    let begin = |n: u16| Talk::begin(&programs, client.at(Family::V4, 40_000 + n), at, [1, 1]);
    let places: Vec<_> = (0..128).map(begin).collect();
    assert_eq!(places.len(), LIMIT);
    assert_eq!(ftptrack.stats().of(Counter::SessionsOverLimit), 0);
    let mut over = begin(128);
    over.log_in();
    over.exchange("NOOP\r\n", "200 ok\r\n");
    assert_eq!(ftptrack.stats().of(Counter::SessionsOverLimit), 1);
    ftptrack.stop();
}

/// A client that lost its power, say: the server closes in the end, and gets no answer.
#[test]
fn a_client_that_vanished_holds_no_place_once_the_server_has_closed() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let programs = Attached::to(server);
    let at = server.at(Family::V4, CONTROL);
    for n in 0..128 {
        let mut talk = Talk::begin(&programs, client.at(Family::V4, 40_000 + n), at, [1, 1]);
        talk.log_in();
        talk.server_closes();
    }
    assert_eq!(ftptrack.stats().of(Counter::SessionsStarted), u64::from(MAX_SESSIONS_PER_CLIENT));
    let mut later = Talk::begin(&programs, client.at(Family::V4, 41_000), at, [1, 1]);
    later.log_in();
    later.passive(INSIDE);
    assert!(later.begins(50_000, INSIDE, 1), "{} sessions of closed connections", ftptrack.sessions().len());
    ftptrack.stop();
}

/// Connects as any client does: its SYN is repeated after one, three and seven seconds.
#[track_caller]
fn connect_patiently(client: &Host, target: SocketAddr) -> io::Result<Duration> {
    let socket = client.namespace.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    let begin = Instant::now();
    socket.connect_timeout(&target.into(), patience())?;
    Ok(begin.elapsed())
}

#[test]
fn a_sweep_in_the_clients_name_keeps_it_out_no_longer_than_it_lasts() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, third, .. }, .. } = &testbed;
    let mut guarded = testbed.guarded();
    let programs = Attached::to(server);
    let spoofed = |port: u16, from: u16| Segment {
        source: client.at(Family::V4, from),
        destination: server.at(Family::V4, port),
        seq: u32::from(from),
        ack: 0,
        flags: flag::SYN,
        payload: Vec::new(),
    };
    let _listener = probe::listen(server, server.at(Family::V4, INSIDE));

    // Eight times over the range; where the expectation waits by real packets, so that the server
    // answers them and the client resets what it doesn't know.
    let target = guarded.negotiated(INSIDE);
    for from in 20_000..20_008 {
        for port in PASSIVE_RANGE.filter(|port| *port != INSIDE) {
            assert!(!programs[0].passes(&spoofed(port, from)));
        }
    }
    let link = Wire::of(third);
    for from in 20_000..20_008 {
        link.forge(&spoofed(INSIDE, from), server.mac());
    }
    let took = connect_patiently(client, target).expect("it gets in");
    println!("got in after {took:?}");
    assert!(took < Duration::from_millis(1500), "by the first repetition of its SYN: {took:?}");
    let stats = guarded.ftptrack.stats();
    assert_eq!(stats.of(Counter::FlowsEstablished), 1);
    assert_eq!(stats.of(Counter::DeniedPassive), 8 * (PASSIVE_RANGE.len() as u64 - 1));
    // The client's own resets free the places that forged SYNs took, so few or none are denied for want of one.
    let forged = stats.of(Counter::DeniedHalfOpen) + stats.of(Counter::FlowsRefused);
    assert_eq!(forged, 8, "{stats:?}");

    // A flood that lasts keeps the client out, and no longer.
    guarded.negotiated(INSIDE);
    let lasts = Duration::from_millis(2500);
    let took = thread::scope(|scope| {
        scope.spawn(|| {
            let begin = Instant::now();
            for from in (20_000..30_000).cycle().take_while(|_| begin.elapsed() < lasts) {
                programs[0].passes(&spoofed(INSIDE, from));
            }
        });
        connect_patiently(client, target).expect("it gets in")
    });
    println!("got in after {took:?}");
    assert!(took < Duration::from_millis(3500), "by the second repetition of its SYN: {took:?}");
    assert_eq!(guarded.ftptrack.stats().of(Counter::FlowsEstablished), 2);
    guarded.ftptrack.stop();
}

#[test]
fn a_gibibyte_without_a_newline_is_one_long_line() {
    greedy::ONE_LINE.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        // Retransmissions of what lies farther back than what is kept cost the session its synchronization, and a GiB may
        // have some.
        let lost = stats.of(Counter::Desyncs) != 0;
        assert!(lost || (stats.of(Counter::LongLines), stats.of(Counter::Commands)) == (1, 5), "{stats:?}");
        assert_eq!((stats.of(Counter::MapErrors), stats.denied()), (0, 0), "{stats:?}");
    });
}
