//! A client on the server's own link says, with the server's address and the right numbers, what
//! the server has not said. It opens nothing.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::{Client, active_command, six_numbers};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{ACTIVE, Server, Session};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::packets::segment::{Segment, flag};
use ftptrack_tests::packets::wire::Wire;
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::subject::guarded::Testbed;
use ftptrack_tests::suites::scenarios::off_path;
use ftptrack_tests::support::wait;

/// Sends `command`, and forges the server's answer to it: it has arrived at the server's interface
/// when this returns. What the real server heard it has not answered.
#[track_caller]
fn forge_the_answer(hosts: (&Host, &Host), ends: (&mut Client, &mut Session), command: &str, answer: &str) {
    let ((client, server), (control, session)) = (hosts, ends);
    let mut own_link = Wire::of(client);
    let mut servers_link = Wire::of(server);
    let line = format!("{command}\r\n");
    control.send(&line);
    session.hears(command);
    let sent = own_link.wait_for("the command", |seen: &Segment| seen.payload == line.as_bytes());
    // The server has heard it and has said nothing: these are the numbers of its next word.
    let forged = sent.answer(flag::ACK | flag::PSH, format!("{answer}\r\n").as_bytes());
    own_link.forge(&forged, server.mac());
    servers_link.wait_for("the forged answer", |seen| *seen == forged);
}

#[test]
fn a_forged_227_opens_nothing() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let target = server.at(Family::V4, INSIDE);
    let after_a_forged_227 = || {
        let (mut control, mut session) = ftp.session_with(client);
        let _listener = probe::listen(server, target);
        let forged = format!("227 Entering Passive Mode ({}).", six_numbers(target));
        forge_the_answer((client, server), (&mut control, &mut session), "PASV", &forged);
        (probe::to(client, target), control, session)
    };
    assert_eq!(after_a_forged_227().0, Outcome::Opened, "nothing is attached");

    let ftptrack = testbed.ftptrack();
    let (outcome, mut control, mut session) = after_a_forged_227();
    assert_eq!(outcome, Outcome::Silence);
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::DeniedWrongDirection), 1, "{stats:?}");
    assert_eq!((stats.of(Counter::DeniedPassive), stats.of(Counter::ExpectationsPassive)), (1, 0));

    // The session is none the worse for it: the server's own word counts.
    let other = server.at(Family::V4, INSIDE + 1);
    let _listener = probe::listen(server, other);
    session.say_passive(other);
    assert_eq!(control.reply().six_numbers(), other);
    assert_eq!(probe::to(client, other), Outcome::Opened);
    assert_eq!(ftptrack.stats().of(Counter::ExpectationsPassive), 1);
    ftptrack.stop();
}

#[test]
fn a_forged_229_opens_nothing() {
    for family in Family::BOTH {
        let Network { server, client, .. } = &Network::new();
        let ftp = Server::on(server, family);
        let target = server.at(family, INSIDE);
        let after_a_forged_229 = || {
            let (mut control, mut session) = ftp.session_with(client);
            let _listener = probe::listen(server, target);
            let forged = format!("229 Entering Extended Passive Mode (|||{INSIDE}|)");
            forge_the_answer((client, server), (&mut control, &mut session), "EPSV", &forged);
            (probe::to(client, target), control, session)
        };
        assert_eq!(after_a_forged_229().0, Outcome::Opened, "nothing is attached");

        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        let (outcome, _control, _session) = after_a_forged_229();
        assert_eq!(outcome, Outcome::Silence);
        let stats = ftptrack.stats();
        assert_eq!(stats.of(Counter::DeniedWrongDirection), 1, "{stats:?}");
        assert_eq!((stats.of(Counter::DeniedPassive), stats.of(Counter::ExpectationsPassive)), (1, 0));
        ftptrack.stop();
    }
}

#[test]
fn a_forged_200_for_a_port_command_opens_nothing() {
    for family in Family::BOTH {
        let Network { server, client, .. } = &Network::new();
        let ftp = Server::on(server, family);
        let target = client.at(family, 40_000);
        let after_a_forged_200 = || {
            let (mut control, mut session) = ftp.session_with(client);
            let _listener = probe::listen(client, target);
            let command = active_command(target);
            forge_the_answer((client, server), (&mut control, &mut session), &command, "200 yes");
            (probe::from_port(server, ACTIVE, target), control, session)
        };
        assert_eq!(after_a_forged_200().0, Outcome::Opened, "nothing is attached");

        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        let (outcome, mut control, mut session) = after_a_forged_200();
        assert_eq!(outcome, Outcome::Silence);
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::DeniedWrongDirection), stats.of(Counter::ExpectationsActive)), (1, 0));
        assert!(stats.of(Counter::DeniedActive) >= 1, "{stats:?}");

        let _listener = probe::listen(client, target);
        session.say("200 yes");
        control.reply().must_be(200);
        assert_eq!(probe::from_port(server, ACTIVE, target), Outcome::Opened);
        assert_eq!(ftptrack.stats().of(Counter::ExpectationsActive), 1);
        ftptrack.stop();
    }
}

#[test]
fn a_session_that_is_all_forged_opens_nothing() {
    off_path::ALL_FORGED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!(stats.of(Counter::DeniedWrongDirection), 3, "SYN-ACK, 220, 227: {stats:?}");
        assert_eq!((stats.of(Counter::SessionsStarted), stats.of(Counter::ExpectationsPassive)), (0, 0));
        assert_eq!(stats.of(Counter::DeniedPassive), 1);
        wait::until("no session stays", || ftptrack.sessions().is_empty().then_some(()));
    });
}
