//! Early segments of control connections that the kernel program defers, for TCP to retransmit. In a capture
//! nobody repeats them: they were not dropped. So they are presented again, as soon as what they wait for has passed.

use std::collections::HashMap;
use std::net::SocketAddr;

use ftp_common::segment::MAX_DEFERRED;
use ftp_common::sequence::before;

/// Sender and receiver.
pub(super) type Direction = [SocketAddr; 2];

/// A frame, and its sequence number.
pub(super) type Early = (u32, Vec<u8>);

/// Segments that wait for earlier ones.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    waiting: HashMap<Direction, Vec<Early>>,
}

impl Reorder {
    /// Keeps one that was deferred.
    pub(super) fn push(&mut self, direction: Direction, early: Early) {
        let waiting = self.waiting.entry(direction).or_default();
        // The program defers no more: the session is out of sync.
        if waiting.len() >= usize::from(MAX_DEFERRED) {
            waiting.remove(0);
        }
        waiting.push(early);
    }

    /// The first of those that wait in a direction.
    pub(super) fn next(&mut self, direction: Direction) -> Option<Early> {
        let waiting = self.waiting.get_mut(&direction)?;
        let first = (0..waiting.len()).reduce(|a, b| if before(waiting[b].0, waiting[a].0) { b } else { a });
        let early = first.map(|index| waiting.swap_remove(index));
        if waiting.is_empty() {
            self.waiting.remove(&direction);
        }
        early
    }

    /// How many wait still.
    #[must_use]
    pub(super) fn count(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_in_sequence_comes_first_and_too_many_push_out_the_oldest() {
        let direction = ["10.0.0.2:40000".parse().unwrap(), "10.0.0.1:21".parse().unwrap()];
        let mut reorder = Reorder::default();
        for seq in [9, u32::MAX, 3] {
            reorder.push(direction, (seq, Vec::new()));
        }
        assert_eq!(reorder.count(), 3);
        let order: Vec<_> = std::iter::from_fn(|| reorder.next(direction)).map(|(seq, _)| seq).collect();
        assert_eq!(order, [u32::MAX, 3, 9]);
        assert_eq!((reorder.count(), reorder.waiting.len()), (0, 0));
        for seq in 0..100 {
            reorder.push(direction, (seq, Vec::new()));
        }
        assert_eq!(reorder.count(), usize::from(MAX_DEFERRED));
    }
}
