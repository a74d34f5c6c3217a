//! Plays cells, several testbeds at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use super::cell::Cell;
use super::data::Data;
use super::judge::Row;
use super::outcome::Outcome;
use super::testbed::Setting;
use crate::suites::dialogues::Guard;
use crate::support::parallel::in_parallel;

/// Testbeds at a time, besides those that mostly wait.
const WORKERS: usize = 10;

/// Plays all cells without a filter, with ftptrack, and with nf_conntrack_ftp if that is wanted. `report` is called
/// when a testbed is done.
#[track_caller]
#[must_use]
pub fn play(
    cells: &[Cell],
    data: &Data,
    conntrack: bool,
    report: impl Fn(&Setting, Guard, &[Outcome]) + Sync,
) -> Vec<Row> {
    let mut testbeds: BTreeMap<(Setting, u8), (Guard, BTreeSet<Cell>)> = BTreeMap::new();
    let guards = || [Guard::Nobody, Guard::Ftptrack].into_iter().chain(conntrack.then_some(Guard::Conntrack));
    for (cell, guard) in cells.iter().flat_map(|cell| guards().map(move |guard| (as_played(cell, guard), guard))) {
        let key = (Setting::of(&cell, data), guard as u8);
        testbeds.entry(key).or_insert_with(|| (guard, BTreeSet::new())).1.insert(cell);
    }
    let (waiting, working): (Vec<_>, Vec<_>) = testbeds.into_iter().partition(|((setting, _), _)| setting.waits);
    let play = |((setting, _), (guard, cells)): ((Setting, u8), (Guard, BTreeSet<Cell>))| {
        let cells: Vec<_> = cells.into_iter().collect();
        let outcomes = setting.play(guard, &cells, data);
        report(&setting, guard, &outcomes);
        cells.into_iter().map(|cell| (cell, guard as u8)).zip(outcomes).collect::<Vec<_>>()
    };
    let results: BTreeMap<(Cell, u8), Outcome> = thread::scope(|scope| {
        let waiting = scope.spawn(|| in_parallel(waiting.len(), waiting, |testbeds| testbeds.for_each(play)));
        let working = in_parallel(WORKERS, working, |testbeds| testbeds.for_each(play));
        working.into_iter().chain(waiting.join().expect("a testbed panics by itself")).flatten().collect()
    });
    let of = |cell: &Cell, guard: Guard| results[&(as_played(cell, guard), guard as u8)].clone();
    let row = |cell: &Cell| Row {
        cell: cell.clone(),
        without: of(cell, Guard::Nobody),
        ftptrack: of(cell, Guard::Ftptrack),
        conntrack: conntrack.then(|| of(cell, Guard::Conntrack)),
    };
    cells.iter().map(row).collect()
}

/// What ftptrack is told changes nothing for the others: they play a cell once for all policies.
fn as_played(cell: &Cell, guard: Guard) -> Cell {
    let policy = if guard == Guard::Ftptrack { cell.policy.clone() } else { "any".to_owned() };
    Cell { policy, ..cell.clone() }
}
