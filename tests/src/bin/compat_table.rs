//! Plays the compatibility matrix and writes what came of it to `docs/compatibility.md`.
//!
//! Words as arguments: plays only the cells whose names have all of them (`this|or that`), and writes
//! nothing. A word like `sample.toml` names another matrix.

use ftptrack_tests::suites::compat::cell::Cell;
use ftptrack_tests::suites::compat::data::Data;
use ftptrack_tests::suites::compat::judge::{self, Row};
use ftptrack_tests::suites::compat::versions::Versions;
use ftptrack_tests::suites::compat::{page, run};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs};

fn main() -> ExitCode {
    let (files, words): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|word| word.ends_with(".toml"));
    let data = match Data::load(files.first().map_or("matrix.toml", String::as_str)) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("tests/compat: {error}");
            return ExitCode::FAILURE;
        }
    };
    let wanted = |cell: &Cell| {
        let name = cell.to_string();
        words.iter().all(|word| word.split('|').any(|word| name.contains(word)))
    };
    let cells: BTreeSet<_> = data.blocks.iter().flat_map(|block| Cell::of(block, &data)).filter(wanted).collect();
    let cells: Vec<_> = cells.into_iter().collect();
    let begun = Instant::now();
    println!("{} cells", cells.len());
    let rows = run::play(&cells, &data, true, |setting, guard, outcomes| {
        let seconds = begun.elapsed().as_secs_f64();
        let work = outcomes.iter().filter(|outcome| outcome.works).count();
        println!("{seconds:6.1} s: {setting}, {guard:?}: {work} of {} work", outcomes.len());
    });
    let complaints = judge::complaints(&rows, &data.explanations, words.is_empty() && files.is_empty());
    if !words.is_empty() || !files.is_empty() {
        rows.iter().for_each(show);
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    if words.is_empty() && files.is_empty() {
        let page = page::write(&rows, &data, &Versions::ask(&data));
        if let Err(error) = fs::write(page::file(), page) {
            eprintln!("{}: {error}", page::file().display());
            return ExitCode::FAILURE;
        }
    }
    if complaints.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One cell, for who is looking into it.
fn show(row: &Row) {
    let outcomes =
        [Some(&row.without), Some(&row.ftptrack), row.conntrack.as_ref()].into_iter().flatten().map(|outcome| {
            let word = if outcome.works { "works" } else { &outcome.note };
            format!("{word} ({:.1} s)", outcome.took.as_secs_f64())
        });
    println!("{}: {}", row.cell, outcomes.collect::<Vec<_>>().join(" | "));
}
