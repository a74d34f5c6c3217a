//! The generated part of docs/benchmarks.md.

use std::fmt::Write as _;

use crate::measure::Series;
use crate::plot::PLOTS;
use crate::{CONNTRACK, EMPTY, FTPTRACK, NONE, RUN, Results, WATCH, goals};

/// How a part's series are shown.
enum Shown {
    /// What each filter took, and in relation to no filter.
    ToNone,
    /// What each filter took, and how much more than the empty program.
    OverEmpty,
    /// Numbers of different columns.
    AsTheyAre,
}

/// The parts in their order: of the series, under which heading, and what is said of it.
const PARTS: [(&str, &str, Shown); 11] = [
    ("packet", "One packet", Shown::OverEmpty),
    ("transfer", "A whole transfer, live", Shown::OverEmpty),
    ("packets of a transfer", "Which packet of a transfer takes what", Shown::OverEmpty),
    ("bulk", "Large files", Shown::ToNone),
    ("rate", "Many transfers and sessions", Shown::ToNone),
    ("scale", "Few and many CPUs, flows, sessions and policies", Shown::OverEmpty),
    ("live", "Many flows, from a client to a server", Shown::ToNone),
    ("memory", "Memory", Shown::AsTheyAre),
    ("query", "Listing all flows, or all that conntrack has", Shown::AsTheyAre),
    ("flood", "A flood of SYNs", Shown::AsTheyAre),
    ("start", "Attaching, and changing a policy", Shown::AsTheyAre),
];

/// Columns that tables have, where they were measured, and what they are called there.
const COLUMNS: [(&str, &str); 6] = [
    (NONE, "no filter"),
    (EMPTY, "empty program"),
    (CONNTRACK, "nf_conntrack_ftp"),
    (FTPTRACK, "ftptrack"),
    (WATCH, "ftptrack watch"),
    (RUN, "ftptrack run"),
];

/// As Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let mut page = format!("Measured on {}.\n\n## Goals\n\n", results.machine.described());
    page += "| what | goal | measured | reached |\n|---|---|---|---|\n";
    for goal in goals::all(&results.series, &results.machine) {
        let reached = if goal.reached { "yes" } else { "**no**" };
        let _ = writeln!(page, "| {} | {} | {} | {reached} |", goal.what, goal.goal, goal.measured);
    }
    for (part, heading, shown) in &PARTS {
        let series: Vec<_> = results.series.iter().filter(|series| series.part == *part).collect();
        if series.is_empty() {
            continue;
        }
        let _ = write!(page, "\n## {heading}\n\n");
        for plot in PLOTS.iter().filter(|plot| plot.part == *part) {
            let _ = write!(page, "![{}](benchmarks/{}.svg)\n\n", plot.title, plot.file);
        }
        table(&mut page, &series, shown);
    }
    page
}

fn table(page: &mut String, series: &[&Series], shown: &Shown) {
    let rounds = series.iter().flat_map(|one| &one.columns).map(|column| column.rounds.len()).max().unwrap_or(0);
    if rounds > 1 {
        let _ = write!(page, "Medians of {rounds} rounds; the interquartile range in brackets.\n\n");
    }
    let columns: Vec<_> =
        COLUMNS.into_iter().filter(|(filter, _)| series.iter().any(|one| !one.rounds(filter).is_empty())).collect();
    let heads = match shown {
        Shown::AsTheyAre => vec!["what", "measured"],
        _ => [("", "what")].iter().chain(&columns).map(|(_, name)| *name).collect(),
    };
    let _ = writeln!(page, "| {} |\n|{}", heads.join(" | "), "---|".repeat(heads.len()));
    for one in series {
        let cells: Vec<String> = match shown {
            // Measured by the side of something else.
            Shown::OverEmpty if one.rounds(EMPTY).is_empty() => {
                let mut cells = vec![String::new(); columns.len()];
                cells[0] = side_by_side(one);
                cells
            }
            Shown::OverEmpty => columns.iter().map(|(filter, _)| over_empty(one, filter)).collect(),
            Shown::ToNone => columns.iter().map(|(filter, _)| to_none(one, filter)).collect(),
            Shown::AsTheyAre => vec![side_by_side(one)],
        };
        let _ = writeln!(page, "| {} | {} |", one.what, cells.join(" | "));
    }
}

/// All columns one after the other. What is the same each time was looked at once.
fn side_by_side(series: &Series) -> String {
    let columns = series.columns.iter().filter_map(|column| {
        let value = series.spread(&column.filter)?;
        let value = if column.rounds.len() > 1 { value.significant() } else { format!("{:.0}", value.median) };
        Some(format!("{} {value} {}", column.filter, series.unit))
    });
    columns.collect::<Vec<_>>().join("; ")
}

fn over_empty(series: &Series, filter: &str) -> String {
    let Some(value) = series.spread(filter) else { return String::new() };
    let value = value.plain(&series.unit);
    match series.over(filter, EMPTY) {
        // Not how long something took, but how many there were.
        Some(over) if filter != EMPTY && matches!(&*series.unit, "ns" | "µs") => {
            format!("{value}: +{}", over.shown(1))
        }
        _ => value,
    }
}

fn to_none(series: &Series, filter: &str) -> String {
    let Some(value) = series.spread(filter) else { return String::new() };
    let value = value.plain(&series.unit);
    match series.ratio(filter, NONE) {
        Some(ratio) if filter != NONE => format!("{value}: {}", ratio.shown(3)),
        _ => value,
    }
}
