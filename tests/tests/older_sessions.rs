//! Control connections that were open before the filter came.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::{Client, active_command};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{ACTIVE, exchange, transfer};
use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::packets::segment::Segment;
use ftptrack_tests::packets::wire::Wire;
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::subject::guarded::Testbed;

/// A little longer than a server must be silent to have said all.
const SILENCE: Duration = Duration::from_millis(600);

/// Silence is what is asked for, so this is a time and no event.
fn silence() {
    thread::sleep(SILENCE);
}

#[test]
fn an_idle_session_with_vsftpd_gets_its_next_transfer_in_either_mode_and_family() {
    for family in [Family::V4, Family::V6] {
        for active in [false, true] {
            let Network { server, client, .. } = &Network::new();
            let _vsftpd = Vsftpd::on(server);
            let mut control = Client::logged_in(client, server.at(family, 21));
            silence();
            let pins = PinDirectory::new();
            let ftptrack = Ftptrack::guarding(server, &pins);
            let listing = if active {
                let here = client.at(family, 45_000);
                let listener = probe::listen(client, here);
                control.command(&active_command(here)).must_be(200);
                control.command("LIST").must_be(150);
                listener.accept().expect("vsftpd connects").0
            } else {
                let port = control.extended_passive();
                let data = probe::connect(client, server.at(family, port)).expect("it was negotiated");
                control.command("LIST").must_be(150);
                data
            };
            ends(listing);
            control.reply().must_be(226);
            let stats = ftptrack.stats();
            assert_eq!(stats.of(Counter::SessionsAdopted), 1, "{stats:?}");
            assert_eq!(stats.of(Counter::FlowsEstablished), 1, "{stats:?}");
            assert_eq!((stats.denied(), stats.refused()), (0, 0), "{stats:?}");
            ftptrack.stop();
        }
    }
}

fn ends(mut data: TcpStream) {
    let mut listing = Vec::new();
    data.read_to_end(&mut listing).expect("the listing");
}

#[test]
fn a_session_whose_command_waits_for_its_reply_opens_nothing_by_that_reply() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let (mut control, mut session) = ftp.session_with(client);
    // Sent together: by its times the socket has answered all that it got.
    control.send("NOOP\r\nSITE think long\r\n");
    session.hears("NOOP");
    session.hears("SITE think long");
    silence();
    session.say("200 ok");
    control.reply().must_be(200);
    silence();
    let ftptrack = testbed.ftptrack();
    let here = client.at(Family::V4, 45_000);
    let _listener = probe::listen(client, here);
    control.send(active_command(here) + "\r\n");
    session.hears(&active_command(here));
    session.say("200 that was the SITE");
    control.reply().must_be(200);
    assert_eq!(probe::from_port(server, ACTIVE, here), Outcome::Silence);
    session.say("500 that was the PORT");
    control.reply().must_be(500);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::SessionsAdopted), stats.of(Counter::ExpectationsActive)), (0, 0), "{stats:?}");
    ftptrack.stop();
}

#[test]
fn a_transfer_that_was_under_way_goes_on_and_its_session_resyncs() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let (mut control, mut session) = ftp.session_with(client);
    let target = server.at(Family::V4, INSIDE);
    let listener = probe::listen(server, target);
    let mut data = probe::connect(client, target).expect("nothing is attached");
    let (mut sending, _) = listener.accept().expect("it connects");
    drop(listener);
    exchange((&mut control, &mut session), "RETR file", "150 here it comes");
    silence();
    let ftptrack = testbed.ftptrack();
    sending.write_all(b"it goes on").expect("an open transfer goes on");
    let mut piece = [0; 10];
    data.read_exact(&mut piece).expect("an open transfer goes on");
    drop((sending, data));
    // The reply to the RETR must not be taken for that of a command sent before it.
    let here = client.at(Family::V4, 45_000);
    let _listener = probe::listen(client, here);
    control.send(active_command(here) + "\r\n");
    session.hears(&active_command(here));
    session.say("226 that was the RETR");
    control.reply().must_be(226);
    assert_eq!(probe::from_port(server, ACTIVE, here), Outcome::Silence);
    session.say("500 that was the PORT");
    control.reply().must_be(500);
    for _ in 0..2 {
        exchange((&mut control, &mut session), "NOOP", "200 ok");
    }
    assert_eq!(transfer(client, server, (&mut control, &mut session), INSIDE + 1), Outcome::Opened);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::SessionsAdopted), stats.of(Counter::SessionsMidstream)), (0, 1), "{stats:?}");
    ftptrack.stop();
}

#[test]
fn a_blind_packet_does_not_begin_an_idle_session() {
    let Network { server, client, third, .. } = &Network::new();
    let _vsftpd = Vsftpd::on(server);
    let mut control = Client::logged_in(client, server.at(Family::V4, 21));
    let mut link = Wire::of(client);
    control.command("NOOP").must_be(200);
    let said = link.wait_for("the command", |seen| seen.payload == b"NOOP\r\n");
    silence();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let blind = Segment { seq: said.next() + 1000, payload: b"NOOP\r\n".to_vec(), ..said };
    let mut arrives = Wire::of(server);
    Wire::of(third).forge(&blind, server.mac());
    arrives.wait_for("the blind packet", |seen| seen.seq == blind.seq);
    assert_eq!(ftptrack.stats().of(Counter::SessionsAdopted), 0);
    let port = control.extended_passive();
    assert_eq!(probe::to(client, server.at(Family::V4, port)), Outcome::Opened);
    assert_eq!(ftptrack.stats().of(Counter::SessionsAdopted), 1);
    ftptrack.stop();
}
