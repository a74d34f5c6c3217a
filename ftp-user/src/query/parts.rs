//! Long lists, a part at a time on each CPU.

use std::num::NonZero;
use std::sync::mpsc::sync_channel;
use std::thread;

/// Items of a part. What has fewer is not worth a thread.
const PART: usize = 16_384;

/// Does `work` on parts of `items`, several at once, and hands what comes of them to `next` in their order; an error of
/// `next` ends it.
///
/// # Errors
///
/// Those of `next`.
pub fn in_parts<T: Sync, R: Send, E>(
    items: &[T],
    work: impl Fn(&[T]) -> R + Sync,
    mut next: impl FnMut(R) -> Result<(), E>,
) -> Result<(), E> {
    let parts = items.len().div_ceil(PART);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(parts);
    if threads <= 1 {
        return items.chunks(PART).map(work).try_for_each(next);
    }
    thread::scope(|scope| {
        let work = &work;
        // Each thread does every so many-th part, and is one part ahead at most.
        let start = |first| {
            let (done, results) = sync_channel(1);
            scope.spawn(move || {
                let mut mine = items.chunks(PART).skip(first).step_by(threads);
                // Refused when nobody wants the rest.
                mine.try_for_each(|part| done.send(work(part)))
            });
            results
        };
        let results: Vec<_> = (0..threads).map(start).collect();
        (0..parts).filter_map(|part| results[part % threads].recv().ok()).try_for_each(&mut next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_their_order_and_an_error_ends_them() {
        for count in [0, 1, PART, 5 * PART + 1] {
            let items: Vec<usize> = (0..count).collect();
            let mut all = Vec::new();
            let got: Result<(), ()> = in_parts(&items, <[usize]>::to_vec, |part| {
                all.extend(part);
                Ok(())
            });
            assert_eq!((got, &all), (Ok(()), &items));
        }
        let items = vec![0u8; 9 * PART];
        let mut seen = 0;
        let refused = in_parts(&items, <[u8]>::len, |part| {
            seen += part;
            if seen > 2 * PART { Err("enough") } else { Ok(()) }
        });
        assert_eq!((refused, seen), (Err("enough"), 3 * PART));
    }
}
