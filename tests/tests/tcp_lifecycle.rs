//! Connection setup and teardown out of the ordinary ([`ftptrack_tests::suites::scenarios::lifecycle`]),
//! with what ftptrack counts.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::scenarios::{fast_open, lifecycle};

#[test]
fn a_client_that_has_closed_its_half_is_still_answered() {
    lifecycle::HALF_CLOSED.must_hold(|ftptrack| {
        assert_eq!(ftptrack.sessions().len(), 0);
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::SessionsEnded), stats.of(Counter::DeniedUsed)), (1, 1), "{stats:?}");
    });
}

#[test]
fn a_new_session_on_old_ports_does_not_inherit() {
    lifecycle::USED_AGAIN.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::SessionsStarted), stats.of(Counter::SessionsMidstream)), (2, 0), "{stats:?}");
        assert!(stats.of(Counter::SessionsEnded) >= 1, "{stats:?}");
        assert_eq!((stats.of(Counter::DeniedPassive), stats.of(Counter::FlowsEstablished)), (1, 1));
    });
}

#[test]
fn an_echo_of_a_closed_connection_makes_no_session() {
    lifecycle::ECHO.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::SessionsMidstream), 0));
}

#[test]
fn a_client_whose_last_segment_came_late_leaves_no_session() {
    lifecycle::LATE.must_hold(|ftptrack| assert_eq!(ftptrack.sessions().len(), 0, "{:?}", ftptrack.sessions()));
}

#[test]
fn a_client_that_is_refused_may_try_again() {
    lifecycle::REFUSED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::FlowsRefused), stats.of(Counter::FlowsEstablished)), (18, 2), "{stats:?}");
        assert_eq!(stats.denied(), 2);
    });
}

#[test]
fn a_session_goes_on_where_its_numbers_wrap() {
    lifecycle::WRAPPED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::Desyncs), stats.of(Counter::FlowsEstablished)), (0, 50), "{stats:?}");
    });
}

#[test]
fn data_in_a_syn_is_denied_and_the_client_repeats_it_without() {
    fast_open::FAST_OPEN.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::DeniedSynData), stats.denied()), (1, 1), "{stats:?}");
        assert_eq!((stats.of(Counter::SessionsStarted), stats.of(Counter::Desyncs)), (1, 0));
        assert_eq!(stats.of(Counter::FlowsEstablished), 1);
    });
}
