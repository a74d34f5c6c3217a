//! Reads a dialogue's file. Nothing in it is ignored but comments and empty lines.

use ftp_common::counter::Counter;
use std::time::Duration;

use super::text::pieces;
use super::{Access, Action, Attempt, Dialogue, Forged, Manner, Origin, Sender, Step};
use crate::hosts::network::Family;
use crate::packets::segment::flag;

/// Reads the text of the file that belongs to `name`.
pub(super) fn parse(name: &str, text: &str) -> Result<Dialogue, String> {
    let mut dialogue = Dialogue {
        name: name.to_owned(),
        title: String::new(),
        family: Family::V4,
        options: Vec::new(),
        greeted: true,
        steps: Vec::new(),
        counts: Vec::new(),
    };
    let at = |line: usize, wrong: String| format!("tests/dialogues/{name}.txt:{line}: {wrong}");
    for (line, text) in (1..).zip(text.lines()) {
        dialogue.read(line, text).map_err(|wrong| at(line, wrong))?;
    }
    if dialogue.title.is_empty() {
        return Err(at(1, "no comment that says what is tried".to_owned()));
    }
    if dialogue.attempts().next().is_none() {
        return Err(at(text.lines().count(), "it tries nothing: add an `open:` or `shut:` line".to_owned()));
    }
    Ok(dialogue)
}

impl Dialogue {
    /// The data connections that it tries.
    pub fn attempts(&self) -> impl Iterator<Item = Attempt> {
        self.steps.iter().filter_map(|step| match step.action {
            Action::Try(attempt) => Some(attempt),
            _ => None,
        })
    }

    /// Whether the filter comes into place in the middle.
    #[must_use]
    pub fn attaches(&self) -> bool {
        self.steps.iter().any(|step| step.action == Action::Attach)
    }

    fn read(&mut self, line: usize, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        if let Some(comment) = text.strip_prefix('#') {
            if self.title.is_empty() {
                comment.trim().clone_into(&mut self.title);
            }
            return Ok(());
        }
        let (head, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        if let "family" | "options" | "greeting" = head
            && !self.steps.is_empty()
        {
            return Err(format!("`{head}:` stands before all that is said"));
        }
        let action = match head {
            "family" => {
                self.family = match value {
                    "ipv4" => Family::V4,
                    "ipv6" => Family::V6,
                    _ => return Err(format!("{value}: neither ipv4 nor ipv6")),
                };
                return Ok(());
            }
            "options" => {
                self.options = value.split_whitespace().map(str::to_owned).collect();
                return Ok(());
            }
            "greeting" if value == "own" => {
                self.greeted = false;
                return Ok(());
            }
            "greeting" => return Err(format!("{value}: only `own` is known")),
            "count" => {
                self.counts.push(count(value)?);
                return Ok(());
            }
            "C+" | "S+" => return self.append(sender(&head[..1])?, value),
            "open" => Action::Try(attempt(value, Access::Open)?),
            "shut" => Action::Try(attempt(value, Access::Shut)?),
            "attach" if value.is_empty() => Action::Attach,
            "ends" => Action::End(sender(value)?),
            "silence" => {
                let number = value.strip_suffix(" ms").and_then(|number| number.parse().ok());
                Action::Silence(Duration::from_millis(number.ok_or(format!("{value}: not a number of ms"))?))
            }
            _ => match head.strip_prefix("forge ") {
                Some(how) => Action::Forge(forged(how, value)?),
                None => said(head, value)?,
            },
        };
        self.steps.push(Step { line, action });
        Ok(())
    }

    /// More in the segment of the last line.
    fn append(&mut self, sender: Sender, value: &str) -> Result<(), String> {
        let Some(Action::Say(before, Manner::Plainly, said)) = self.steps.last_mut().map(|step| &mut step.action)
        else {
            return Err("nothing was said plainly in the line above".to_owned());
        };
        if *before != sender {
            return Err("the line above is the other sender's".to_owned());
        }
        let mut more = pieces(value)?.into_iter();
        said.last_mut().expect("never empty").extend(more.next().expect("never empty"));
        said.extend(more);
        Ok(())
    }
}

fn sender(text: &str) -> Result<Sender, String> {
    match text {
        "C" => Ok(Sender::Client),
        "S" => Ok(Sender::Server),
        _ => Err(format!("{text}: neither C nor S, nor anything else that a line can begin with")),
    }
}

fn said(head: &str, value: &str) -> Result<Action, String> {
    let (who, how) = head.split_once(' ').unwrap_or((head, ""));
    let sender = sender(who)?;
    let manner = match (how, sender) {
        ("", _) => Manner::Plainly,
        ("bytes", _) => Manner::Bytewise,
        ("again", _) => Manner::Again,
        ("urgent", Sender::Client) => Manner::Urgently,
        ("swapped", Sender::Client) => Manner::Swapped,
        _ => return Err(format!("{how}: {who} can't speak in that manner")),
    };
    Ok(Action::Say(sender, manner, pieces(value)?))
}

fn forged(how: &str, value: &str) -> Result<Forged, String> {
    let mut words = how.split(", ");
    let (who, from) = words.next().and_then(|who| who.split_once(" from ")).ok_or("forge WHO from WHERE")?;
    let mut forged = Forged {
        sender: sender(who)?,
        from: match from {
            "client" => Origin::Client,
            "server" => Origin::Server,
            "third" => Origin::Third,
            _ => return Err(format!("{from}: neither client nor server nor third")),
        },
        offset: 0,
        flags: flag::ACK | flag::PSH,
        bad_checksum: false,
        pieces: if value.is_empty() { Vec::new() } else { pieces(value)? },
    };
    for option in words {
        match option {
            "rst" => forged.flags = flag::RST,
            "fin" => forged.flags |= flag::FIN,
            "bad checksum" => forged.bad_checksum = true,
            _ => {
                let offset = option.strip_prefix("seq ").and_then(|offset| offset.parse().ok());
                forged.offset = offset.ok_or_else(|| format!("{option}: no such option of a forged segment"))?;
            }
        }
    }
    Ok(forged)
}

fn attempt(value: &str, wanted: Access) -> Result<Attempt, String> {
    let wrong = || format!("{value}: not `passive PORT` or `active PORT`, with ` third` maybe");
    let mut words = value.split(' ');
    let active = match words.next() {
        Some("active") => true,
        Some("passive") => false,
        _ => return Err(wrong()),
    };
    let port = words.next().and_then(|port| port.parse().ok()).ok_or_else(wrong)?;
    let third = match (words.next(), words.next()) {
        (None, _) => false,
        (Some("third"), None) => true,
        _ => return Err(wrong()),
    };
    Ok(Attempt { active, port, third, wanted })
}

fn count(value: &str) -> Result<(Counter, u64), String> {
    let (name, number) = value.split_once(' ').ok_or_else(|| format!("{value}: not a name and a number"))?;
    let counter = Counter::ALL.iter().find(|counter| counter.name() == name);
    let counter = counter.ok_or_else(|| format!("{name}: no such counter"))?;
    Ok((*counter, number.parse().map_err(|_| format!("{number}: not a number"))?))
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
