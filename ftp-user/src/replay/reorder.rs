//! Early segments of control connections that the kernel program defers, for TCP to retransmit. In a capture
//! nobody repeats them: they were not dropped. So they are presented again, as soon as what they wait for has passed.
//! Whoever made the capture chooses how many there are: those that wait for longest go where they are too many.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use ftp_common::segment::MAX_DEFERRED;
use ftp_common::sequence::before;

/// Sender and receiver.
pub type Direction = [SocketAddr; 2];

/// A frame, and its sequence number.
pub type Early = (u32, Vec<u8>);

/// Segments that are kept at most: of sixty-four connections with as many as the program defers.
pub const MAX_SEGMENTS: usize = 4_096;
/// Bytes of them, at most.
pub const MAX_BYTES: usize = 8 << 20;

/// Segments that wait for earlier ones.
#[derive(Debug, Default)]
pub struct Reorder {
    /// With the place of each in `order`.
    waiting: HashMap<Direction, Vec<(u64, Early)>>,
    /// Their directions, the oldest first.
    order: BTreeMap<u64, Direction>,
    bytes: usize,
    pushed: u64,
    dropped: u64,
}

impl Reorder {
    /// Keeps one that was deferred.
    pub fn push(&mut self, direction: Direction, early: Early) {
        self.pushed += 1;
        self.bytes += early.1.len();
        self.order.insert(self.pushed, direction);
        let waiting = self.waiting.entry(direction).or_default();
        waiting.push((self.pushed, early));
        // The program defers no more: the session is out of sync.
        if waiting.len() > usize::from(MAX_DEFERRED) {
            let oldest = (0..waiting.len()).min_by_key(|index| waiting[*index].0);
            self.drop_one(direction, oldest);
        }
        while self.order.len() > MAX_SEGMENTS || self.bytes > MAX_BYTES {
            let Some((place, direction)) = self.order.first_key_value().map(|(place, of)| (*place, *of)) else { break };
            let index = self.waiting.get(&direction).and_then(|all| all.iter().position(|(its, _)| *its == place));
            self.drop_one(direction, index);
        }
    }

    /// The first of those that wait in a direction.
    pub fn next(&mut self, direction: Direction) -> Option<Early> {
        let waiting = self.waiting.get(&direction)?;
        let seq = |index: usize| waiting[index].1.0;
        let first = (0..waiting.len()).reduce(|a, b| if before(seq(b), seq(a)) { b } else { a })?;
        self.take(direction, first)
    }

    /// How many wait still.
    #[must_use]
    pub fn count(&self) -> usize {
        self.order.len()
    }

    /// Bytes of those that wait.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many were too many.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn drop_one(&mut self, direction: Direction, index: Option<usize>) {
        if index.and_then(|index| self.take(direction, index)).is_some() {
            self.dropped += 1;
        }
    }

    fn take(&mut self, direction: Direction, index: usize) -> Option<Early> {
        let waiting = self.waiting.get_mut(&direction)?;
        let (place, early) = waiting.swap_remove(index);
        if waiting.is_empty() {
            self.waiting.remove(&direction);
        }
        self.order.remove(&place);
        self.bytes -= early.1.len();
        Some(early)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn direction(client_port: u16) -> Direction {
        [SocketAddr::from(([10, 0, 0, 2], client_port)), "10.0.0.1:21".parse().unwrap()]
    }

    #[test]
    fn the_first_in_sequence_comes_first_and_too_many_push_out_the_oldest() {
        let direction = direction(40_000);
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
        assert_eq!((reorder.count(), reorder.dropped()), (usize::from(MAX_DEFERRED), 36));
        assert_eq!(reorder.next(direction).map(|(seq, _)| seq), Some(36));
    }

    #[test]
    fn what_a_capture_can_have_kept_is_bounded_in_segments_and_in_bytes() {
        for (length, most) in [(0, MAX_SEGMENTS), (4_096, MAX_BYTES / 4_096)] {
            let mut reorder = Reorder::default();
            for client_port in 0..10_000 {
                reorder.push(direction(client_port), (1, vec![0; length]));
            }
            assert_eq!((reorder.count(), reorder.dropped()), (most, 10_000 - most as u64), "{length}");
            assert_eq!((reorder.waiting.len(), reorder.bytes), (most, most * length));
            assert_eq!(reorder.next(direction(0)), None, "the oldest went");
            assert!(reorder.next(direction(9_999)).is_some());
        }
    }
}
