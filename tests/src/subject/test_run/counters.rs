//! Values of all counters.

use std::fmt;

use ftp_common::counter::Counter;

/// What was counted. It prints as the counters that aren't zero.
#[derive(Clone, Eq, PartialEq)]
pub struct Counters([u64; Counter::COUNT as usize]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; Counter::COUNT as usize])
    }
}

/// They depend on who reads the events, and how fast.
const OF_EVENTS: [Counter; 3] = [Counter::EventsLost, Counter::ViewLost, Counter::EventsSuppressed];

impl Counters {
    /// The value of one.
    #[must_use]
    pub const fn of(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    /// Raises one. Those that depend on who reads the events stay 0.
    pub fn add(&mut self, counter: Counter, times: u64) {
        if !OF_EVENTS.contains(&counter) {
            self.0[counter as usize] += times;
        }
    }

    /// What was added since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut since = self.clone();
        for (value, before) in since.0.iter_mut().zip(before.0) {
            *value -= before;
        }
        since
    }

    /// Those that aren't zero, in the order of their indices.
    #[must_use]
    pub fn raised(&self) -> Vec<(Counter, u64)> {
        Counter::ALL.iter().map(|counter| (*counter, self.of(*counter))).filter(|(_, value)| *value != 0).collect()
    }
}

impl fmt::Debug for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.raised()).finish()
    }
}
