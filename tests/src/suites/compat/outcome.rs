//! What came of a cell.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::subject::report::Stats;

/// What came of a cell, with one guard.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// All that was to arrive has arrived.
    pub works: bool,
    /// If it doesn't: what was said last.
    pub note: String,
    /// ftptrack's counters that say that something was refused, denied or not understood, and how
    /// often each was raised.
    pub alarms: BTreeMap<String, u64>,
    /// How long it took.
    pub took: Duration,
}

/// Counters that may not be raised by ordinary clients and servers, besides denials and refusals.
const ALARMS: [&str; 5] = ["commands_overflow", "desyncs", "map_errors", "overlaps_differ", "sessions_over_limit"];

impl Outcome {
    /// It does.
    #[must_use]
    pub fn works() -> Self {
        Self { works: true, ..Self::default() }
    }

    /// It doesn't.
    #[must_use]
    pub fn fails(note: String) -> Self {
        Self { note, ..Self::default() }
    }

    /// The same, with its time.
    #[must_use]
    pub fn after(self, took: Duration) -> Self {
        Self { took, ..self }
    }

    /// Adds the alarms that were raised between the two, at each of the filters.
    pub fn count(&mut self, before: &[Stats], after: &[Stats]) {
        for (before, after) in before.iter().zip(after) {
            for (name, number) in after.raised_since(before) {
                let alarming = name.starts_with("denied_") || name.starts_with("refused_");
                if alarming || ALARMS.contains(&name) {
                    *self.alarms.entry(name.to_owned()).or_default() += number;
                }
            }
        }
    }
}
