//! What was not negotiated does not begin.

use ftp_common::counter::Counter;
use ftptrack_tests::actors::client::active_command;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{ACTIVE, Server, exchange, negotiated};
use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::subject::guarded::Testbed;
use ftptrack_tests::support::wait;
use ftptrack_tests::{INSIDE, PASSIVE_RANGE};

#[test]
fn an_unexpected_connection_to_the_range_does_not_begin_whoever_makes_it() {
    let Network { server, client, third, .. } = &Network::new();
    let outcomes = || {
        let mut outcomes = Vec::new();
        for family in Family::BOTH {
            for port in [*PASSIVE_RANGE.start(), INSIDE, *PASSIVE_RANGE.end()] {
                let target = server.at(family, port);
                let _listener = probe::listen(server, target);
                outcomes.extend([client, third].map(|host| probe::to(host, target)));
            }
        }
        outcomes
    };
    assert_eq!(outcomes(), [Outcome::Opened; 12], "nothing is attached");

    let pins = PinDirectory::new();
    let mut ftptrack = Ftptrack::guarding(server, &pins);
    assert_eq!(outcomes(), [Outcome::Silence; 12]);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::DeniedPassive), stats.denied()), (12, 12));
    // It says so, with both ends.
    for host in [client, third] {
        let denied = ftptrack.wait_for_line(&host.address(Family::V4).to_string());
        assert!(denied.contains("denied"), "{denied}");
        assert!(denied.contains(&format!("{}:", server.address(Family::V4))), "{denied}");
    }
    // One port to either side of the range is nobody's business.
    for port in [PASSIVE_RANGE.start() - 1, PASSIVE_RANGE.end() + 1] {
        assert_eq!(probe::to(third, server.at(Family::V4, port)), Outcome::Refused);
    }
    assert_eq!(ftptrack.stats().denied(), 12);
    ftptrack.stop();
}

#[test]
fn an_unexpected_connection_from_the_active_port_does_not_begin() {
    let Network { server, client, .. } = &Network::new();
    let outcomes = || {
        Family::BOTH.map(|family| {
            let target = client.at(family, 40_000);
            let _listener = probe::listen(client, target);
            probe::from_port(server, ACTIVE, target)
        })
    };
    assert_eq!(outcomes(), [Outcome::Opened; 2], "nothing is attached");

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    assert_eq!(outcomes(), [Outcome::Silence; 2]);
    let stats = ftptrack.stats();
    // An egress that drops is heard of by the sender, who may try again at once.
    assert!(stats.of(Counter::DeniedActive) >= 2, "{stats:?}");
    assert_eq!(stats.of(Counter::DeniedActive), stats.denied());
    ftptrack.stop();
}

#[test]
fn a_learned_port_is_shut_to_a_third_host_and_open_to_the_client() {
    let Network { server, client, third, .. } = &Network::new();
    let _vsftpd = Vsftpd::on(server);
    for family in Family::BOTH {
        let learned = || {
            let mut control = ftptrack_tests::actors::client::Client::logged_in(client, server.at(family, 21));
            let port = control.extended_passive();
            assert!(PASSIVE_RANGE.contains(&port));
            let target = server.at(family, port);
            (probe::to(third, target), probe::to(client, target), control)
        };
        let (by_third, ..) = learned();
        assert_eq!(by_third, Outcome::Opened, "nothing is attached");

        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        let (by_third, by_client, _control) = learned();
        assert_eq!((by_third, by_client), (Outcome::Silence, Outcome::Opened));
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::DeniedPassive), stats.denied()), (1, 1));
        assert_eq!(stats.of(Counter::FlowsEstablished), 1);
        ftptrack.stop();
    }
}

#[test]
fn a_used_expectation_lets_no_second_connection_in() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let both = || {
        let (mut control, mut session) = ftp.session_with(client);
        let _listener = probe::listen(server, server.at(Family::V4, INSIDE));
        let target = negotiated((&mut control, &mut session), server.at(Family::V4, INSIDE));
        let first = probe::connect(client, target).expect("the server said so");
        // While the first lives, and after it has ended.
        let second = probe::to(client, target);
        drop(first);
        (second, probe::to(client, target), control, session)
    };
    let (second, third, ..) = both();
    assert_eq!((second, third), (Outcome::Opened, Outcome::Opened), "nothing is attached");

    let ftptrack = testbed.ftptrack();
    let (second, third, _control, _session) = both();
    assert_eq!((second, third), (Outcome::Silence, Outcome::Silence));
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::FlowsEstablished)), (1, 1));
    assert_eq!(stats.denied(), 2, "{stats:?}");
    ftptrack.stop();
}

#[test]
fn an_expectation_goes_with_its_session() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let after_the_end = |ended: &dyn Fn()| {
        let (mut control, mut session) = ftp.session_with(client);
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        negotiated((&mut control, &mut session), target);
        drop((control, session));
        ended();
        probe::to(client, target)
    };
    assert_eq!(after_the_end(&|| ()), Outcome::Opened, "nothing is attached");

    let ftptrack = testbed.ftptrack();
    let ended = || {
        wait::until("the session ends", || (ftptrack.stats().of(Counter::SessionsEnded) == 1).then_some(()));
    };
    assert_eq!(after_the_end(&ended), Outcome::Silence);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::FlowsEstablished)), (1, 0));
    assert_eq!(stats.denied(), 1, "{stats:?}");
    assert_eq!(ftptrack.sessions().len(), 0);
    ftptrack.stop();
}

#[test]
fn a_port_command_opens_when_the_server_accepts_it_and_not_when_it_refuses() {
    let Network { server, client, .. } = &Network::new();
    for family in Family::BOTH {
        let ftp = Server::on(server, family);
        let connects_after = |answer: &str| {
            let (mut control, mut session) = ftp.session_with(client);
            let target = client.at(family, 40_000);
            let _listener = probe::listen(client, target);
            let command = active_command(target);
            control.send(format!("{command}\r\n"));
            session.hears(&command);
            session.say(answer);
            control.reply();
            (probe::from_port(server, ACTIVE, target), control, session)
        };
        assert_eq!(connects_after("500 no").0, Outcome::Opened, "nothing is attached");

        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        assert_eq!(connects_after("500 no").0, Outcome::Silence);
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::RejectedByServer), stats.of(Counter::ExpectationsActive)), (1, 0));
        assert!(stats.of(Counter::DeniedActive) >= 1, "{stats:?}");

        let (outcome, _control, _session) = connects_after("200 yes");
        assert_eq!(outcome, Outcome::Opened);
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::ExpectationsActive), stats.of(Counter::FlowsEstablished)), (1, 1));
        ftptrack.stop();
    }
}

#[test]
fn a_port_command_that_names_another_host_opens_nothing_though_the_server_accepts_it() {
    let Network { server, client, third, .. } = &Network::new();
    for family in Family::BOTH {
        let ftp = Server::on(server, family);
        let connects = || {
            let (mut control, mut session) = ftp.session_with(client);
            let target = third.at(family, 40_000);
            let _listener = probe::listen(third, target);
            let command = active_command(target);
            exchange((&mut control, &mut session), &command, "200 yes");
            (probe::from_port(server, ACTIVE, target), control, session)
        };
        assert_eq!(connects().0, Outcome::Opened, "nothing is attached");

        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::guarding(server, &pins);
        let (outcome, _control, _session) = connects();
        assert_eq!(outcome, Outcome::Silence);
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::RefusedForeignAddress), stats.refused()), (1, 1));
        assert_eq!(stats.of(Counter::ExpectationsActive), 0);
        assert!(stats.of(Counter::DeniedActive) >= 1, "{stats:?}");
        ftptrack.stop();
    }
}
