//! What has happened, as far back as there is room, for many who read it, each at its own pace. One that is too slow is
//! told how much it has missed, and delays nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ftp_common::counter::Counter;
use tokio::sync::watch;

use crate::events::message::{Message, Unreported};

/// Messages that are kept: some 3 MiB.
pub const KEPT: usize = 32_768;
/// Messages that a reader takes at a time.
const BATCH: usize = 512;

/// The last messages, numbered from the first one ever.
#[derive(Debug, Default)]
pub struct History {
    kept: Mutex<Kept>,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct Kept {
    messages: VecDeque<Message>,
    /// Number of the first of them.
    first: u64,
}

impl Kept {
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }
}

/// What readers wait for.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Number of the next message.
    end: u64,
    /// None follows.
    over: bool,
}

impl History {
    /// Adds messages, and takes them from `messages`; the oldest go.
    pub fn add(&self, messages: &mut Vec<Message>) {
        if messages.is_empty() {
            return;
        }
        let mut kept = self.kept();
        kept.messages.extend(messages.drain(..));
        let surplus = kept.messages.len().saturating_sub(KEPT);
        kept.messages.drain(..surplus);
        kept.first += surplus as u64;
        let end = kept.end();
        drop(kept);
        self.state.send_modify(|state| state.end = end);
    }

    /// No more will come.
    pub fn end(&self) {
        self.state.send_modify(|state| state.over = true);
    }

    /// Reads them from a time on (nanoseconds of `CLOCK_MONOTONIC`), and of those that are there so many of the last.
    #[must_use]
    pub fn reader(self: &Arc<Self>, since: u64, last: u64) -> Reader {
        let kept = self.kept();
        let earlier = kept.messages.iter().take_while(|message| message.time() < since).count();
        let next = (kept.first + earlier as u64).max(kept.end().saturating_sub(last));
        drop(kept);
        Reader { history: Arc::clone(self), state: self.state.subscribe(), next }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who reads a history.
#[derive(Debug)]
pub struct Reader {
    history: Arc<History>,
    state: watch::Receiver<State>,
    next: u64,
}

impl Reader {
    /// Some of the next messages; none if all were read. First, where there are such, how many it was too slow for.
    pub fn take(&mut self) -> Vec<Message> {
        let kept = self.history.kept();
        let mut taken = Vec::new();
        let missed = kept.first.saturating_sub(self.next);
        if missed != 0 {
            let time = kept.messages.front().map_or(0, Message::time);
            taken.push(Message::Unreported(Unreported { time, counter: Counter::EventsLost, count: missed }));
            self.next = kept.first;
        }
        let read = usize::try_from(self.next - kept.first).unwrap_or(usize::MAX).min(kept.messages.len());
        taken.extend(kept.messages.range(read..).take(BATCH));
        self.next += (kept.messages.len() - read).min(BATCH) as u64;
        taken
    }

    /// Waits until there are more; false if none will come. Cancelling it loses nothing.
    pub async fn more(&mut self) -> bool {
        let next = self.next;
        // The history lives as long as this.
        let state = self.state.wait_for(|state| state.end > next || state.over).await;
        state.is_ok_and(|state| state.end > next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ftp_common::event::Event;

    fn events(times: std::ops::Range<u64>) -> Vec<Message> {
        times.map(|time| Message::Event(Event { time, ..Event::default() })).collect()
    }

    fn all(reader: &mut Reader) -> Vec<u64> {
        let taken = std::iter::from_fn(|| Some(reader.take()).filter(|taken| !taken.is_empty()));
        taken.flatten().map(|message| message.time()).collect()
    }

    #[test]
    fn each_reads_all_from_a_time_on_or_so_many_of_the_last() {
        let history = Arc::new(History::default());
        history.add(&mut events(10..20));
        let mut readers = [(0, u64::MAX), (15, u64::MAX), (0, 3), (18, 3), (12, 0)].map(|(s, l)| history.reader(s, l));
        let read = readers.each_mut().map(all);
        let wanted = [10..20, 15..20, 17..20, 18..20, 20..20].map(Vec::from_iter);
        assert_eq!(read, wanted);
        history.add(&mut events(20..22));
        assert!(readers.each_mut().map(all).iter().all(|read| *read == [20, 21]));
    }

    #[test]
    fn one_that_is_too_slow_is_told_how_many_it_missed_and_the_others_miss_none() {
        let history = Arc::new(History::default());
        let (mut slow, mut quick) = (history.reader(0, u64::MAX), history.reader(0, u64::MAX));
        let many = KEPT as u64;
        history.add(&mut events(0..many));
        assert_eq!(all(&mut quick).len(), KEPT);
        history.add(&mut events(many..many + 7));
        assert_eq!(all(&mut quick), Vec::from_iter(many..many + 7));
        let first = slow.take();
        let Message::Unreported(missed) = first[0] else { panic!("{:?}", first[0]) };
        assert_eq!((missed.counter, missed.count), (Counter::EventsLost, 7));
        assert_eq!(first[1].time(), 7);
        assert_eq!(first.len() + all(&mut slow).len(), 1 + KEPT);
    }

    #[tokio::test]
    async fn who_waits_is_told_of_more_and_of_the_end() {
        let history = Arc::new(History::default());
        let mut reader = history.reader(0, u64::MAX);
        history.add(&mut events(1..2));
        assert!(reader.more().await && reader.more().await, "nothing was taken yet");
        assert_eq!(all(&mut reader), [1]);
        history.add(&mut events(2..3));
        history.end();
        assert!(reader.more().await, "what came before the end is read");
        assert_eq!(all(&mut reader), [2]);
        assert!(!reader.more().await);
    }
}
