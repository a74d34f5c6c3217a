//! `cargo xtask test --kernel 5.10`: the tests inside other kernels, in qemu.

mod guest;
mod image;
mod modules;
mod packages;
mod page;
mod programs;
mod report;

use anyhow::{Context as _, Result, bail};

use crate::{command, setup, test::Totals};
use programs::Programs;
use report::Report;

/// The kernels of the matrix: those of Debian's releases, one between, and the newest.
const ALL: [&str; 5] = ["5.10", "6.1", "6.12", "6.18", "newest"];

/// Runs the tests inside each of these kernels, one after the other.
pub(crate) fn run(kernels: &[String]) -> Result<()> {
    setup::run()?;
    let programs = Programs::build()?;
    let reports = kernels.iter().map(|kernel| one(kernel, &programs));
    must_pass(&reports.collect::<Result<Vec<_>>>()?)
}

/// The same inside all kernels of the matrix, and writes it into `docs/kernels.md`.
pub(crate) fn run_all() -> Result<()> {
    setup::run()?;
    let programs = Programs::build()?;
    let reports: Vec<_> = ALL.iter().map(|kernel| one(kernel, &programs)).collect::<Result<_>>()?;
    must_pass(&reports)?;
    page::write(&command::workspace().join("docs/kernels.md"), &reports)
}

/// Inside the oldest of them, which has the least: what came of it.
pub(crate) fn oldest() -> Result<Totals> {
    Ok(one(ALL[0], &Programs::build()?)?.totals)
}

fn must_pass(reports: &[Report]) -> Result<()> {
    for report in reports {
        println!("kernel {} ({}): {}", report.asked, report.release(), report.totals);
    }
    let failed: Vec<_> = reports.iter().filter(|r| r.totals.failed != 0).map(|r| r.asked.as_str()).collect();
    if !failed.is_empty() {
        bail!("tests failed inside {}; see above", failed.join(" and "));
    }
    Ok(())
}

fn one(asked: &str, programs: &Programs) -> Result<Report> {
    let attempt = || {
        let kernel = packages::kernel(asked)?;
        eprintln!("    {}", kernel.package);
        let directory = tempfile::tempdir()?;
        let memory = image::build(directory.path(), &kernel.modules, programs)?;
        let mut report = Report::new(&kernel);
        guest::run(&kernel.image, &memory, |line| {
            println!("{line}");
            report.add(line);
        })?;
        let said = report.totals.suites;
        if said != programs.suites.len() {
            bail!("only {said} of {} test programs said what came of them", programs.suites.len());
        }
        Ok(report)
    };
    eprintln!("    kernel {asked}");
    attempt().with_context(|| format!("kernel {asked}"))
}
