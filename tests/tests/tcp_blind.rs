//! Packets of somebody who knows the addresses and ports of a control connection and not its numbers,
//! or who is wrong about them: TCP ignores them, so ftptrack must. The session stays in step, its
//! expectation stands, and the next transfer works.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::client::Client;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::games::Bout;
use ftptrack_tests::games::blind::{BLIND, Blind, LUCKY};
use ftptrack_tests::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::probe::{self, Outcome};
use ftptrack_tests::segment::{Segment, flag};
use ftptrack_tests::server::{Server, Session};
use ftptrack_tests::wait::{self, PATIENCE};
use ftptrack_tests::wire::Wire;

#[track_caller]
fn none_harms_a_session(blind: &[Blind], first_port: u16) {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut bout = Bout::new((client, server), &ftp, first_port, PATIENCE);
    let mut failures = Vec::new();
    for (blind, port) in blind.iter().zip(INSIDE..) {
        let before = ftptrack.stats();
        let opened = blind.strike(&mut bout, port).unwrap_or_else(|stuck| panic!("{}: {stuck}", blind.name));
        let stats = ftptrack.stats();
        let lost = stats.of(Counter::StepsLost) - before.of(Counter::StepsLost);
        let states: Vec<_> = ftptrack.sessions().into_iter().map(|session| session.state).collect();
        let next_opens = bout.peer.passive(&mut bout.session, port + 1000);
        if !opened || !next_opens || lost != 0 || states != ["in step"] {
            failures.push(format!(
                "{}: opened {opened}, the next one {next_opens}, {lost} steps lost, {states:?}",
                blind.name
            ));
            bout.peer.finds_its_footing(&mut bout.session);
        }
    }
    assert_eq!(failures, [""; 0]);
    assert_eq!(ftptrack.stats().denied(), 0);
    // It was there to be harmed: the right numbers end it.
    bout.peer.put(&Segment { flags: flag::RST, ..bout.peer.segment("") });
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

/// A session of a real client, and the next segment that its server would send.
#[track_caller]
fn session_of(client: &Host, ftp: &Server) -> (Client, Session, Segment) {
    let (mut control, mut session) = ftp.session_with(client);
    let mut link = Wire::of(client);
    control.send("NOOP\r\n");
    session.hears("NOOP");
    session.say("200 ok");
    control.reply().must_be(200);
    let said = link.wait_for("the answer", |seen| seen.payload == b"200 ok\r\n");
    let next = Segment { seq: said.next(), payload: Vec::new(), ..said };
    (control, session, next)
}

/// Whether a few exchanges bring the one session back into step.
fn in_step_again(ftptrack: &Ftptrack<'_>, control: &mut Client, session: &mut Session) -> bool {
    for _ in 0..8 {
        control.send("NOOP\r\n");
        session.hears("NOOP");
        session.say("200 ok");
        control.reply().must_be(200);
    }
    ftptrack.sessions().iter().any(|session| session.state == "in step")
}

/// Where the servers lie beyond the interface, it is their voice that anyone can send with any number.
#[test]
fn on_a_client_host_no_session_is_lost_to_a_blind_packet_with_the_servers_address() {
    let Network { server, client, third, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let address = server.address(Family::V4).to_string();
    let options = ["-i", INTERFACE, "--passive-range", "10240-20480", "--side", "servers-beyond"];
    let ftptrack = Ftptrack::run(client, &pins, &[&options[..], &["--server", &address]].concat());
    let blinds = Wire::of(third);
    let mut failures = Vec::new();
    for (blind, port) in BLIND.iter().zip(INSIDE..) {
        let before = ftptrack.stats();
        let (mut control, mut session, next) = session_of(client, &ftp);
        blinds.forge(&blind.segment(&next), client.mac());
        let mut opened = Vec::new();
        for port in [port, port + 1000] {
            let target = server.at(Family::V4, port);
            let _listener = probe::listen(server, target);
            control.send("PASV\r\n");
            session.hears("PASV");
            session.say_passive(target);
            assert_eq!(control.reply().six_numbers(), target, "{}", blind.name);
            opened.push(probe::to(client, target));
        }
        let lost = ftptrack.stats().of(Counter::StepsLost) - before.of(Counter::StepsLost);
        if opened != [Outcome::Opened; 2] || lost != 0 {
            let recovers = in_step_again(&ftptrack, &mut control, &mut session);
            failures.push(format!("{}: {opened:?}, {lost} steps lost, recovers: {recovers}", blind.name));
        }
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}
