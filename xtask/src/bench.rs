//! `cargo xtask bench`: measures what ftptrack costs beside what people use today, and writes docs/benchmarks.md.

use std::process::Command;

use anyhow::Result;

use crate::{build, command, setup};

/// `parts`: only these, and docs/benchmarks.md stays as it is. So it does when the measuring is `quick`.
pub(crate) fn run(quick: bool, parts: &[String]) -> Result<()> {
    command::require_root("what is measured runs in network namespaces", "bench")?;
    setup::without_guests()?;
    let ftptrack = build::optimised()?;
    let bench = build::program(build::of_all("build").args(["--bin", "bench"]), "bench")?;
    let mut bench = Command::new(bench);
    if quick {
        bench.arg("--quick");
    }
    bench.arg("--json").arg(command::target_directory().join("bench.json"));
    command::run(bench.args(parts).env("FTPTRACK_BIN", ftptrack))
}
