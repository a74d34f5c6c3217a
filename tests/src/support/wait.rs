//! Waiting for what has no event of its own, and not for ever.

use std::env;
use std::thread;
use std::time::{Duration, Instant};

/// How long anything that must happen may take, on a busy machine or one that is emulated. Only a failing test ever
/// waits this long. Where tests are expected to fail, `FTPTRACK_TESTS_PATIENCE` says how many seconds it is instead.
pub fn patience() -> Duration {
    let given = env::var("FTPTRACK_TESTS_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(given.unwrap_or(300))
}

/// Asks `what` again and again until it has an answer; panics with `name` after [`patience`].
#[track_caller]
pub fn until<T>(name: &str, what: impl FnMut() -> Option<T>) -> T {
    let patience = patience();
    match within(patience, what) {
        Some(answer) => answer,
        None => panic!("{name}: not so after {patience:?}"),
    }
}

/// Asks `what` again and again until it has an answer, for as long as `bound`.
pub fn within<T>(bound: Duration, mut what: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + bound;
    loop {
        // Asked once more after the bound: a machine that was slow to get here has still to look.
        let over = Instant::now() >= end;
        if let Some(answer) = what() {
            return Some(answer);
        }
        if over {
            return None;
        }
        thread::sleep(Duration::from_millis(2));
    }
}
