//! Plays all trials, several at a time.

use std::sync::Mutex;
use std::thread;

use super::{Found, Trial};
use crate::suites::dialogues::Guard;

/// Trials at a time.
const STAGES: usize = 3;

/// Plays [`Trial::all`]: what came of each, in that order.
#[track_caller]
#[must_use]
pub fn play_all(guard: Guard) -> Vec<Found> {
    let ahead = Mutex::new(Trial::all().enumerate());
    let next = || ahead.lock().expect("nobody panics here").next();
    let found = Mutex::new(vec![None; Trial::all().count()]);
    let done = |index: usize, one| found.lock().expect("nobody panics here")[index] = Some(one);
    thread::scope(|scope| {
        for _ in 0..STAGES {
            scope.spawn(|| {
                while let Some((index, trial)) = next() {
                    done(index, trial.play(guard));
                }
            });
        }
    });
    let found = found.into_inner().expect("all threads are done");
    found.into_iter().map(|found| found.expect("all are played")).collect()
}
