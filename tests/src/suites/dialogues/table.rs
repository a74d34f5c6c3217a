//! The table of what ftptrack and the kernel's helper do in each dialogue.

use std::fmt::Write as _;

use super::{Access, Dialogue, Played};

/// One dialogue and what came of it.
#[derive(Debug)]
pub struct Row<'a> {
    /// The dialogue.
    pub dialogue: &'a Dialogue,
    /// With ftptrack.
    pub ftptrack: &'a Played,
    /// With nf_conntrack_ftp; `None` where the dialogue is about ftptrack's options.
    pub conntrack: Option<&'a Played>,
}

/// What a filter got wrong in a dialogue; all false if nothing.
#[derive(Clone, Copy, Default)]
struct Wrong {
    accepted: bool,
    denied: bool,
    hang: bool,
}

impl Wrong {
    fn of(dialogue: &Dialogue, played: &Played) -> Self {
        let observed = |wanted, observed| {
            dialogue.attempts().zip(&played.observed).any(|(a, m)| a.wanted == wanted && *m == observed)
        };
        Self {
            accepted: observed(Access::Shut, Access::Open),
            denied: observed(Access::Open, Access::Shut),
            hang: played.hang.is_some(),
        }
    }

    const fn is_any(self) -> bool {
        self.accepted || self.denied || self.hang
    }
}

/// This part of the page.
#[must_use]
pub fn write(rows: &[Row<'_>]) -> String {
    let mut text = "### Dialogues\n\n\
        Each row is a file of `tests/dialogues`, played between real sockets in network namespaces: once with ftptrack on\n\
        the server's interface, once with `nf_conntrack_ftp` behind a stateful ruleset (`tests/src/subject/conntrack.rs`).\n\
        *Open*: the data connection can begin. *Hang*: data that must arrive was dropped for good. A dash: the file is about\n\
        an option of ftptrack. Deviations are **bold**.\n\n"
        .to_owned();
    let both = [
        ("ftptrack", summary(rows.iter().map(|row| (row.dialogue, Some(row.ftptrack))))),
        ("nf_conntrack_ftp", summary(rows.iter().map(|row| (row.dialogue, row.conntrack)))),
    ];
    text += "| | dialogues | as expected | false accept | false deny | hang |\n";
    text += "|---|---|---|---|---|---|\n";
    for (name, numbers) in both {
        let _ = writeln!(text, "| {name} | {} |", numbers.map(|number| number.to_string()).join(" | "));
    }
    let mut group = "";
    for row in rows {
        let (own_group, name) = row.dialogue.name.split_once('/').unwrap_or(("", &row.dialogue.name));
        if own_group != group {
            group = own_group;
            let _ = write!(text, "\n#### {group}\n\n");
            text += "| file | what is tried | expected | ftptrack | nf_conntrack_ftp |\n|---|---|---|---|---|\n";
        }
        let must: Vec<_> = row.dialogue.attempts().map(|attempt| attempt.wanted).collect();
        let title = row.dialogue.title.trim_end_matches('.').replace('|', "\\|");
        let with_ftptrack = cell(row.dialogue, Some(row.ftptrack));
        let with_conntrack = cell(row.dialogue, row.conntrack);
        let _ = writeln!(text, "| {name} | {title} | {} | {with_ftptrack} | {with_conntrack} |", list(&must));
    }
    text
}

/// Dialogues; as expected; falsely accepted; falsely denied; hanging.
fn summary<'a>(played: impl Iterator<Item = (&'a Dialogue, Option<&'a Played>)>) -> [usize; 5] {
    let mut numbers = [0; 5];
    for (dialogue, played) in played {
        let Some(played) = played else { continue };
        let wrong = Wrong::of(dialogue, played);
        let counted = [true, !wrong.is_any(), wrong.accepted, wrong.denied, wrong.hang];
        for (number, counts) in numbers.iter_mut().zip(counted) {
            *number += usize::from(counts);
        }
    }
    numbers
}

fn cell(dialogue: &Dialogue, played: Option<&Played>) -> String {
    let Some(played) = played else { return "–".to_owned() };
    let hang = if played.hang.is_some() { ", hang" } else { "" };
    let text = format!("{}{hang}", list(&played.observed));
    if Wrong::of(dialogue, played).is_any() { format!("**{text}**") } else { text }
}

fn list(observed: &[Access]) -> String {
    observed.iter().map(Access::to_string).collect::<Vec<_>>().join(", ")
}
