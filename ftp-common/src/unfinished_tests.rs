//! The limit of half-open connections that a session leaves behind.

use super::*;

#[test]
fn a_session_leaves_so_many_behind_and_one_more_after_each_leak() {
    assert_eq!((MAX_UNFINISHED, UNFINISHED_LEAK), (32, 4_000_000_000), "four seconds");
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
fn what_is_left_of_the_time_counts_for_the_next_leak() {
    let mut unfinished = Unfinished { count: 5, ..Unfinished::default() };
    assert!(unfinished.take(2 * UNFINISHED_LEAK + 1));
    assert_eq!(unfinished.count, 4);
    assert!(unfinished.take(3 * UNFINISHED_LEAK - 1));
    assert_eq!(unfinished.count, 5, "not yet");
    assert!(unfinished.take(3 * UNFINISHED_LEAK));
    assert_eq!(unfinished.count, 5);
}
