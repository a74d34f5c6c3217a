//! `cargo xtask bench`: measures what ftptrack costs beside what people use today, and writes docs/benchmarks.md.

use std::{fs, process::Command};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::{build, command, page, setup};

/// All parts, in the order of the report.
const PARTS: [&str; 8] = ["packet", "transfer", "bulk", "rate", "scale", "live", "flood", "start"];

/// `parts`: only these are measured anew, the others' numbers are those of the last time. Quick results are for the
/// terminal alone, and so are those of some parts while others were never measured.
pub(crate) fn run(quick: bool, parts: &[String]) -> Result<()> {
    command::require_root("what is measured runs in network namespaces", "bench")?;
    setup::without_guests()?;
    let ftptrack = build::optimised()?;
    let bench = build::program(build::of_all("build").args(["--bin", "bench"]), "bench")?;
    let results = command::target_directory().join(if quick { "bench/quick" } else { "bench/full" });
    fs::create_dir_all(&results)?;
    let of_results = |name: &str| results.join(name);
    let mut bench = Command::new(bench);
    if quick {
        bench.arg("--quick");
    }
    bench.arg("--json").arg(of_results("benchmarks.json")).arg("--report").arg(of_results("report.md"));
    bench.arg("--plots").arg(of_results("benchmarks"));
    if parts.is_empty() {
        bench.args(PARTS);
    } else {
        bench.args(parts);
    }
    command::run(bench.env("FTPTRACK_BIN", ftptrack))?;
    let report = fs::read_to_string(of_results("report.md"))?;
    if quick || !has_all(&fs::read_to_string(of_results("benchmarks.json"))?)? {
        println!("{report}");
        return Ok(());
    }
    let docs = command::workspace().join("docs");
    fs::copy(of_results("benchmarks.json"), docs.join("benchmarks.json"))?;
    fs::create_dir_all(docs.join("benchmarks"))?;
    for plot in fs::read_dir(of_results("benchmarks"))? {
        let plot = plot?;
        fs::copy(plot.path(), docs.join("benchmarks").join(plot.file_name()))?;
    }
    page::put(&docs.join("benchmarks.md"), "cargo xtask bench", &report)
}

/// Whether there are numbers of each part.
fn has_all(results: &str) -> Result<bool> {
    let results: Value = serde_json::from_str(results)?;
    let series = results["series"].as_array().context("no series")?;
    Ok(PARTS.iter().all(|part| series.iter().any(|one| one["part"] == *part)))
}
