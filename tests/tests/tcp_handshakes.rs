//! One negotiation and more than one connection on it ([`ftptrack_tests::suites::scenarios::handshakes`]), with what
//! ftptrack counts.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::scenarios::{Scenario, handshakes};

/// It holds, and these denials were counted.
#[track_caller]
fn counts(scenario: &Scenario, denials: &[(Counter, u64)]) {
    scenario.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        for (counter, times) in denials {
            assert_eq!(stats.of(*counter), *times, "{}: {stats:?}", counter.name());
        }
        assert_eq!(stats.denied(), denials.iter().map(|(_, times)| times).sum::<u64>(), "{stats:?}");
    });
}

#[test]
fn a_reset_that_the_host_does_not_take_lets_no_second_connection_in() {
    counts(&handshakes::RESET_UNSEEN, &[(Counter::DeniedHandshake, 1)]);
}

#[test]
fn a_syn_that_the_host_does_not_take_changes_no_numbers() {
    counts(&handshakes::SYN_UNSEEN, &[(Counter::DeniedTupleInUse, 1), (Counter::DeniedUsed, 1)]);
}

#[test]
fn of_two_cookies_one_is_a_connection() {
    counts(&handshakes::TWO_COOKIES, &[(Counter::DeniedHandshake, 1)]);
}

#[test]
fn a_cookie_is_no_second_connection_when_the_first_has_ended() {
    counts(&handshakes::COOKIE_AGAIN, &[(Counter::DeniedHandshake, 2)]);
}

#[test]
fn an_acknowledgement_that_the_host_did_not_take_ends_with_its_session() {
    counts(&handshakes::ACK_UNSEEN, &[(Counter::DeniedPassive, 1), (Counter::DeniedSessionGone, 1)]);
}

#[test]
fn a_syn_that_is_a_connection_by_itself_is_denied() {
    counts(&handshakes::DATA_IN_SYN, &[(Counter::DeniedFastOpen, 2)]);
}

#[test]
fn a_neighbour_burns_no_expectation() {
    handshakes::BURNT.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::FlowsEstablished), 1));
}

#[test]
fn sessions_that_ended_take_no_place() {
    handshakes::SHORT_LIVED.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::SessionsOverLimit), stats.denied()), (0, 0), "{stats:?}");
    });
}
