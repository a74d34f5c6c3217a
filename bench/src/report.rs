//! The generated part of docs/benchmarks.md.

use std::fmt::Write as _;

use crate::measure::Series;
use crate::plot::PLOTS;
use crate::{CONNTRACK, EMPTY, FTPTRACK, NONE, Results, goals};

/// How a part's series are shown.
enum Shown {
    /// What each filter took, and in relation to no filter.
    ToNone,
    /// What ftptrack took more than the empty program.
    OverEmpty,
    /// Numbers of different columns.
    AsTheyAre,
}

/// The parts in their order: of the series, and under which heading.
const PARTS: [(&str, &str, Shown); 8] = [
    ("packet", "One packet", Shown::OverEmpty),
    ("bulk", "Large files", Shown::ToNone),
    ("rate", "Many transfers and sessions", Shown::ToNone),
    ("scale", "Few and many flows, sessions and policies", Shown::OverEmpty),
    ("live", "Many flows, from a client to a server", Shown::ToNone),
    ("memory", "Memory", Shown::AsTheyAre),
    ("query", "Listing all flows, or all that conntrack has", Shown::AsTheyAre),
    ("start", "Attaching, and changing a policy", Shown::AsTheyAre),
];

/// As Markdown.
pub(crate) fn markdown(results: &Results) -> String {
    let mut page = format!("Measured on {}.\n\n## Goals\n\n", results.machine.described());
    page += "| what | goal | measured | reached |\n|---|---|---|---|\n";
    for goal in goals::all(&results.series) {
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
    *page += match shown {
        Shown::OverEmpty => "| what | empty program | ftptrack | overhead |\n|---|---|---|---|\n",
        Shown::ToNone => "| what | no filter | empty program | nf_conntrack_ftp | ftptrack |\n|---|---|---|---|---|\n",
        Shown::AsTheyAre => "| what | measured |\n|---|---|\n",
    };
    for one in series {
        let unit = &one.unit;
        let cells: Vec<String> = match shown {
            // Measured by the side of something else.
            Shown::OverEmpty if one.rounds(EMPTY).is_empty() => {
                vec![String::new(), side_by_side(one, rounds), String::new()]
            }
            Shown::OverEmpty => {
                let mut cells = [EMPTY, FTPTRACK].map(|filter| one.spread(filter).map(|s| s.plain(unit))).to_vec();
                cells.push(one.over(FTPTRACK, EMPTY).map(|over| format!("+{} {unit}", over.shown(1))));
                cells.into_iter().map(Option::unwrap_or_default).collect()
            }
            Shown::ToNone => [NONE, EMPTY, CONNTRACK, FTPTRACK].map(|filter| to_none(one, filter)).to_vec(),
            Shown::AsTheyAre => vec![side_by_side(one, rounds)],
        };
        let _ = writeln!(page, "| {} | {} |", one.what, cells.join(" | "));
    }
}

/// All columns one after the other. What is the same each time was looked at once.
fn side_by_side(series: &Series, rounds: usize) -> String {
    let columns = series.columns.iter().filter_map(|column| {
        let value = series.spread(&column.filter)?;
        let value = if rounds > 1 { value.significant() } else { format!("{:.0}", value.median) };
        Some(format!("{} {value} {}", column.filter, series.unit))
    });
    columns.collect::<Vec<_>>().join("; ")
}

fn to_none(series: &Series, filter: &str) -> String {
    let Some(value) = series.spread(filter) else { return String::new() };
    let value = value.plain(&series.unit);
    match series.ratio(filter, NONE) {
        Some(ratio) if filter != NONE => format!("{value}: {}", ratio.shown(3)),
        _ => value,
    }
}
