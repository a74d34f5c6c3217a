//! `cargo xtask test`: every check and every test; what fails fast comes first.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail};

use crate::{build, command, setup};

/// Runs all steps; the first that fails is the last. The last line is what the test programs said, added up.
///
/// `long`: the properties are tried on many more cases.
pub(crate) fn run(long: bool, arguments: &[OsString]) -> Result<()> {
    command::require_root("the tests make network namespaces", "test")?;
    step("setup", setup::run)?;
    step("format", || command::run(command::cargo().args(["fmt", "--all", "--check"])))?;
    step("lint", || {
        let all = ["--workspace", "--exclude", "ftp-ebpf", "--all-targets"];
        command::run(clippy().args(all).args(["--", "-D", "warnings"]))
    })?;
    // The compiler for BPF comes without clippy. Lints don't link, so the host's checks the crate as well.
    step("lint of the kernel crate", || {
        command::run(clippy().args(["--package", "ftp-ebpf", "--", "-D", "warnings"]))
    })?;
    let ftptrack = step("build", || build::ftptrack(false))?;
    let (passed, failed) = step("tests", || {
        let mut tests = command::cargo();
        tests.args(["test", "--workspace", "--exclude", "ftp-ebpf", "--lib", "--bins", "--tests"]);
        tests.args(["--no-fail-fast", "--"]).args(arguments);
        tests.env("FTPTRACK_BIN", &ftptrack);
        if long {
            tests.env("FTPTRACK_LONG", "1");
        }
        totals(&mut tests)
    })?;
    println!("{passed} passed, {failed} failed");
    if failed != 0 {
        bail!("{failed} tests failed; see above");
    }
    Ok(())
}

/// Runs the test programs, shows what they say, and adds up their result lines.
fn totals(tests: &mut Command) -> Result<(u64, u64)> {
    let mut child = tests.stdout(Stdio::piped()).spawn().context("cargo cannot be run")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(child.stdout.take().context("no output")?).lines() {
        let line = line?;
        println!("{line}");
        if let Some(result) = line.strip_prefix("test result: ") {
            passed += number_before(result, " passed");
            failed += number_before(result, " failed");
        }
    }
    let status = child.wait()?;
    if !status.success() && failed == 0 {
        bail!("a test program did not build, or ended without a result");
    }
    Ok((passed, failed))
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
