//! Does ftptrack change anything, and is it said why?

use std::collections::BTreeSet;

use super::cell::Cell;
use super::data::{Explanation, Explanations};
use super::outcome::Outcome;

/// A cell, and what came of it with each guard.
#[derive(Clone, Debug)]
pub struct Row {
    /// The cell.
    pub cell: Cell,
    /// Nobody guards.
    pub without: Outcome,
    /// With ftptrack.
    pub ftptrack: Outcome,
    /// With nf_conntrack_ftp, if it was played.
    pub conntrack: Option<Outcome>,
}

impl Row {
    /// Whether ftptrack makes a difference: another outcome, or something was denied or refused on the way.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.without.works != self.ftptrack.works || !self.ftptrack.alarms.is_empty()
    }

    /// What came of it without a filter and with ftptrack.
    #[must_use]
    pub fn in_words(&self) -> String {
        let word = |outcome: &Outcome| {
            let seconds = outcome.took.as_secs_f64();
            if outcome.works { format!("works in {seconds:.1} s") } else { format!("fails ({})", outcome.note) }
        };
        let alarms: Vec<_> = self.ftptrack.alarms.iter().map(|(name, number)| format!(", {name} {number}")).collect();
        format!(
            "without a filter it {}; with ftptrack it {}{}",
            word(&self.without),
            word(&self.ftptrack),
            alarms.concat()
        )
    }
}

/// The explanation of a list that a cell has, if any.
#[must_use]
pub fn of<'a>(list: &'a [Explanation], cell: &Cell) -> Option<&'a Explanation> {
    list.iter().find(|explanation| explanation.cells.holds(cell))
}

/// What isn't explained, and explanations that explain nothing; none if all is well.
///
/// `whole`: all cells are there, so that each explanation must be needed.
#[must_use]
pub fn complaints(rows: &[Row], list: &Explanations, whole: bool) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut needed: BTreeSet<&str> = BTreeSet::new();
    for row in rows {
        let mut complain = |what: String| complaints.push(format!("{}: {what}: {}", row.cell, row.in_words()));
        let [differs, never, chance] = [&list.differs, &list.never, &list.chance].map(|list| of(list, &row.cell));
        needed.extend([differs, never, chance].into_iter().flatten().map(|explanation| &*explanation.why));
        if chance.is_some() {
            if !row.ftptrack.alarms.is_empty() {
                complain("said to be chance".to_owned());
            }
            continue;
        }
        match (differs, row.differs()) {
            (None, true) => complain("not explained".to_owned()),
            (Some(explanation), false) => complain(format!("must differ, by {:?}", explanation.why)),
            (Some(explanation), true) => {
                if let Some(name) = explanation.counters.iter().find(|name| !row.ftptrack.alarms.contains_key(*name)) {
                    complain(format!("{name} must have been raised"));
                }
            }
            (None, false) => {}
        }
        match (never, row.without.works) {
            (None, false) => complain("not explained why it fails without a filter".to_owned()),
            (Some(explanation), true) => complain(format!("must fail without a filter, by {:?}", explanation.why)),
            _ => {}
        }
    }
    if whole {
        let all = list.differs.iter().chain(&list.never).chain(&list.chance);
        let idle = all.filter(|explanation| !needed.contains(&*explanation.why));
        complaints.extend(idle.map(|explanation| format!("an explanation of no cell: {}", explanation.why)));
    }
    complaints
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
