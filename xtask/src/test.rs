//! `cargo xtask test`: every check and every test; what fails fast comes first.

use std::{ffi::OsString, process::Command, time::Instant};

use anyhow::{Context as _, Result, bail};

use crate::{build, command, setup};

/// Runs all steps; the first that fails is the last.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    if !command::is_root() {
        bail!("the tests make network namespaces: run 'sudo --preserve-env=HOME,PATH cargo xtask test'");
    }
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
    step("tests", || {
        let mut tests = command::cargo();
        tests.args(["test", "--workspace", "--exclude", "ftp-ebpf"]);
        tests.args(["--no-fail-fast", "--"]).args(arguments);
        command::run(tests.env("FTPTRACK_BIN", &ftptrack))
    })
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
