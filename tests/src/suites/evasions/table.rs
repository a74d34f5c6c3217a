//! The table of what ftptrack and the kernel's helper do in each evasion case.

use std::fmt::Write as _;

use super::{After, Evasion, Outcome};
use crate::suites::dialogues::Access;

/// One case and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The case.
    pub evasion: Evasion,
    /// With ftptrack.
    pub ftptrack: Outcome,
    /// With nf_conntrack_ftp.
    pub conntrack: Outcome,
}

/// This part of the page.
#[must_use]
pub fn write(rows: &[Row]) -> String {
    let mut text = "### Evasion cases\n\n\
        A client, or an attacker that forges one, made of raw segments (`tests/src/suites/evasions`), with the same two\n\
        filters. Each case ends with the server's 227 (but for the SYNs, which nothing precedes), and a data connection to its\n\
        port is tried. *Lost*: the session goes on, but its next transfer does not work. *Hang*: data that must arrive was\n\
        dropped for good.\n\n\
        The helper reads no commands of passive mode and opens for any 227, so segment order adds nothing to what it opens\n\
        anyway. Where the PASV comes in fragments, or an urgent byte is taken out of it, the server did read one: ftptrack\n\
        denies there because it did not read what the server read, and the columns count that as expected.\n\n\
        | | cases | as expected | false accept | false deny | session lost or hanging |\n\
        |---|---|---|---|---|---|\n"
        .to_owned();
    let both = [
        ("ftptrack", summary(rows.iter().map(|row| (row.evasion, row.ftptrack)))),
        ("nf_conntrack_ftp", summary(rows.iter().map(|row| (row.evasion, row.conntrack)))),
    ];
    for (name, numbers) in both {
        let _ = writeln!(text, "| {name} | {} |", numbers.map(|number| number.to_string()).join(" | "));
    }
    let mut group = "";
    for row in rows {
        if row.evasion.group() != group {
            group = row.evasion.group();
            let _ = write!(text, "\n#### {group}\n\n");
            text += "| what is tried | expected | ftptrack | nf_conntrack_ftp |\n|---|---|---|---|\n";
        }
        let [ftptrack, conntrack] = [row.ftptrack, row.conntrack].map(|outcome| cell(row.evasion, outcome));
        let _ = writeln!(text, "| {} | {} | {ftptrack} | {conntrack} |", row.evasion.name(), row.evasion.expected());
    }
    text
}

/// Cases; as expected; falsely accepted; falsely denied; lost or hanging.
fn summary(played: impl Iterator<Item = (Evasion, Outcome)>) -> [usize; 5] {
    let mut numbers = [0; 5];
    for (evasion, outcome) in played {
        let expected = evasion.expected();
        let wrong = |access| expected.access != access && outcome.access == access;
        let counted =
            [true, outcome == expected, wrong(Access::Open), wrong(Access::Shut), outcome.after != After::GoesOn];
        for (number, counts) in numbers.iter_mut().zip(counted) {
            *number += usize::from(counts);
        }
    }
    numbers
}

fn cell(evasion: Evasion, outcome: Outcome) -> String {
    if outcome == evasion.expected() { outcome.to_string() } else { format!("**{outcome}**") }
}
