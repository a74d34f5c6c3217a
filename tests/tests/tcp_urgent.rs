//! Urgent data (RFC 6093): the server's stack takes one byte out of the stream, so it reads another stream than the one
//! that passed. A Telnet ABOR is sent so; anything else opens nothing until the session is back in sync.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::evasions::{must_hold, urgent};
use ftptrack_tests::suites::scenarios::retransmissions;

#[test]
fn an_urgent_byte_opens_nothing_unless_it_is_telnet() {
    must_hold(urgent::CASES, 34_000);
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
