//! What runs inside the guests: ftptrack and the integration tests, linked with all that they need.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::build;

/// The tests that run in guests: target, and what its program is told.
const SUITES: [(&str, &[&str]); 4] = [
    ("kernels", &["--show-output"]),
    ("dialogues", &["with_ftptrack", "--show-output"]),
    ("ftps", &["what_the_process", "a_worker", "a_process_that_has", "an_active", "sessions_that", "--show-output"]),
    ("systemd", &["--show-output"]),
];

/// A program with tests.
pub(crate) struct Suite {
    /// Its target's name.
    pub(crate) name: &'static str,
    /// What it is told.
    pub(crate) arguments: &'static [&'static str],
    /// Where it was built.
    pub(crate) program: PathBuf,
}

/// All of them, built.
pub(crate) struct Programs {
    pub(crate) ftptrack: PathBuf,
    pub(crate) init: PathBuf,
    /// The server that is told what to do.
    pub(crate) told_server: PathBuf,
    pub(crate) suites: Vec<Suite>,
}

impl Programs {
    /// Builds what has changed.
    pub(crate) fn build() -> Result<Self> {
        let programs = build::programs(build::of_all("build").args([
            "--bin",
            "ftptrack",
            "--bin",
            "guest",
            "--bin",
            "told-server",
        ]))?;
        let mut tests = build::of_all("test");
        tests.arg("--no-run").args(SUITES.iter().flat_map(|(name, _)| ["--test", name]));
        let tests = build::programs(&mut tests)?;
        let suites = SUITES.iter().map(|(name, arguments)| {
            let program = tests.get(*name).with_context(|| format!("{name} was not built"))?.clone();
            Ok(Suite { name, arguments, program })
        });
        let program = |name: &str| programs.get(name).cloned().with_context(|| format!("{name} was not built"));
        Ok(Self {
            ftptrack: program("ftptrack")?,
            init: program("guest")?,
            told_server: program("told-server")?,
            suites: suites.collect::<Result<_>>()?,
        })
    }
}
