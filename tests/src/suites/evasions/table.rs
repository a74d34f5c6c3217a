//! The table of what ftptrack and the kernel's helper do in each game.

use std::fmt::Write as _;

use super::{After, Game, Outcome};
use crate::suites::dialogues::Access;

/// One game and what came of it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The game.
    pub game: Game,
    /// With ftptrack.
    pub ftptrack: Outcome,
    /// With nf_conntrack_ftp.
    pub conntrack: Outcome,
}

/// This part of the page.
#[must_use]
pub fn write(rows: &[Row]) -> String {
    let mut text = "### TCP games\n\n\
        A client, or somebody in its name, made of raw segments (`tests/src/suites/evasions`), with the same two guards. At its\n\
        end the server says by a 227 that a port listens (but for the SYNs, before which nothing is said), and a data\n\
        connection to it is tried. *Lost*: the session goes on, and its next transfer doesn't work. *Stuck*: words\n\
        that must arrive were dropped for good.\n\n\
        The helper reads no commands of passive mode and opens for any 227, so that games with order add nothing to\n\
        what it opens anyway. Where the PASV comes in fragments, or an urgent byte is taken out of it, the server did\n\
        read one: ftptrack shuts there because what it read isn't what the server read, and so do the columns count.\n\n\
        | | games | as it must be | opens what must be shut | shuts what must be open | session lost or stuck |\n\
        |---|---|---|---|---|---|\n"
        .to_owned();
    let both = [
        ("ftptrack", summary(rows.iter().map(|row| (row.game, row.ftptrack)))),
        ("nf_conntrack_ftp", summary(rows.iter().map(|row| (row.game, row.conntrack)))),
    ];
    for (name, numbers) in both {
        let _ = writeln!(text, "| {name} | {} |", numbers.map(|number| number.to_string()).join(" | "));
    }
    let mut group = "";
    for row in rows {
        if row.game.group() != group {
            group = row.game.group();
            let _ = write!(text, "\n#### {group}\n\n");
            text += "| what is tried | must be | ftptrack | nf_conntrack_ftp |\n|---|---|---|---|\n";
        }
        let [ftptrack, conntrack] = [row.ftptrack, row.conntrack].map(|outcome| cell(row.game, outcome));
        let _ = writeln!(text, "| {} | {} | {ftptrack} | {conntrack} |", row.game.name(), row.game.must_be());
    }
    text
}

/// Games; as they must be; wrongly opened; wrongly shut; lost or stuck.
fn summary(played: impl Iterator<Item = (Game, Outcome)>) -> [usize; 5] {
    let mut numbers = [0; 5];
    for (game, outcome) in played {
        let must = game.must_be();
        let wrong = |met| must.met != met && outcome.met == met;
        let counted = [true, outcome == must, wrong(Access::Open), wrong(Access::Shut), outcome.after != After::GoesOn];
        for (number, counts) in numbers.iter_mut().zip(counted) {
            *number += usize::from(counts);
        }
    }
    numbers
}

fn cell(game: Game, outcome: Outcome) -> String {
    if outcome == game.must_be() { outcome.to_string() } else { format!("**{outcome}**") }
}
