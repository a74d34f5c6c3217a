//! Urgent data (RFC 6093): the server's stack takes one byte out of the stream, so what it reads isn't
//! what passed. A Telnet ABOR is sent so; anything else opens nothing until back in step.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::server::Server;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::suites::evasions::Bout;
use ftptrack_tests::suites::evasions::urgent::{CASES, Case};
use ftptrack_tests::suites::scenarios::retransmissions;
use ftptrack_tests::support::wait::PATIENCE;

#[test]
fn an_urgent_byte_opens_nothing_unless_it_is_telnet() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let opens_after = |case: &Case, port| {
        let mut bout = Bout::new((client, server), &ftp, port, PATIENCE);
        case.play(&mut bout).unwrap_or_else(|stuck| panic!("{}: {stuck}", case.name));
        (bout.peer.opens(INSIDE), bout)
    };
    for (case, port) in CASES.iter().zip(34_000..) {
        assert!(opens_after(case, port).0, "nothing is attached: {}", case.name);
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let mut failures = Vec::new();
    for (case, port) in CASES.iter().zip(35_000..) {
        let before = ftptrack.stats();
        let (opened, mut bout) = opens_after(case, port);
        let after = ftptrack.stats();
        let urgent = after.of(Counter::UrgentData) - before.of(Counter::UrgentData);
        if opened != case.opens || (urgent == 0) != case.opens {
            failures.push(format!("{}: opened {opened}, {urgent} urgent", case.name));
        }
        bout.peer.finds_its_footing(&mut bout.session);
    }
    assert_eq!(failures, [""; 0]);
    ftptrack.stop();
}

#[test]
fn after_an_urgent_abor_the_next_pasv_and_the_next_port_work() {
    retransmissions::ABORTED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::UrgentData), stats.of(Counter::Desyncs)), (0, 0), "{stats:?}");
        assert_eq!((stats.of(Counter::FlowsEstablished), stats.denied()), (4, 0));
    });
}

#[test]
fn a_repeated_urgent_segment_is_read_once() {
    retransmissions::URGENT_AGAIN.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::Desyncs), 0));
}
