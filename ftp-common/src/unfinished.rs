//! How many half-open data connections a session leaves behind: so no client fills the table of half-open flows.

/// Half-open data connections that a session may leave behind at once; and after how long (nanoseconds) it may
/// leave one more. So no client fills the table of half-open flows, whose entries stay for
/// [`crate::half_open::LIFE`].
pub const MAX_UNFINISHED: u32 = 32;
/// See [`MAX_UNFINISHED`].
pub const UNFINISHED_LEAK: u64 = 4 * crate::SECOND;

/// How many half-open data connections a session has left behind, as a leaky bucket. Any CPU may write it: a lost
/// update miscounts by one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unfinished {
    /// When the bucket leaked last, nanoseconds.
    pub leaked_at: u64,
    /// How many.
    pub count: u32,
    /// Always 0.
    pub zero: u32,
}

impl Unfinished {
    /// Counts one more; false when there are too many.
    #[inline(always)]
    pub const fn take(&mut self, now: u64) -> bool {
        let leaked = now.saturating_sub(self.leaked_at) / UNFINISHED_LEAK;
        if leaked != 0 {
            let some_stay = leaked < self.count as u64;
            // What is left of the time counts for the next.
            self.leaked_at = if some_stay { self.leaked_at + leaked * UNFINISHED_LEAK } else { now };
            self.count = if some_stay { self.count - leaked as u32 } else { 0 };
        }
        if self.count >= MAX_UNFINISHED {
            return false;
        }
        self.count += 1;
        true
    }

    /// One was finished.
    #[inline(always)]
    pub const fn give_back(&mut self) {
        self.count = self.count.saturating_sub(1);
    }
}

#[cfg(test)]
#[path = "unfinished_tests.rs"]
mod tests;
