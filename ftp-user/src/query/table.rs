//! Tables for people. Plain columns: they are read in terminals and cut by scripts.

use std::iter;

use unicode_width::UnicodeWidthStr as _;

use crate::escape;
use crate::owner::Learning;
use crate::query::policy_row::{PortOrAny, ServerRow};
use crate::query::rows::{ExpectationRow, FlowRow, InterfaceRow, SessionRow, Stats, Status};

/// What stands between two columns.
const GAP: usize = 2;

/// Columns that hold numbers, and are aligned to the right.
fn table<const N: usize>(header: [&str; N], numbers: &[usize], rows: impl Iterator<Item = [String; N]>) -> String {
    // All cells in one text, each with where it ends and its width: a list may have a million rows.
    let (mut cells, mut ends, mut widths) = (String::new(), Vec::new(), [0; N]);
    for row in iter::once(header.map(str::to_owned)).chain(rows) {
        for (cell, widest) in row.into_iter().zip(&mut widths) {
            let cell = escape::text(&cell);
            let width = if cell.is_ascii() { cell.len() } else { cell.width() };
            *widest = width.max(*widest);
            cells += &cell;
            ends.push((cells.len(), width));
        }
    }
    let mut text = String::with_capacity(ends.len() / N * (widths.iter().sum::<usize>() + N * GAP));
    let mut begin = 0;
    for row in ends.chunks(N) {
        let mut missing = 0;
        for (column, (&(end, width), widest)) in row.iter().zip(widths).enumerate() {
            let before = if numbers.contains(&column) { widest - width } else { 0 };
            let cell = &cells[begin..end];
            begin = end;
            // No space at a line's end.
            if !cell.is_empty() {
                text.extend(iter::repeat_n(' ', missing + before));
                text += cell;
                missing = 0;
            }
            missing += widest - width - before + GAP + if cell.is_empty() { before } else { 0 };
        }
        text.push('\n');
    }
    text
}

/// Sessions.
#[must_use]
pub fn sessions(rows: &[SessionRow]) -> String {
    if rows.is_empty() {
        return "no sessions\n".to_owned();
    }
    let rows = rows.iter().map(|row| {
        let shown = |text: Option<&str>| text.unwrap_or("-").to_owned();
        [
            row.client.clone(),
            row.server.clone(),
            shown(row.user.as_deref()),
            shown(row.mode),
            row.shown_state(),
            age(row.age_seconds),
            if row.waits_for.is_empty() { "-".to_owned() } else { row.waits_for.join(" ") },
        ]
    });
    table(["CLIENT", "SERVER", "USER", "MODE", "STATE", "AGE", "PENDING"], &[5], rows)
}

/// Expectations.
#[must_use]
pub fn expectations(rows: &[ExpectationRow]) -> String {
    if rows.is_empty() {
        return "no expectations\n".to_owned();
    }
    let rows = rows.iter().map(|row| {
        let client = row.client.map_or_else(|| "any".to_owned(), |address| address.to_string());
        let (mode, port) = (row.mode.to_owned(), row.port.to_string());
        [
            mode,
            client,
            row.server.to_string(),
            port,
            age(row.expires_in_seconds),
            row.evidence.to_owned(),
            row.session.clone(),
        ]
    });
    table(["MODE", "CLIENT", "SERVER", "PORT", "EXPIRES IN", "EVIDENCE", "SESSION"], &[3, 4], rows)
}

/// Flows.
#[must_use]
pub fn flows(rows: &[FlowRow]) -> String {
    if rows.is_empty() {
        return "no flows\n".to_owned();
    }
    let rows = rows.iter().map(|row| {
        [
            row.mode.to_owned(),
            row.client.clone(),
            row.server.clone(),
            row.state.to_owned(),
            row.bytes.client.to_string(),
            row.bytes.server.to_string(),
            age(row.age_seconds),
            row.control.clone(),
        ]
    });
    let header = ["MODE", "CLIENT", "SERVER", "STATE", "BYTES UP", "BYTES DOWN", "AGE", "CONTROL"];
    table(header, &[4, 5, 6], rows)
}

/// Counters that have counted anything.
#[must_use]
pub fn stats(stats: &Stats) -> String {
    let counted: Vec<_> = stats.0.iter().filter(|(_, count)| *count != 0).collect();
    if counted.is_empty() {
        return "nothing was counted yet\n".to_owned();
    }
    let rows = counted
        .into_iter()
        .map(|(counter, count)| [count.to_string(), counter.name().to_owned(), counter.meaning().to_owned()]);
    table(["COUNT", "NAME", "MEANING"], &[0], rows)
}

/// The whole state.
#[must_use]
pub fn status(status: &Status) -> String {
    let mut rows =
        vec![("version".to_owned(), status.version.to_owned()), ("pin directory".to_owned(), status.pin_dir.clone())];
    rows.extend(status.kernel.iter().map(|kernel| ("kernel".to_owned(), kernel.to_string())));
    rows.extend(status.interfaces.iter().map(|interface| ("interface".to_owned(), self::interface(interface))));
    rows.extend(status.policy.servers.iter().flat_map(server));
    rows.extend(status.learning.iter().map(|learning| ("FTPS".to_owned(), self::learning(learning))));
    rows.extend([
        ("generation".to_owned(), status.policy.generation.to_string()),
        ("sessions".to_owned(), status.sessions.to_string()),
        ("expectations".to_owned(), status.expectations.to_string()),
        ("flows".to_owned(), status.flows.to_string()),
    ]);
    rows.iter().fold(String::new(), |text, (name, value)| {
        text + format!("{name:<15} {}", escape::text(value)).trim_end() + "\n"
    })
}

/// What most ask for; `policy show` has the rest.
fn server(row: &ServerRow) -> Vec<(String, String)> {
    let refused = || "refused".to_owned();
    let control: Vec<_> = row.control_ports.iter().map(ToString::to_string).collect();
    let passive = match (&row.passive_range, row.passive) {
        (None, _) => refused(),
        (Some(range), true) => range.clone(),
        (Some(range), false) => format!("{range}, refused"),
    };
    let active = match (row.active_port, row.active) {
        (None, _) | (Some(PortOrAny::Any(_)), false) => refused(),
        (Some(PortOrAny::Any(any)), true) => any.to_owned(),
        (Some(PortOrAny::Port(port)), true) => port.to_string(),
        (Some(PortOrAny::Port(port)), false) => format!("{port}, refused"),
    };
    [
        ("servers", row.addresses.join(", ")),
        ("  mode", row.mode.to_owned()),
        ("  control ports", control.join(", ")),
        ("  passive range", passive),
        ("  active port", active),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn learning(learning: &Learning) -> String {
    learning.note().unwrap_or_else(|| "learned from the processes that serve it".to_owned())
}

fn interface(row: &InterfaceRow) -> String {
    let state = match row.state {
        "unprotected" => "UNPROTECTED",
        other => other,
    };
    let version = if row.attached { format!(" by {}", row.version) } else { String::new() };
    format!("{} ({}, {}) {state}{version}", row.name, row.hook.as_str(), row.side.as_str())
}

/// `12.3s`, `4m05s`, `3h07m`, `2d11h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ages are positive and below a century")]
fn age(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds as u64;
    let (minutes, hours) = (whole / 60, whole / 3600);
    match hours {
        0 => format!("{minutes}m{:02}s", whole % 60),
        1..48 => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::BothWays;
    use ftp_common::counter::Counter;

    #[test]
    fn ages_have_two_units_at_most() {
        let ages: Vec<_> = [0.04, 59.94, 245.0, 11_220.0, 212_400.0].into_iter().map(age).collect();
        assert_eq!(ages, ["0.0s", "59.9s", "4m05s", "3h07m", "2d11h"]);
    }

    #[test]
    fn flows_stand_in_columns_without_trailing_space() {
        let row = FlowRow {
            client: "10.0.0.2:40000".to_owned(),
            server: "10.0.0.1:10241".to_owned(),
            mode: "passive",
            state: "established",
            bytes: BothWays { client: 0, server: 67_108_864 },
            at_least: false,
            age_seconds: 2.0,
            control: "10.0.0.2:39999-10.0.0.1:21".to_owned(),
        };
        assert_eq!(
            flows(&[row]),
            "\
MODE     CLIENT          SERVER          STATE        BYTES UP  BYTES DOWN   AGE  CONTROL
passive  10.0.0.2:40000  10.0.0.1:10241  established         0    67108864  2.0s  10.0.0.2:39999-10.0.0.1:21
"
        );
    }

    #[test]
    fn a_user_name_steers_no_terminal() {
        let user = Some("eve\u{9b}2J\u{202e}\u{200b}".to_owned());
        let row = SessionRow {
            client: "10.0.0.2:40000".to_owned(),
            server: "10.0.0.1:21".to_owned(),
            state: "in sync",
            user,
            evidence: None,
            mode: None,
            age_seconds: 2.0,
            waiting: 0,
            waits_for: Vec::new(),
        };
        let shown = sessions(&[row]);
        assert!(shown.contains(r"eve\u{9b}2J\u{202e}\u{200b}"), "{shown}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert_eq!(flows(&[]), "no flows\n");
        assert_eq!(sessions(&[]), "no sessions\n");
        assert_eq!(expectations(&[]), "no expectations\n");
        assert_eq!(stats(&Stats(vec![(Counter::Commands, 0)])), "nothing was counted yet\n");
    }

    #[test]
    fn counters_that_counted_are_shown_with_their_meaning() {
        let text = stats(&Stats(vec![(Counter::Commands, 12), (Counter::Replies, 0)]));
        assert_eq!(text, "COUNT  NAME      MEANING\n   12  commands  Command lines seen.\n");
    }
}
