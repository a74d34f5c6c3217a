//! Sums of cells.

use std::fmt::Write as _;

use super::judge::Row;

/// How many cells, and how many of them work.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// All.
    pub all: usize,
    /// They work without a filter.
    pub without: usize,
    /// They work with ftptrack.
    pub ftptrack: usize,
    /// They work with nf_conntrack_ftp.
    pub conntrack: usize,
    /// They work without a filter and with ftptrack.
    pub kept_by_ftptrack: usize,
    /// They work without a filter and with nf_conntrack_ftp.
    pub kept_by_conntrack: usize,
    /// ftptrack makes a difference.
    pub differing: usize,
}

impl Tally {
    /// Adds one cell.
    pub fn add(&mut self, row: &Row) {
        let [without, ftptrack] = [&row.without, &row.ftptrack].map(|outcome| outcome.works);
        let conntrack = row.conntrack.as_ref().is_some_and(|outcome| outcome.works);
        self.all += 1;
        self.without += usize::from(without);
        self.ftptrack += usize::from(ftptrack);
        self.conntrack += usize::from(conntrack);
        self.kept_by_ftptrack += usize::from(without && ftptrack);
        self.kept_by_conntrack += usize::from(without && conntrack);
        self.differing += usize::from(row.differs());
    }
}

impl<'a> FromIterator<&'a Row> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a Row>>(rows: I) -> Self {
        let mut tally = Self::default();
        rows.into_iter().for_each(|row| tally.add(row));
        tally
    }
}

/// A table of sums, each with its name; what they are of stands above the names.
#[must_use]
pub fn table<'a>(of: &str, sums: impl Iterator<Item = (String, &'a Tally)>) -> String {
    let mut text = format!("| {of} | cells | work without a filter | with ftptrack | with nf_conntrack_ftp |");
    text += " ftptrack makes a difference |\n|---|---|---|---|---|---|\n";
    for (name, sum) in sums {
        let Tally { all, without, ftptrack, conntrack, differing, .. } = sum;
        let _ = writeln!(text, "| {name} | {all} | {without} | {ftptrack} | {conntrack} | {differing} |");
    }
    text.push('\n');
    text
}
