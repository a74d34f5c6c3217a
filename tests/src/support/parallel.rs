//! Many cases on a few workers: each case waits most of its time.

use std::iter::Enumerate;
use std::sync::Mutex;
use std::thread;
use std::vec::IntoIter;

/// The cases that are still ahead, and what came of the others.
#[derive(Debug)]
pub struct Cases<C, R> {
    ahead: Mutex<Enumerate<IntoIter<C>>>,
    results: Mutex<Vec<Option<R>>>,
}

/// Runs `worker` on as many threads as `workers` says: each makes what its cases share, and then calls
/// [`Cases::for_each`]. Returns what came of all cases, in their order.
pub fn in_parallel<C: Send, R: Send>(
    workers: usize,
    cases: impl IntoIterator<Item = C>,
    worker: impl Fn(&Cases<C, R>) + Sync,
) -> Vec<R> {
    let cases: Vec<_> = cases.into_iter().collect();
    let results = Mutex::new(cases.iter().map(|_| None).collect());
    let cases = Cases { ahead: Mutex::new(cases.into_iter().enumerate()), results };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| worker(&cases));
        }
    });
    let results = cases.results.into_inner().expect("all threads are done");
    results.into_iter().map(|result| result.expect("all cases are done")).collect()
}

impl<C, R> Cases<C, R> {
    /// Takes one case after the other, until none is ahead.
    pub fn for_each(&self, mut play: impl FnMut(C) -> R) {
        let next = || self.ahead.lock().expect("nobody panics here").next();
        while let Some((index, case)) = next() {
            let result = play(case);
            self.results.lock().expect("nobody panics here")[index] = Some(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_cases() {
        let doubled = in_parallel(3, 0..100, |cases| cases.for_each(|case| 2 * case));
        assert_eq!(doubled, (0..100).map(|case| 2 * case).collect::<Vec<_>>());
    }
}
