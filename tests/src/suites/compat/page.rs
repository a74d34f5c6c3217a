//! `docs/compatibility.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::cell::Cell;
use super::data::{Block, Data, Explanation};
use super::judge::{self, Row};
use super::tally::{Tally, table};
use super::versions::Versions;

/// Where the page is.
#[must_use]
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md")
}

/// The line that says of which matrix a page is.
#[must_use]
pub fn of_matrix(cells: usize, data: &Data) -> String {
    format!(
        "{} servers, {} clients, {} filter locations: {cells} cells, each played three times.",
        data.servers.len(),
        data.clients.len(),
        data.places.len()
    )
}

const HEAD: &str = "\
# Compatibility

Real FTP servers with real FTP clients: what works without any filter, with ftptrack, and with the kernel's
`nf_conntrack_ftp`. Made by `cargo xtask compat` from the data in `tests/compat`; the ordinary tests play a sample.

";

const METHOD: &str = "\
A *cell* is one client doing one thing with one server in one mode (active or passive, IPv4 or IPv6), with the filter in
one location. It works if the client ends without an error and the data arrived byte for byte. ftptrack makes no
difference to a cell if the outcome is the same as without a filter and its counters show no denial, refusal or desync.
Before the first cell of a testbed the filter is checked: connections into the passive range and from port 20 that
nobody negotiated get no answer; without a filter they do.

`nf_conntrack_ftp` is attached in the same locations, behind a ruleset that keeps the same ports closed and accepts what
the helper expects (`tests/compat/conntrack.nft`).

";

/// The page.
#[must_use]
pub fn write(rows: &[Row], data: &Data, versions: &Versions) -> String {
    let steady: Vec<_> = rows.iter().filter(|row| judge::of(&data.explanations.chance, &row.cell).is_none()).collect();
    let mut text = format!("{HEAD}{}\n\n", of_matrix(rows.len(), data));
    let differing = steady.iter().filter(|row| row.differs()).count();
    let _ = writeln!(
        text,
        "* ftptrack makes no difference to {} of them. To {differing} it does, each for a reason that is \
         [given below](#where-ftptrack-makes-a-difference).",
        steady.len() - differing
    );
    let tally: Tally = steady.iter().copied().collect();
    let _ = writeln!(
        text,
        "* {} work without a filter; of these {} do with ftptrack, and {} with nf_conntrack_ftp.",
        tally.without, tally.kept_by_ftptrack, tally.kept_by_conntrack
    );
    let chance = rows.len() - steady.len();
    if chance > 0 {
        let _ = writeln!(text, "* {chance} work or don't [by chance](#by-chance), filter or not, and are in no sum.");
    }
    text.push('\n');
    text += METHOD;
    text += "## Summary\n\n";
    let by = |of: &dyn Fn(&Cell) -> String| {
        let mut sums: BTreeMap<String, Tally> = BTreeMap::new();
        steady.iter().for_each(|row| sums.entry(of(&row.cell)).or_default().add(row));
        sums
    };
    let places = by(&|cell| cell.place.clone());
    let ordered = data.places.iter().filter_map(|place| Some((place.title.clone(), places.get(&place.name)?)));
    text += &table("filter location", ordered);
    let actions = by(&|cell| cell.action.clone());
    text += &table("what clients do", actions.iter().map(|(name, sum)| (data.actions[name].title.clone(), sum)));
    let servers = by(&|cell| super::data::split(&cell.server).0.to_owned());
    text += &table("server", servers.iter().map(|(name, sum)| (versions.of_server(name, data), sum)));
    let clients = by(&|cell| cell.client.clone());
    text += &table("client", clients.iter().map(|(name, sum)| (versions.of_client(name, data), sum)));
    text += &explained(rows, data);
    text += &tables(rows, data);
    text
}

/// The lists of reasons.
fn explained(rows: &[Row], data: &Data) -> String {
    let lists = [
        ("Where ftptrack makes a difference", &data.explanations.differs),
        ("What doesn't work without a filter either", &data.explanations.never),
        ("By chance", &data.explanations.chance),
    ];
    let mut text = String::new();
    for (title, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        let _ = write!(text, "## {title}\n\n| cells | which | why |\n|---|---|---|\n");
        for explanation in list {
            let number =
                rows.iter().filter(|row| held(list, row).is_some_and(|e| std::ptr::eq(e, explanation))).count();
            let counters: Vec<_> = explanation.counters.iter().map(|name| format!("`{name}`")).collect();
            let counted = if counters.is_empty() { String::new() } else { format!(" ({})", counters.join(", ")) };
            let why = explanation.why.trim().replace('\n', " ");
            let _ = writeln!(text, "| {number} | {} | {why}{counted} |", explanation.cells);
        }
        text.push('\n');
    }
    text
}

fn held<'a>(list: &'a [Explanation], row: &Row) -> Option<&'a Explanation> {
    judge::of(list, &row.cell)
}

/// All cells: a table for each place and block.
fn tables(rows: &[Row], data: &Data) -> String {
    let mut text = "## All cells\n\n\
        ✓: it works in all modes that the client supports, without a filter, with ftptrack and with nf_conntrack_ftp.\n\
        Otherwise the numbers of modes in which it works, in this order, and of all modes; **bold** where ftptrack makes a\n\
        difference, ? where it depends on chance. –: the client can't do it.\n\n"
        .to_owned();
    for place in &data.places {
        let blocks =
            data.blocks.iter().filter(|block| block.places.iter().any(|name| *name == place.name || name == "*"));
        let mut first = true;
        for block in blocks {
            if std::mem::take(&mut first) {
                let _ = write!(text, "### {}\n\n", place.title);
            }
            let cells: BTreeSet<_> = Cell::of(block, data);
            let here: Vec<_> =
                rows.iter().filter(|row| row.cell.place == place.name && cells.contains(&row.cell)).collect();
            let _ = write!(text, "#### {}\n\n{}\n", block.title, block_table(block, &here, data));
        }
    }
    text
}

/// One block at one place: a row for each server and client, a column for each action.
fn block_table(block: &Block, rows: &[&Row], data: &Data) -> String {
    let actions: Vec<_> = data.actions.keys().filter(|name| rows.iter().any(|row| row.cell.action == **name)).collect();
    let pairs: BTreeSet<_> = rows.iter().map(|row| (&row.cell.server, &row.cell.second, &row.cell.client)).collect();
    let second = if block.second.is_empty() { "" } else { " second server |" };
    let names: Vec<_> = actions.iter().map(|name| name.as_str()).collect();
    let mut text = format!("| server |{second} client | {} |\n", names.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(names.len() + if block.second.is_empty() { 2 } else { 3 }));
    for (server, second, client) in pairs {
        let _ = write!(text, "| {server} |");
        if let Some(second) = second {
            let _ = write!(text, " {second} |");
        }
        let _ = write!(text, " {client} |");
        for action in &actions {
            let these: Vec<_> = rows
                .iter()
                .filter(|row| {
                    let cell = &row.cell;
                    (&cell.server, &cell.second, &cell.client, &cell.action) == (server, second, client, *action)
                })
                .copied()
                .collect();
            let _ = write!(text, " {} |", in_short(&these, data));
        }
        text.push('\n');
    }
    text
}

/// What came of an action in all its modes.
fn in_short(rows: &[&Row], data: &Data) -> String {
    if rows.is_empty() {
        return "–".to_owned();
    }
    let chance = |row: &&&Row| judge::of(&data.explanations.chance, &row.cell).is_some();
    let steady: Vec<_> = rows.iter().filter(|row| !chance(row)).copied().collect();
    if steady.is_empty() {
        return "?".to_owned();
    }
    let doubt = if steady.len() < rows.len() { " ?" } else { "" };
    let sum: Tally = steady.iter().copied().collect();
    if sum.conntrack == sum.all && sum.ftptrack == sum.all && sum.without == sum.all && sum.differing == 0 {
        return format!("✓{doubt}");
    }
    let text = format!("{} {} {} of {}", sum.without, sum.ftptrack, sum.conntrack, sum.all);
    if sum.differing > 0 { format!("**{text}**{doubt}") } else { format!("{text}{doubt}") }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
