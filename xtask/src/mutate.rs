//! `cargo xtask mutate`: switches each check off in turn, in a copy of the tree; the test that stands for it must fail.
//!
//! The list is `tests/mutations.toml`; the result is written to `docs/mutations.md`, its sum to `docs/security.md`.

pub(crate) mod generated;

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::{command, page};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

/// One check, how to switch it off, and the test that must notice.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    /// The promise or rule of the design that the check keeps.
    rule: String,
    /// What the check does.
    check: String,
    /// The file that it is in, from the root.
    file: String,
    /// Its text, which must stand there once.
    find: String,
    /// What takes its place.
    replace: String,
    /// The package with the test: `ftp-common` (unit tests without `suite`) or `ftptrack-tests` (with `suite`).
    package: String,
    /// The integration test file without `.rs`.
    suite: Option<String>,
    /// The test's full name.
    test: String,
}

impl Mutation {
    /// Its line in the table, but for what came of it.
    fn row(&self) -> String {
        format!("| {} | {} | `{}` | ", self.rule, self.check, self.test)
    }
}

const HEAD: &str = "# Mutation list\n\nMade by `cargo xtask mutate` from `tests/mutations.toml`: each check is switched off in \
                    turn, and the test named must fail. (`cargo xtask mutate TEXT` renews the lines that it is about.)\n";
const NOTICED: &str = "noticed";

enum Outcome {
    Noticed,
    Survived,
    Broken(String),
}

/// Runs the mutations whose check, file or test contains `filter`, and writes what came of them into the table; of the
/// others stays what came of them last. `rest`: only those that the last run, which was stopped, did not come to.
pub(crate) fn run(filter: Option<&str>, rest: bool) -> Result<()> {
    command::require_root("some of the tests make network namespaces", "mutate")?;
    let root = command::workspace();
    let list = root.join("tests/mutations.toml");
    let text = fs::read_to_string(&list).with_context(|| format!("{}: cannot be read", list.display()))?;
    let list: List = toml::from_str(&text).with_context(|| format!("{}: cannot be understood", list.display()))?;
    let tree = Tree::copy(root)?;
    let wanted = |m: &&Mutation| filter.is_none_or(|f| [&m.check, &m.file, &m.test].iter().any(|t| t.contains(f)));
    let page = root.join("docs/mutations.md");
    let done = root.join("target/mutate/done.md");
    let read = |file: &Path| fs::read_to_string(file).unwrap_or_default();
    if !rest {
        fs::write(&done, "")?;
    }
    let came_to: HashMap<String, String> = read(&done).lines().filter_map(outcome_of).collect();
    let is_left = |m: &&Mutation| !came_to.contains_key(&m.row());
    let chosen: Vec<&Mutation> = list.mutation.iter().filter(wanted).filter(is_left).collect();
    let mut outcomes: HashMap<String, String> = read(&page).lines().filter_map(outcome_of).collect();
    outcomes.extend(came_to);
    let mut failed = 0;
    for (number, mutation) in chosen.iter().enumerate() {
        let begun = Instant::now();
        let outcome = tree.try_out(mutation).unwrap_or_else(|error| Outcome::Broken(format!("{error:#}")));
        let word = match &outcome {
            Outcome::Noticed => NOTICED.to_owned(),
            Outcome::Survived => "SURVIVED".to_owned(),
            Outcome::Broken(why) => format!("BROKEN: {why}"),
        };
        if !matches!(outcome, Outcome::Noticed) {
            failed += 1;
        }
        println!(
            "{:>3}/{} {:>5.1} s  {word}: {} ({})",
            number + 1,
            chosen.len(),
            begun.elapsed().as_secs_f64(),
            mutation.check,
            mutation.test
        );
        let mut log = fs::OpenOptions::new().append(true).open(&done)?;
        writeln!(log, "{}{word} |", mutation.row())?;
        outcomes.insert(mutation.row(), word);
    }
    write(&list.mutation, &outcomes, &page)?;
    if failed != 0 {
        bail!("{failed} of {} checks could be switched off without the test noticing", chosen.len());
    }
    println!("all {} checks: switched off, the test failed", chosen.len());
    Ok(())
}

/// Writes the page, if each mutation was run some time.
fn write(mutations: &[Mutation], outcomes: &HashMap<String, String>, page: &Path) -> Result<()> {
    let rows = mutations.iter().map(|mutation| Some((mutation.row(), outcomes.get(&mutation.row())?)));
    let Some(rows) = rows.collect::<Option<Vec<_>>>() else {
        println!("docs/mutations.md lacks some: cargo xtask mutate runs all");
        return Ok(());
    };
    let noticed = rows.iter().filter(|(_, outcome)| *outcome == NOTICED).count();
    let summary = format!("{} checks switched off, {noticed} noticed.", rows.len());
    let mut text = format!("{HEAD}\n{summary}\n\n| rule | check | test | outcome |\n|---|---|---|---|\n");
    for (row, outcome) in rows {
        writeln!(text, "{row}{outcome} |")?;
    }
    fs::write(page, text)?;
    page::put(&page.with_file_name("security.md"), "cargo xtask mutate", &summary)
}

/// A line of the table: what it is about, and what came of it.
fn outcome_of(line: &str) -> Option<(String, String)> {
    let (row, outcome) = line.strip_suffix(" |")?.rsplit_once("` | ")?;
    Some((format!("{row}` | "), outcome.to_owned()))
}

/// A copy of the tree, where things can be broken.
struct Tree {
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    fn copy(from: &Path) -> Result<Self> {
        let base = from.join("target/mutate");
        let root = base.join("tree");
        // The copy keeps its build directory, so that only what a mutation touches is built again.
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        let list = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
        let files = command::output(Command::new("git").args(list).current_dir(from))?;
        for file in files.split('\0').filter(|file| !file.is_empty()) {
            let (source, copy) = (from.join(file), root.join(file));
            if source.is_file() {
                fs::create_dir_all(copy.parent().unwrap_or(&root))?;
                fs::copy(&source, &copy).with_context(|| format!("{file}: cannot be copied"))?;
            }
        }
        Ok(Self { root, target: base.join("target") })
    }

    fn try_out(&self, mutation: &Mutation) -> Result<Outcome> {
        let file = self.root.join(&mutation.file);
        let original = fs::read_to_string(&file).with_context(|| format!("{}: cannot be read", mutation.file))?;
        let places = original.matches(&mutation.find).count();
        if places != 1 {
            bail!("the text to replace stands {places} times in {}", mutation.file);
        }
        fs::write(&file, original.replace(&mutation.find, &mutation.replace))?;
        let outcome = self.test(mutation);
        fs::write(&file, original)?;
        outcome
    }

    /// Builds, then runs the one test. A mutation that doesn't build proves nothing.
    fn test(&self, mutation: &Mutation) -> Result<Outcome> {
        let mut build = self.cargo(&["test", "--no-run", "--quiet", "--package", &mutation.package]);
        match &mutation.suite {
            Some(suite) => {
                if mutation.package == "ftptrack-tests" {
                    command::output(&mut self.cargo(&["build", "--quiet", "--package", "ftp-user"]))?;
                }
                build.args(["--test", suite]);
            }
            None => {
                build.arg("--lib");
            }
        }
        command::output(&mut build)?;
        let mut test = self.cargo(&["test", "--package", &mutation.package]);
        match &mutation.suite {
            Some(suite) => test.args(["--test", suite]),
            None => test.arg("--lib"),
        };
        let output = test.args(["--", "--exact", &mutation.test]).stderr(Stdio::null()).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !text.contains("running 1 test") {
            bail!("there is no such test");
        }
        Ok(if output.status.success() { Outcome::Survived } else { Outcome::Noticed })
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut cargo = command::cargo();
        cargo.args(arguments).current_dir(&self.root);
        cargo.env("CARGO_TARGET_DIR", &self.target).env("FTPTRACK_BIN", self.target.join("debug/ftptrack"));
        // What a test waits for never comes, where it notices. It takes a few seconds at most where it does come.
        cargo.env("FTPTRACK_TESTS_PATIENCE", "30");
        cargo
    }
}
