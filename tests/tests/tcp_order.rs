//! Segment order ([`ftptrack_tests::suites::evasions::order`]): ftptrack must read what the server reads, or open
//! nothing.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::evasions::{must_hold, order};
use ftptrack_tests::suites::scenarios::retransmissions;

#[test]
fn an_evasion_by_segment_order_opens_nothing_and_the_session_goes_on() {
    must_hold(order::CASES, 30_000);
}

#[test]
fn a_repeated_segment_is_the_same_however_long_it_is() {
    retransmissions::REPEATED.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::Desyncs), 0));
}
