//! The tables of `docs/kernels.md`.

use std::{fmt::Write as _, path::Path};

use anyhow::Result;

use super::report::Report;
use crate::page;

/// What is looked for: its name in `ftptrack status --json`, what it is, and the version that brought it.
const FEATURES: [(&str, &str); 6] = [
    ("tcx", "TCX: links at an interface (6.6)"),
    ("classifier", "programs at TC (4.1)"),
    ("lpm_trie", "LPM tries (4.11)"),
    ("global_functions", "global functions (5.6)"),
    ("batch_lookup", "batch lookups (5.6)"),
    ("ring_buffer", "ring buffers (5.8)"),
];

/// Writes both tables into the page.
pub(crate) fn write(page: &Path, reports: &[Report]) -> Result<()> {
    page::put(page, "cargo xtask test --kernels", &format!("{}\n{}", tests(reports)?, features(reports)?))
}

fn tests(reports: &[Report]) -> Result<String> {
    let mut text = "| kernel | Debian's package | attached by | tests | dialogues | verified: ingress | egress |\n\
                    |---|---|---|---|---|---|---|\n"
        .to_owned();
    for report in reports {
        let hooks = if report.has("tcx") { "tcx, clsact" } else { "clsact" };
        let verified = |direction: &str| {
            let found = report.verified.iter().find(|(program, _)| program.ends_with(direction));
            found.map_or_else(|| "?".to_owned(), |(_, verified)| grouped(*verified))
        };
        writeln!(
            text,
            "| {} | {} | {hooks} | {} | {} | {} | {} |",
            report.release(),
            report.package.split(' ').nth(1).unwrap_or("?"),
            report.totals,
            report.dialogues,
            verified("_ingress"),
            verified("_egress"),
        )?;
    }
    Ok(text)
}

fn features(reports: &[Report]) -> Result<String> {
    let short = |report: &Report| report.release().split(['-', '+']).next().unwrap_or("?").to_owned();
    let releases: Vec<_> = reports.iter().map(short).collect();
    let mut text = format!("| | {} |\n|---|{}\n", releases.join(" | "), "---|".repeat(reports.len()));
    for (name, what) in FEATURES {
        let cells: Vec<_> = reports.iter().map(|report| if report.has(name) { "yes" } else { "no" }).collect();
        writeln!(text, "| {what} | {} |", cells.join(" | "))?;
    }
    Ok(text)
}

/// `1,234,567`.
fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_stand_in_threes() {
        assert_eq!([7, 1_000, 125_042, 1_000_000].map(grouped), ["7", "1,000", "125,042", "1,000,000"]);
    }
}
