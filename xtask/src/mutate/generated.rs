//! `cargo xtask mutate --generated`: cargo-mutants changes ftp-common in every way that it knows, in a copy of the tree;
//! the crate's own tests must notice each, but for those that `tests/mutants-equivalent.toml` explains.

use std::{collections::HashMap, fs};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::command;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    equivalent: Vec<Equivalent>,
}

/// A mutant that no test can notice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Equivalent {
    /// The file that it is in, from the root.
    file: String,
    /// What cargo-mutants calls it, without the place.
    mutant: String,
    /// How many of that name there are that can't be noticed; usually one.
    #[serde(default = "one")]
    times: usize,
    /// Why not.
    #[serde(rename = "reason")]
    _reason: String,
}

fn one() -> usize {
    1
}

/// Exit codes of cargo-mutants when it has tried all: nothing was missed, some were, some timed out.
const DONE: [i32; 3] = [0, 2, 3];

/// Runs cargo-mutants on those mutants whose names `filter` matches, and fails for those that were missed and are not
/// explained.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    if command::find("cargo-mutants").is_none() {
        bail!("cargo-mutants is missing: cargo install --locked cargo-mutants");
    }
    let list = command::workspace().join("tests/mutants-equivalent.toml");
    let text = fs::read_to_string(&list).with_context(|| format!("{}: cannot be read", list.display()))?;
    let list: List = toml::from_str(&text).with_context(|| format!("{}: cannot be understood", list.display()))?;

    let output = command::target_directory().join("mutants");
    fs::create_dir_all(&output)?;
    let mut cargo = command::cargo();
    cargo
        .args(["mutants", "--package", "ftp-common", "--baseline", "skip", "--timeout", "60", "--output"])
        .arg(&output);
    cargo.args(filter.map(|filter| format!("--re={filter}"))).args(["--", "--lib"]);
    let status = cargo.status().context("cargo mutants: cannot be run")?;
    if !status.code().is_some_and(|code| DONE.contains(&code)) {
        bail!("'{}' failed ({status})", command::shown(&cargo));
    }
    let missed = fs::read_to_string(output.join("mutants.out/missed.txt"))?;
    let unexplained = unexplained(&missed, &list);
    if !unexplained.is_empty() {
        bail!("the tests of ftp-common notice each mutant but {}:\n{}", unexplained.len(), unexplained.join("\n"));
    }
    println!("the tests of ftp-common notice each mutant, or it is explained ({})", missed.lines().count());
    Ok(())
}

/// The lines of `missed` that `list` doesn't explain: `FILE:LINE:COLUMN: MUTANT`.
fn unexplained<'a>(missed: &'a str, list: &'a List) -> Vec<&'a str> {
    let known = list.equivalent.iter().map(|known| ((known.file.as_str(), known.mutant.as_str()), known.times));
    let mut left: HashMap<_, usize> = known.collect();
    let mut explained = |line: &'a str| {
        let times = name_of(line).and_then(|name| left.get_mut(&name)).filter(|times| **times != 0);
        times.map(|times| *times -= 1).is_some()
    };
    missed.lines().filter(|line| !explained(line)).collect()
}

/// The file and the mutant of a line, without its place.
fn name_of(line: &str) -> Option<(&str, &str)> {
    let (place, mutant) = line.split_once(": ")?;
    Some((place.split(':').next()?, mutant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_is_explained_as_often_as_the_list_says() {
        let text = "[[equivalent]]\nfile = 'a.rs'\nmutant = 'replace < with <= in f'\ntimes = 2\nreason = 'why'\n";
        let list = toml::from_str(text).unwrap();
        let missed = "a.rs:1:2: replace < with <= in f\na.rs:3:4: replace < with <= in f\n\
                      a.rs:5:6: replace < with <= in f\nb.rs:1:2: replace < with <= in f\n";
        assert_eq!(
            unexplained(missed, &list),
            ["a.rs:5:6: replace < with <= in f", "b.rs:1:2: replace < with <= in f"]
        );
    }
}
