//! Scenarios: courses of events between real network namespaces. Each is played against ftptrack and against the
//! kernel's FTP helper.
//!
//! | module | what is tried |
//! |---|---|
//! | [`encapsulations`] | control connections in every encapsulation |
//! | [`lifecycle`], [`fast_open`] | connection setup and teardown out of the ordinary |
//! | [`handshakes`] | one negotiation, and more than one connection on it |
//! | [`retransmissions`] | retransmissions, and urgent data with the real server |
//! | [`loss`] | lost segments, and a gateway that sees what its server never gets |
//! | [`echoes`] | replies with text of the client's choice |
//! | [`off_path`] | an off-path attacker: a forged session, and blind packets to a client's host |
//! | [`floods`], [`greedy`] | more of everything than there is room for |
//! | [`races`] | two at the same instant |

use std::fmt;

use crate::subject::ftptrack::Ftptrack;
use crate::suites::dialogues::Guard;
use crate::suites::evasions::Hang;

pub mod echoes;
pub mod encapsulations;
pub mod fast_open;
pub mod floods;
pub mod greedy;
pub mod handshakes;
pub mod lifecycle;
pub mod loss;
pub mod off_path;
pub mod races;
pub mod retransmissions;
mod run;
pub mod table;
mod testbed;

pub use run::play_all;
pub use testbed::{Location, Testbed};

/// One scenario.
#[derive(Debug)]
pub struct Scenario {
    /// What it is one of.
    pub group: &'static str,
    /// What is tried.
    pub name: &'static str,
    /// What must hold, in the order of `expected`.
    pub must: &'static str,
    /// What should come of it, step by step: whether a data connection is `open` or `shut`, say.
    pub expected: &'static [&'static str],
    /// What comes of it without a filter; nothing if that is no question.
    pub unguarded: &'static [&'static str],
    /// Where the filter is attached.
    pub filter_at: Location,
    /// Plays it.
    pub play: fn(&Testbed<'_>) -> Result<Vec<&'static str>, Hang>,
}

/// What came of a scenario.
#[derive(Clone, Debug)]
pub struct Found {
    /// Step by step, the same each time.
    pub observed: Vec<&'static str>,
    /// What was measured, another each time.
    pub measured: Vec<String>,
}

impl Scenario {
    /// All of them, group by group.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        let groups = [
            encapsulations::ALL,
            lifecycle::ALL,
            fast_open::ALL,
            handshakes::ALL,
            retransmissions::ALL,
            loss::ALL,
            echoes::ALL,
            off_path::ALL,
            floods::ALL,
            greedy::ALL,
            races::ALL,
        ];
        groups.into_iter().flatten().copied()
    }

    /// Plays it on a network of its own.
    #[track_caller]
    #[must_use]
    pub fn play(&self, guard: Guard) -> Found {
        testbed::on(guard, self.filter_at, |testbed| self.play_on(testbed))
    }

    /// It holds with ftptrack, and is a question: without a filter other things come of it.
    /// `after` may look at what ftptrack counted.
    #[track_caller]
    pub fn must_hold(&self, after: impl FnOnce(&Ftptrack<'_>)) {
        if !self.unguarded.is_empty() {
            assert_eq!(self.play(Guard::Nobody).observed, self.unguarded, "nothing is attached: {}", self.name);
        }
        testbed::on(Guard::Ftptrack, self.filter_at, |testbed| {
            let found = self.play_on(testbed);
            assert_eq!(found.observed, self.expected, "{}: {:?}", self.name, found.measured);
            after(testbed.ftptrack.as_ref().expect("it stands there"));
        });
    }

    #[track_caller]
    fn play_on(&self, testbed: &Testbed<'_>) -> Found {
        let observed = (self.play)(testbed).unwrap_or_else(|hang| {
            testbed.note(hang.to_string());
            vec!["hang"]
        });
        for note in testbed.notes() {
            println!("{:?}: {}: {note}", testbed.guard, self.name);
        }
        Found { observed, measured: testbed.notes() }
    }
}

/// `open`, or `shut`.
const fn access(opened: bool) -> &'static str {
    if opened { "open" } else { "shut" }
}

/// Outcomes one behind the other, where a run of the same is counted.
struct Outcomes<'a>(&'a [&'a str]);

impl fmt::Display for Outcomes<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, same) in self.0.chunk_by(|one, next| one == next).enumerate() {
            if index != 0 {
                formatter.write_str(", ")?;
            }
            match same {
                [word] => formatter.write_str(word)?,
                [word, ..] => write!(formatter, "{} × {word}", same.len())?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_word_is_said_once() {
        assert_eq!(Outcomes(&["open", "open", "shut", "open"]).to_string(), "2 × open, shut, open");
        assert_eq!(Outcomes(&[]).to_string(), "");
    }
}
