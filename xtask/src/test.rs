//! `cargo xtask test`: every check and every test; what fails fast comes first.

use std::{
    ffi::OsString,
    fmt,
    io::{BufRead as _, BufReader},
    ops::AddAssign,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{build, command, kernels, package, setup};

/// Runs all steps; the first that fails is the last. The last line is what the test programs said, added up.
///
/// `long`: the properties are tried on many more cases.
pub(crate) fn run(long: bool, arguments: &[OsString]) -> Result<()> {
    command::require_root("the tests make network namespaces", "test")?;
    step("setup", setup::everything)?;
    step("format", || command::run(command::cargo().args(["fmt", "--all", "--check"])))?;
    step("lint", || {
        let kernel = ["--exclude", "ftp-ebpf", "--exclude", "ftptrack-bench-ebpf"];
        // What runs in guests alone is not among all targets.
        [&["--all-targets"][..], &["--test", "systemd"]].into_iter().try_for_each(|targets| {
            command::run(clippy().arg("--workspace").args(kernel).args(targets).args(["--", "-D", "warnings"]))
        })
    })?;
    // The compiler for BPF comes without clippy. Lints don't link, so the host's checks these crates as well.
    step("lint of the kernel crates", || {
        let kernel = ["--package", "ftp-ebpf", "--package", "ftptrack-bench-ebpf"];
        command::run(clippy().args(kernel).args(["--", "-D", "warnings"]))
    })?;
    step("big-endian kernel program", build::big_endian_object)?;
    let ftptrack = step("build", build::ftptrack)?;
    let package = step("package", || package::make(&ftptrack))?;
    let mut totals = step("tests", || {
        let mut tests = build::of_all("test");
        tests.args(["--lib", "--bins", "--tests"]);
        tests.args(["--no-fail-fast", "--"]).args(arguments);
        tests.env("FTPTRACK_BIN", &ftptrack).env("FTPTRACK_DEB", &package);
        if long {
            tests.env("FTPTRACK_LONG", "1");
        }
        totals(&mut tests)
    })?;
    // Chosen tests are tried out here: inside another kernel, all of them are what is quick.
    if arguments.is_empty() {
        totals += step("tests inside the oldest kernel", kernels::oldest)?;
    }
    println!("{totals}");
    if totals.failed != 0 {
        bail!("{} tests failed; see above", totals.failed);
    }
    Ok(())
}

/// What test programs have said, added up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Programs that said what came of their tests.
    pub(crate) suites: usize,
}

impl Totals {
    /// Adds a line of a test program's output, if it is its result.
    pub(crate) fn add(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.passed += number_before(result, " passed");
            self.failed += number_before(result, " failed");
            self.suites += 1;
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.suites += other.suites;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs the test programs, shows what they say, and adds up their result lines.
fn totals(tests: &mut Command) -> Result<Totals> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cargo cannot be run")?;
    let mut totals = Totals::default();
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        println!("{line}");
        totals.add(&line);
    }
    let status = child.wait()?;
    if !status.success() && totals.failed == 0 {
        bail!("a test program did not build, or ended without a result");
    }
    Ok(totals)
}

/// The number right before `word`; 0 if there is none.
fn number_before(text: &str, word: &str) -> u64 {
    let Some((before, _)) = text.split_once(word) else { return 0 };
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn clippy() -> Command {
    let mut cargo = command::cargo();
    cargo.arg("clippy");
    cargo
}

/// Runs one step. Its name and duration go to standard error, so that standard output is the tools' own.
fn step<T>(name: &str, body: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("==> {name}");
    let begun = Instant::now();
    let result = body().with_context(|| format!("{name} failed"));
    let outcome = if result.is_ok() { "passed" } else { "FAILED" };
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("==> {name}: {outcome} in {seconds:.1} s");
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let line = "FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s";
        assert_eq!((number_before(line, " passed"), number_before(line, " failed")), (12, 3));
    }
}
