//! Scenarios with ftptrack that no other test is about, and all of them with the kernel's FTP helper.

use ftp_common::counter::Counter;
use ftptrack_tests::suites::dialogues::Guard;
use ftptrack_tests::suites::scenarios::{self, Scenario, echoes, floods, greedy, races};
use ftptrack_tests::suites::security_page;

#[test]
fn a_crowd_of_syns_disturbs_nobody_and_leaves_nothing() {
    floods::SYNS.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::MapErrors), 0));
}

#[test]
fn a_crowd_of_sessions_breaks_no_transfer_and_keeps_nobody_out() {
    floods::SESSIONS.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert!(stats.of(Counter::SessionsStarted) >= 260_000, "they are sessions: {stats:?}");
        assert_eq!(stats.of(Counter::MapErrors), 0);
    });
}

#[test]
fn one_client_with_many_sessions_disturbs_no_other() {
    greedy::GREEDY.must_hold(|ftptrack| assert!(ftptrack.stats().of(Counter::SessionsOverLimit) >= 12));
}

#[test]
fn a_sweep_in_the_clients_name_burns_no_expectation() {
    greedy::SWEPT.must_hold(|ftptrack| assert_eq!(ftptrack.stats().of(Counter::FlowsEstablished), 1));
}

#[test]
fn a_file_s_name_that_ends_a_reply_opens_nothing() {
    echoes::LISTED_NAME.must_hold(|ftptrack| {
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::DeniedPassive)), (1, 1), "{stats:?}");
    });
}

#[test]
fn of_two_connections_at_once_for_one_expectation_the_server_gets_one() {
    races::TWO_FOR_ONE.must_hold(|ftptrack| {
        assert_eq!(ftptrack.stats().of(Counter::FlowsEstablished), u64::from(races::ROUNDS));
    });
}

/// So it is here: the other tests say that ftptrack is as it must be.
#[test]
fn with_the_kernels_helper_scenarios_end_as_the_table_says() {
    let rows: Vec<_> = Scenario::all()
        .zip(scenarios::play_all(Guard::Conntrack))
        .map(|(scenario, found)| scenarios::table::Row {
            scenario,
            ftptrack: scenario.expected.to_vec(),
            conntrack: found.observed,
        })
        .collect();
    security_page::must_contain(&scenarios::table::write(&rows));
}
