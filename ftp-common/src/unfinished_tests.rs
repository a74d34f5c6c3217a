//! The limit of half-open connections that a session leaves behind, and whether its expectation stands.

use super::*;

#[test]
fn a_session_leaves_so_many_behind_and_one_more_after_each_leak() {
    let mut unfinished = Unfinished::default();
    let now = 1000 * crate::SECOND;
    for _ in 0..MAX_UNFINISHED {
        assert!(unfinished.take(now));
    }
    assert!(!unfinished.take(now));
    assert!(!unfinished.take(now + UNFINISHED_LEAK - 1));
    assert!(unfinished.take(now + UNFINISHED_LEAK));
    assert!(!unfinished.take(now + UNFINISHED_LEAK));
    assert!(!unfinished.take(now), "the clock of another CPU may be behind");
    let later = now + 4 * UNFINISHED_LEAK;
    for _ in 0..3 {
        assert!(unfinished.take(later));
    }
    assert!(!unfinished.take(later));
}

#[test]
fn the_bucket_leaks_no_more_than_it_holds() {
    for (held, leaks, left) in [(5, 4, 1), (5, 5, 0), (5, 6, 0), (0, 3, 0), (5, 1 << 32, 0)] {
        let mut unfinished = Unfinished { count: held, ..Unfinished::default() };
        assert!(unfinished.take(leaks * UNFINISHED_LEAK));
        assert_eq!(unfinished.count, left + 1, "{held} held, {leaks} leaked");
    }
}

#[test]
fn one_that_was_finished_makes_room() {
    let mut unfinished = Unfinished { leaked_at: 1, count: MAX_UNFINISHED, zero: 0 };
    unfinished.give_back();
    assert!(unfinished.take(1));
    assert!(!unfinished.take(1));
    let mut none = Unfinished::default();
    none.give_back();
    assert_eq!(none.count, 0);
}

#[test]
fn an_expectation_stands_while_its_session_has_it_and_is_sure_of_it() {
    let mut session = Session { session_id: 3, ..Session::default() };
    session.server.serial = 7;
    session.server.standing.mode = 1;
    (session.client.desyncs, session.server.resynced_for) = (2, 2);
    assert!(session.stands(3, 7));
    assert!(!session.stands(4, 7), "another session");
    assert!(!session.stands(3, 6), "an earlier expectation");
    let mut withdrawn = session;
    withdrawn.server.standing.mode = 0;
    assert!(!withdrawn.stands(3, 7));
    session.client.desyncs = 3;
    assert!(!session.stands(3, 7), "it has lost synchronization since");
}
