//! Plays all trials, several at a time.

use super::{Found, Trial};
use crate::suites::dialogues::Guard;
use crate::support::parallel::in_parallel;

/// Trials at a time.
const WORKERS: usize = 3;

/// Plays [`Trial::all`]: what came of each, in that order.
#[track_caller]
#[must_use]
pub fn play_all(guard: Guard) -> Vec<Found> {
    in_parallel(WORKERS, Trial::all(), |trials| trials.for_each(|trial| trial.play(guard)))
}
