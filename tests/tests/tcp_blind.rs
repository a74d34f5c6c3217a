//! Packets of an off-path attacker, who knows the addresses and ports of a control connection and not its numbers:
//! TCP ignores them, so ftptrack must. The session stays in sync, its
//! expectation stands, and the next transfer works.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::server::Server;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::packets::segment::{Segment, flag};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::suites::evasions::Connection;
use ftptrack_tests::suites::evasions::blind::{BLIND, Blind, LUCKY};
use ftptrack_tests::suites::scenarios::off_path;
use ftptrack_tests::support::wait::{self, patience};

#[track_caller]
fn none_harms_a_session(blind: &[Blind], first_port: u16) {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut connection = Connection::new((client, server), &ftp, first_port, patience());
    let mut failures = Vec::new();
    for (blind, port) in blind.iter().zip(INSIDE..) {
        let before = ftptrack.stats();
        let opened = blind.send(&mut connection, port).unwrap_or_else(|hang| panic!("{}: {hang}", blind.name));
        let stats = ftptrack.stats();
        let lost = stats.of(Counter::Desyncs) - before.of(Counter::Desyncs);
        let states: Vec<_> = ftptrack.sessions().into_iter().map(|session| session.state).collect();
        let next_opens = connection.peer.passive(&mut connection.session, port + 1000);
        if !opened || !next_opens || lost != 0 || states != ["in sync"] {
            failures.push(format!(
                "{}: opened {opened}, the next one {next_opens}, {lost} steps lost, {states:?}",
                blind.name
            ));
            connection.peer.resyncs(&mut connection.session);
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(ftptrack.stats().denied(), 0);
    // It was there to be harmed: the right numbers end it.
    connection.peer.put(&Segment { flags: flag::RST, ..connection.peer.segment("") });
    wait::until("the session ends", || ftptrack.sessions().is_empty().then_some(()));
    assert_eq!(ftptrack.stats().of(Counter::SessionsEnded), 1);
    ftptrack.stop();
}

#[test]
fn no_session_is_lost_to_a_blind_packet() {
    none_harms_a_session(BLIND, 32_000);
}

#[test]
fn no_session_is_lost_to_a_packet_with_a_lucky_number() {
    none_harms_a_session(LUCKY, 33_000);
}

/// With `servers-beyond` anyone can send the servers' packets, with any number.
#[test]
fn on_a_client_host_no_session_is_lost_to_a_blind_packet_with_the_servers_address() {
    off_path::BLIND_SERVERS.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::Desyncs), 0));
}
