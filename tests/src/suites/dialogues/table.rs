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

/// What a guard got wrong in a dialogue; all false if nothing.
#[derive(Clone, Copy, Default)]
struct Wrong {
    opened: bool,
    shut: bool,
    stuck: bool,
}

impl Wrong {
    fn of(dialogue: &Dialogue, played: &Played) -> Self {
        let met = |wanted, met| dialogue.attempts().zip(&played.met).any(|(a, m)| a.wanted == wanted && *m == met);
        Self {
            opened: met(Access::Shut, Access::Open),
            shut: met(Access::Open, Access::Shut),
            stuck: played.stuck.is_some(),
        }
    }

    const fn is_any(self) -> bool {
        self.opened || self.shut || self.stuck
    }
}

/// This part of the page.
#[must_use]
pub fn write(rows: &[Row<'_>]) -> String {
    let mut text = "### Dialogues\n\n\
        Each row is a file of `tests/dialogues`, played between real sockets in network namespaces, once with\n\
        ftptrack on the server's interface and once with the kernel's helper and a firewall that asks it\n\
        (`tests/src/subject/conntrack.rs`). *Open*: the data connection can begin. *Stuck*: words that must arrive were\n\
        dropped for good. A dash: it is about an option of ftptrack. What is not as it must be is **bold**.\n\n"
        .to_owned();
    let both = [
        ("ftptrack", summary(rows.iter().map(|row| (row.dialogue, Some(row.ftptrack))))),
        ("nf_conntrack_ftp", summary(rows.iter().map(|row| (row.dialogue, row.conntrack)))),
    ];
    text += "| | dialogues | as it must be | opens what must be shut | shuts what must be open | stuck |\n";
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
            text += "| file | what is tried | must be | ftptrack | nf_conntrack_ftp |\n|---|---|---|---|---|\n";
        }
        let must: Vec<_> = row.dialogue.attempts().map(|attempt| attempt.wanted).collect();
        let title = row.dialogue.title.trim_end_matches('.').replace('|', "\\|");
        let with_ftptrack = cell(row.dialogue, Some(row.ftptrack));
        let with_conntrack = cell(row.dialogue, row.conntrack);
        let _ = writeln!(text, "| {name} | {title} | {} | {with_ftptrack} | {with_conntrack} |", list(&must));
    }
    text
}

/// Dialogues; as they must be; wrongly opened; wrongly shut; stuck.
fn summary<'a>(played: impl Iterator<Item = (&'a Dialogue, Option<&'a Played>)>) -> [usize; 5] {
    let mut numbers = [0; 5];
    for (dialogue, played) in played {
        let Some(played) = played else { continue };
        let wrong = Wrong::of(dialogue, played);
        let counted = [true, !wrong.is_any(), wrong.opened, wrong.shut, wrong.stuck];
        for (number, counts) in numbers.iter_mut().zip(counted) {
            *number += usize::from(counts);
        }
    }
    numbers
}

fn cell(dialogue: &Dialogue, played: Option<&Played>) -> String {
    let Some(played) = played else { return "–".to_owned() };
    let stuck = if played.stuck.is_some() { ", stuck" } else { "" };
    let text = format!("{}{stuck}", list(&played.met));
    if Wrong::of(dialogue, played).is_any() { format!("**{text}**") } else { text }
}

fn list(met: &[Access]) -> String {
    met.iter().map(Access::to_string).collect::<Vec<_>>().join(", ")
}
