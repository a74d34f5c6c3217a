//! Numbers of one kind, measured in rounds, and what can be said of them.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// What the same thing took under each filter, round by round.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Series {
    /// Which part of the benchmark it belongs to.
    pub(crate) part: String,
    /// What was measured, in words; unique.
    pub(crate) what: String,
    /// `ns`, `GB/s`, `CPU s/GiB`, ...
    pub(crate) unit: String,
    /// By filter, in the order measured. Values of the same place are of one round.
    pub(crate) columns: Vec<Column>,
}

/// One filter's numbers.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Column {
    pub(crate) filter: String,
    pub(crate) rounds: Vec<f64>,
}

/// The middle of many numbers, and where the middle half of them lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one number.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        // Between the two that are nearest (R's and numpy's default).
        let at = |quarters: usize| {
            let (index, rest) = (last * quarters / 4, (last * quarters % 4) as f64 / 4.0);
            sorted[index] + (sorted[(index + 1).min(last)] - sorted[index]) * rest
        };
        Some(Self { low: at(1), median: at(2), high: at(3) })
    }
}

impl Spread {
    /// The median, and the middle half, with that many digits behind the point.
    pub(crate) fn shown(&self, digits: usize) -> String {
        let Self { low, median, high } = self;
        format!("{median:.digits$} ({low:.digits$} to {high:.digits$})")
    }

    /// The median alone.
    pub(crate) fn plain(&self, unit: &str) -> String {
        format!("{:.*} {unit}", digits(self.median), self.median)
    }

    /// The median, and the middle half, with as many digits as mean something.
    pub(crate) fn significant(&self) -> String {
        self.shown(digits(self.median))
    }
}

/// Digits behind the point of a number that is measured to about a hundredth.
fn digits(value: f64) -> usize {
    match value.abs() {
        ..1.0 => 3,
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    }
}

impl Series {
    pub(crate) fn new(part: &str, what: impl Into<String>, unit: &str) -> Self {
        Self { part: part.to_owned(), what: what.into(), unit: unit.to_owned(), columns: Vec::new() }
    }

    /// Adds a round's number: five digits of it, more are noise, but for what was counted.
    pub(crate) fn add(&mut self, filter: &str, value: f64) {
        let is_whole = value.fract() == 0.0;
        let value = if is_whole { value } else { format!("{value:.4e}").parse().expect("a number") };
        match self.columns.iter_mut().find(|column| column.filter == filter) {
            Some(column) => column.rounds.push(value),
            None => self.columns.push(Column { filter: filter.to_owned(), rounds: vec![value] }),
        }
    }

    /// A filter's numbers.
    pub(crate) fn rounds(&self, filter: &str) -> &[f64] {
        self.columns.iter().find(|column| column.filter == filter).map_or(&[], |column| &column.rounds)
    }

    /// A filter's numbers, summed up.
    pub(crate) fn spread(&self, filter: &str) -> Option<Spread> {
        Spread::of(self.rounds(filter).iter().copied())
    }

    /// What `filter` took more than `floor`, round by round.
    pub(crate) fn over(&self, filter: &str, floor: &str) -> Option<Spread> {
        Spread::of(self.pairs(filter, floor).map(|(value, floor)| value - floor))
    }

    /// `filter` in relation to `floor`, round by round.
    pub(crate) fn ratio(&self, filter: &str, floor: &str) -> Option<Spread> {
        Spread::of(self.pairs(filter, floor).map(|(value, floor)| value / floor))
    }

    fn pairs(&self, filter: &str, floor: &str) -> impl Iterator<Item = (f64, f64)> {
        self.rounds(filter).iter().copied().zip(self.rounds(floor).iter().copied())
    }
}

/// How long something takes, in milliseconds.
pub(crate) fn elapsed(work: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    work();
    milliseconds(begun.elapsed())
}

/// As a number.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_the_numbers() {
        let spread = Spread::of([4.0, 1.0, 3.0, 2.0]);
        assert_eq!(spread, Some(Spread { low: 1.75, median: 2.5, high: 3.25 }));
        assert_eq!(Spread::of([7.0]), Some(Spread { low: 7.0, median: 7.0, high: 7.0 }));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn rounds_are_compared_in_pairs() {
        let mut series = Series::new("part", "what", "ns");
        for (floor, ours) in [(10.0, 11.0), (20.0, 22.0), (40.0, 44.0)] {
            series.add("empty", floor);
            series.add("ftptrack", ours);
        }
        assert_eq!(series.over("ftptrack", "empty").map(|spread| spread.median), Some(2.0));
        assert_eq!(series.ratio("ftptrack", "empty").map(|spread| spread.median), Some(1.1));
    }
}
