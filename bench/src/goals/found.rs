//! What the numbers say of each goal.

use super::Goal;
use crate::measure::{Series, Spread};
use crate::scale::{self, grouped};
use crate::{CONNTRACK, EMPTY, FTPTRACK, NONE, start};

/// All that was measured.
pub(super) struct Found<'a>(pub(super) &'a [Series]);

impl Found<'_> {
    fn get(&self, what: &str) -> Option<&Series> {
        self.0.iter().find(|series| series.what == what)
    }

    /// Nanoseconds over the empty program.
    pub(super) fn packet(&self, what: &str, most: f64) -> Option<Goal> {
        let series = self.get(what)?;
        let over = series.over(FTPTRACK, EMPTY)?;
        let theirs = series.over(CONNTRACK, EMPTY).map(|theirs| format!("; conntrack +{} ns", theirs.shown(1)));
        Some(Goal {
            what: format!("{what}, over the empty program"),
            goal: format!("+{most} ns"),
            measured: format!("+{} ns{}", over.shown(1), theirs.unwrap_or_default()),
            reached: over.median <= most,
        })
    }

    /// What each further byte costs: the difference to a short line, by the difference in length.
    pub(super) fn text(&self, what: &str, long: &str, short: &str, most: f64) -> Option<Goal> {
        let short = self.get(short)?.over(FTPTRACK, EMPTY)?.median;
        let long = self.get(long)?;
        let bytes = |filter: &str| long.rounds(filter).iter().copied();
        let of_a_byte = bytes(FTPTRACK).zip(bytes(EMPTY)).map(|(ours, floor)| (ours - floor - short) / (1400.0 - 25.0));
        let spread = Spread::of(of_a_byte)?;
        Some(Goal {
            what: format!("{what}, a byte"),
            goal: format!("{most} ns"),
            measured: format!("{} ns", spread.shown(2)),
            reached: spread.median <= most,
        })
    }

    /// Both directions of one flow on a CPU each, in relation to two flows.
    pub(super) fn two_cpus(&self, most: f64) -> Option<Goal> {
        let ratio = self.get(scale::TWO_CPUS)?.ratio(scale::ONE_FLOW, scale::TWO_FLOWS)?;
        Some(Goal {
            what: "two CPUs on one flow, against two flows".to_owned(),
            goal: format!("at most {most}"),
            measured: ratio.shown(2),
            reached: ratio.median <= most,
        })
    }

    /// Microseconds of all packets of a transfer, over the empty program's.
    pub(super) fn transfer(&self, what: &str, most: f64) -> Option<Goal> {
        let over = self.get(what)?.over(FTPTRACK, EMPTY)?;
        Some(Goal {
            what: format!("{what}, live, over the empty program's"),
            goal: format!("+{most} µs"),
            measured: format!("+{} µs", over.shown(2)),
            reached: over.median <= most,
        })
    }

    /// Transfers a second while `reader` reads the events.
    pub(super) fn transfers(&self, what: &str, reader: &str, least: f64) -> Option<Goal> {
        let series = self.get(what)?;
        let ours = series.ratio(reader, NONE)?;
        let beside = series.ratio(reader, CONNTRACK)?.median;
        let mode = if reader == FTPTRACK { "attach" } else { reader };
        Some(Goal {
            what: format!("{what}, {mode}, no filter = 1"),
            goal: format!("at least {least}, and conntrack's"),
            measured: ours.shown(3) + &self.beside(what),
            reached: ours.median >= least && beside >= 1.0,
        })
    }

    /// Bytes a second of a large file.
    pub(super) fn throughput(&self, what: &str, least: f64, of_the_empty: f64) -> Option<Goal> {
        let series = self.get(what)?;
        let (ours, to_empty) = (series.ratio(FTPTRACK, NONE)?, series.ratio(FTPTRACK, EMPTY)?);
        Some(Goal {
            what: format!("{what}, no filter = 1"),
            goal: format!("at least {least}, and {of_the_empty} of the empty program's"),
            measured: format!("{}; of the empty program's {}{}", ours.shown(3), to_empty.shown(3), self.beside(what)),
            reached: ours.median >= least && to_empty.median >= of_the_empty,
        })
    }

    /// Seconds of a processor for a large file.
    pub(super) fn processor(&self, what: &str, most: f64) -> Option<Goal> {
        let ours = self.get(what)?.ratio(FTPTRACK, NONE)?;
        Some(Goal {
            what: format!("{what}, no filter = 1"),
            goal: format!("at most {most}"),
            measured: ours.shown(3) + &self.beside(what),
            reached: ours.median <= most,
        })
    }

    /// What the other filters have, no filter = 1.
    fn beside(&self, what: &str) -> String {
        let Some(series) = self.get(what) else { return String::new() };
        let ratio = |(filter, name)| Some(format!("; {name} {:.3}", series.ratio(filter, NONE)?.median));
        [(EMPTY, "empty"), (CONNTRACK, "conntrack")].into_iter().filter_map(ratio).collect()
    }

    /// A number, whatever it is of.
    pub(super) fn at_most(&self, what: &str, most: f64) -> Option<Goal> {
        let series = self.get(what)?;
        let ours = series.spread(FTPTRACK)?;
        // What is no time is the same each time.
        let shown = |spread: Spread| {
            if series.rounds(FTPTRACK).len() > 1 { spread.shown(0) } else { format!("{:.0}", spread.median) }
        };
        let beside = series.spread(CONNTRACK).map(|theirs| format!("; conntrack {} {}", shown(theirs), series.unit));
        Some(Goal {
            what: what.to_owned(),
            goal: format!("{most} {}", series.unit),
            measured: format!("{} {}{}", shown(ours), series.unit, beside.unwrap_or_default()),
            reached: ours.median <= most,
        })
    }

    /// Instructions that the verifier goes through, on this kernel and on the worst that was tried.
    pub(super) fn verified(&self, most: u32) -> Option<Goal> {
        let here = self.get(start::VERIFIED)?;
        let here = here.columns.iter().filter_map(|column| here.spread(&column.filter)).map(|spread| spread.median);
        let here = here.fold(0.0, f64::max) as u32;
        let (kernel, worst) = worst_kernel(KERNELS)?;
        Some(Goal {
            what: "verified instructions, worst kernel".to_owned(),
            goal: grouped(most),
            measured: format!("{} ({kernel}, docs/kernels.md); here {}", grouped(worst), grouped(here)),
            reached: worst.max(here) <= most,
        })
    }
}

/// What `cargo xtask test --kernels` wrote.
const KERNELS: &str = include_str!("../../../docs/kernels.md");

/// The kernel whose verifier goes through most instructions for one of the programs, and how many.
fn worst_kernel(page: &str) -> Option<(&str, u32)> {
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [kernel, _, _, _, _, ingress, egress] = cells[..] else { return None };
        let number = |cell: &str| cell.replace(',', "").parse::<u32>().ok();
        Some((kernel, number(ingress)?.max(number(egress)?)))
    });
    rows.max_by_key(|(_, instructions)| *instructions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_kernel_is_the_one_with_most_instructions() {
        let page = "| kernel | a | b | c | d | verified: ingress | egress |\n|---|---|---|---|---|---|---|\n\
                    | 5.10 | x | y | z | 275 | 121,093 | 121,131 |\n| 6.1 | x | y | z | 275 | 9 | 10 |\n";
        assert_eq!(worst_kernel(page), Some(("5.10", 121_131)));
        assert!(worst_kernel(KERNELS).is_some(), "the page has such a table");
    }
}
