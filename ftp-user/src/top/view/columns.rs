//! The lists' lines, and how wide their columns are.

use super::amounts::{bytes, rate, time};
use super::shown;
use crate::top::state::{List, State};

/// Between two columns.
pub(super) const SPACE: usize = 2;

/// A list as text.
pub(super) struct Columns {
    pub(super) list: List,
    pub(super) name: &'static str,
    /// Nothing: it needs none.
    pub(super) header: &'static [&'static str],
    /// The columns that give way where the terminal is narrow, in this order, and what is left of them.
    pub(super) give_way: &'static [(usize, usize)],
    /// Some lines: of a state, from this one, so many at most.
    pub(super) rows: fn(&State, usize, usize) -> Vec<Vec<String>>,
}

pub(super) const SESSIONS: Columns = Columns {
    list: List::Sessions,
    name: "Sessions",
    header: &["USER", "CLIENT", "SERVER", "STATE", "MODE", "AGE", "PENDING"],
    give_way: &[(2, 8), (0, 8), (1, 15), (2, 0)],
    rows: |state, first, count| {
        let rows = state.sessions().into_iter().skip(first).take(count);
        let row = |row: &crate::query::rows::SessionRow| {
            let pending = if row.waits_for.is_empty() { "-".to_owned() } else { row.waits_for.join(" ") };
            let mode = row.mode.unwrap_or("-").to_owned();
            let (user, client, server) = (shown(row.user.as_deref()), row.client.clone(), row.server.clone());
            vec![user, client, server, row.shown_state(), mode, time(row.age_seconds), pending]
        };
        rows.map(row).collect()
    },
};

pub(super) const TRANSFERS: Columns = Columns {
    list: List::Transfers,
    name: "Transfers",
    header: &["USER", "CLIENT", "SERVER", "WAY", "RATE", "BYTES", "STATE"],
    give_way: &[(2, 8), (0, 8), (1, 15), (2, 0)],
    rows: |state, first, count| {
        let counted = state.snapshot.accounting;
        let rows = state.transfers().into_iter().skip(first).take(count);
        let row = |row: &crate::top::rates::Transfer| {
            let flow = &row.flow;
            let (speed, amount) = if counted {
                (row.bytes_a_second().map_or_else(|| "-".to_owned(), rate), bytes(row.bytes()))
            } else {
                ("?".to_owned(), "?".to_owned())
            };
            let (user, client, server) = (shown(row.user.as_deref()), flow.client.clone(), flow.server.clone());
            vec![user, client, server, row.direction().to_owned(), speed, amount, flow.state.to_owned()]
        };
        rows.map(row).collect()
    },
};

pub(super) const EXPECTATIONS: Columns = Columns {
    list: List::Expectations,
    name: "Expected",
    header: &["MODE", "CLIENT", "SERVER", "EXPIRES IN"],
    give_way: &[(1, 15), (2, 15)],
    rows: |state, first, count| {
        let rows = state.expectations().into_iter().skip(first).take(count);
        let row = |row: &crate::query::rows::ExpectationRow| {
            let client = row.client.map_or_else(|| "any".to_owned(), |address| address.to_string());
            let (client, server) = match row.mode {
                "active" => (format!("{client} port {}", row.port), row.server.to_string()),
                _ => (client, format!("{} port {}", row.server, row.port)),
            };
            vec![row.mode.to_owned(), client, server, time(row.expires_in_seconds)]
        };
        rows.map(row).collect()
    },
};

pub(super) const DENIALS: Columns = Columns {
    list: List::Denials,
    name: "Denied and refused, since this began",
    header: &[],
    give_way: &[(0, 0)],
    rows: |state, first, count| {
        state.denials().into_iter().skip(first).take(count).map(|line| vec![compact(line)]).collect()
    },
};

/// A line of events without its milliseconds and the blanks that keep columns: it is to fit into 80 columns.
fn compact(line: &str) -> String {
    let (time, rest) = line.split_once('.').unwrap_or(("", line));
    let words = rest.split_whitespace().skip(usize::from(!time.is_empty()));
    std::iter::once(time).chain(words).collect::<Vec<_>>().join(" ")
}

/// As wide as what is in them; where that is too much, some give way.
pub(super) fn widths(header: &[&str], rows: &[Vec<String>], give_way: &[(usize, usize)], width: usize) -> Vec<usize> {
    let columns = rows.first().map_or(header.len(), Vec::len);
    let mut widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain(header.get(column).map(|name| name.len())).max().unwrap_or(0)
        })
        .collect();
    let spaces = SPACE * columns.saturating_sub(1);
    for (column, least) in give_way {
        let excess = (widths.iter().sum::<usize>() + spaces).saturating_sub(width);
        if let Some(own) = widths.get_mut(*column) {
            *own = own.saturating_sub(excess).max((*least).min(*own));
        }
    }
    widths
}

/// What of a cell is shown where its column gave way, and a sign of it: of an address the end, since that is where ports
/// and hosts differ.
pub(super) fn fitting(cell: String, header: &str, width: usize) -> String {
    let length = cell.chars().count();
    let Some(room) = width.checked_sub(1).filter(|_| length > width) else { return cell };
    match header {
        "CLIENT" | "SERVER" => std::iter::once('…').chain(cell.chars().skip(length - room)).collect(),
        _ => cell.chars().take(room).chain(std::iter::once('…')).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_fits_into_80_columns() {
        let line = "13:22:59.956 denied    passive 10.0.0.2:36064 -> 10.0.0.1:15000: nobody negotiated it";
        let compact = compact(line);
        assert_eq!(compact, "13:22:59 denied passive 10.0.0.2:36064 -> 10.0.0.1:15000: nobody negotiated it");
        assert!(compact.len() <= 80);
    }

    #[test]
    fn columns_give_way_in_their_order() {
        let rows = vec![vec!["0123456789".to_owned(), "01234567890123456789".to_owned(), "01234".to_owned()]];
        let of = |width| widths(&["A", "B", "C"], &rows, &[(1, 12), (0, 4), (1, 0)], width);
        assert_eq!(of(80), [10, 20, 5]);
        assert_eq!(of(39), [10, 20, 5]);
        assert_eq!(of(34), [10, 15, 5]);
        assert_eq!(of(29), [8, 12, 5]);
        assert_eq!(of(22), [4, 9, 5]);
        assert_eq!(of(1), [4, 0, 5]);
    }

    #[test]
    fn what_a_narrow_column_cuts_is_told_and_a_port_stays_whole() {
        let of = |header, width| fitting("192.0.2.77:36930".to_owned(), header, width);
        assert_eq!(of("SERVER", 16), "192.0.2.77:36930");
        assert_eq!(of("SERVER", 15), "…2.0.2.77:36930");
        assert_eq!(of("USER", 15), "192.0.2.77:369…");
        assert_eq!(of("USER", 1), "…");
    }
}
