//! What deferring early segments costs, and a gateway that sees what its server never gets
//! ([`ftptrack_tests::suites::scenarios::loss`]), with what ftptrack counts.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::scenarios::loss;

#[test]
fn a_lost_segment_costs_no_more_than_one_retransmission_timeout() {
    loss::LOST.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::Desyncs), stats.denied()), (0, 0), "{stats:?}");
        assert_eq!(stats.of(Counter::FlowsEstablished), 5);
    });
}

#[test]
fn what_does_not_survive_the_way_behind_a_gateway_was_never_said() {
    loss::ONLY_THE_GATEWAY.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::OverlapsDiffer), stats.of(Counter::Desyncs)), (1, 1), "{stats:?}");
        assert_eq!(stats.of(Counter::DeniedPassive), 1);
    });
}
