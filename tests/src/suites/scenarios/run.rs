//! Plays all scenarios, several at a time.

use super::{Found, Scenario};
use crate::suites::dialogues::Guard;
use crate::support::parallel::in_parallel;

/// Trials at a time.
const WORKERS: usize = 3;

/// Plays [`Scenario::all`]: what came of each, in that order.
#[track_caller]
#[must_use]
pub fn play_all(guard: Guard) -> Vec<Found> {
    in_parallel(WORKERS, Scenario::all(), |scenarios| scenarios.for_each(|scenario| scenario.play(guard)))
}
