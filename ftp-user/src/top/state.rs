//! What is to be seen.

use std::cmp::Reverse;

use ftp_common::event::Event;

use super::rates::{Rates, Transfer};
use super::source::Snapshot;
use super::talk::Talk;
use crate::query::rows::{ExpectationRow, FlowRow, SessionRow};

/// Events that are kept while the picture stands still.
const BEHIND: usize = 20_000;

/// One of the lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum List {
    /// Control connections.
    Sessions,
    /// Data connections.
    Transfers,
    /// Data connections that have not begun.
    Expectations,
    /// What was denied or refused.
    Denials,
}

impl List {
    /// From top to bottom.
    pub const ALL: [Self; 4] = [Self::Sessions, Self::Transfers, Self::Expectations, Self::Denials];

    /// The names of its orders, the usual one first.
    #[must_use]
    pub const fn orders(self) -> &'static [&'static str] {
        match self {
            Self::Sessions => &["age", "user", "client", "state"],
            Self::Transfers => &["rate", "bytes", "age", "user"],
            Self::Expectations => &["expiry", "client"],
            Self::Denials => &["newest"],
        }
    }
}

/// What fills the screen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Page {
    /// All lists.
    Lists,
    /// One session, `client:port-server:port`; `up` lines are below what is shown.
    Conversation {
        /// Its control connection.
        control: String,
        /// Lines scrolled up.
        up: usize,
    },
    /// The keys.
    Help,
}

/// How a list is shown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Choice {
    /// The line that is chosen.
    pub line: usize,
    /// Its order, by place in [`List::orders`].
    pub order: usize,
    /// The other way round.
    pub reversed: bool,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Theme {
    /// Some.
    Colours,
    /// Bold, dim and reverse only.
    Plain,
}

impl Theme {
    /// As NO_COLOR says, where it is set and not empty (no-color.org).
    #[must_use]
    pub fn of_environment() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) { Self::Plain } else { Self::Colours }
    }
}

/// All that is to be seen.
#[derive(Debug)]
pub struct State {
    /// Colours.
    pub theme: Theme,
    /// What fills the screen.
    pub page: Page,
    /// The list that keys go to.
    pub focus: List,
    /// How each list is shown.
    pub choices: [Choice; List::ALL.len()],
    /// What the maps said.
    pub snapshot: Snapshot,
    /// Data connections, with their rates.
    pub transfers: Vec<Transfer>,
    /// What the kernel has reported.
    pub talk: Talk,
    /// Lines have this in them, in any case.
    pub filter: String,
    /// The filter is being written.
    pub writes_filter: bool,
    /// The picture stands still.
    pub paused: bool,
    /// Why the maps can't be read.
    pub trouble: Option<String>,
    /// Denials that there were before this began.
    pub denied_before: Option<u64>,
    /// It is to end.
    pub is_over: bool,
    /// What came while the picture stood still.
    pub(super) behind: Vec<Event>,
    pub(super) rates: Rates,
}

impl State {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(theme: Theme) -> Self {
        Self {
            theme,
            page: Page::Lists,
            focus: List::Sessions,
            choices: [Choice::default(); List::ALL.len()],
            snapshot: Snapshot::default(),
            transfers: Vec::new(),
            talk: Talk::default(),
            filter: String::new(),
            writes_filter: false,
            paused: false,
            trouble: None,
            denied_before: None,
            is_over: false,
            behind: Vec::new(),
            rates: Rates::default(),
        }
    }

    /// How a list is shown.
    #[must_use]
    pub const fn choice(&self, list: List) -> &Choice {
        &self.choices[list as usize]
    }

    /// The same, to be changed.
    pub const fn choice_mut(&mut self, list: List) -> &mut Choice {
        &mut self.choices[list as usize]
    }

    /// Sessions, filtered and in order.
    #[must_use]
    pub fn sessions(&self) -> Vec<&SessionRow> {
        let mut rows: Vec<_> = self.fitting_sessions().collect();
        match self.order(List::Sessions) {
            "user" => rows.sort_by(|a, b| a.user.cmp(&b.user)),
            "client" => rows.sort_by(|a, b| a.client.cmp(&b.client)),
            "state" => rows.sort_by_key(|row| row.state),
            // The oldest come first.
            _ => {}
        }
        self.turned(List::Sessions, rows)
    }

    fn fitting_sessions(&self) -> impl Iterator<Item = &SessionRow> {
        self.snapshot.sessions.iter().filter(|row| {
            let user = row.user.as_deref().unwrap_or_default();
            self.fits(|| format!("{} {} {user} {}", row.client, row.server, row.shown_state()))
        })
    }

    /// Transfers, filtered and in order.
    #[must_use]
    pub fn transfers(&self) -> Vec<&Transfer> {
        let mut rows: Vec<_> = self.fitting_transfers().collect();
        match self.order(List::Transfers) {
            "bytes" => rows.sort_by_key(|row| Reverse(row.bytes())),
            "user" => rows.sort_by(|a, b| a.user.cmp(&b.user)),
            "rate" => rows.sort_by_key(|row| Reverse(row.bytes_a_second().unwrap_or(0))),
            _ => {}
        }
        self.turned(List::Transfers, rows)
    }

    fn fitting_transfers(&self) -> impl Iterator<Item = &Transfer> {
        self.transfers.iter().filter(|row| {
            let user = row.user.as_deref().unwrap_or_default();
            let FlowRow { client, server, mode, .. } = &row.flow;
            self.fits(|| format!("{client} {server} {user} {mode} {}", row.direction()))
        })
    }

    /// Expectations, filtered and in order.
    #[must_use]
    pub fn expectations(&self) -> Vec<&ExpectationRow> {
        let mut rows: Vec<_> = self.fitting_expectations().collect();
        if self.order(List::Expectations) == "client" {
            rows.sort_by_key(|row| row.client);
        }
        self.turned(List::Expectations, rows)
    }

    fn fitting_expectations(&self) -> impl Iterator<Item = &ExpectationRow> {
        self.snapshot.expectations.iter().filter(|row| self.fits(|| format!("{} {}", row.name(), row.session)))
    }

    /// Denials and refusals, filtered, the newest first.
    #[must_use]
    pub fn denials(&self) -> Vec<&String> {
        let rows = self.talk.denials.iter().rev().filter(|line| self.fits(|| (*line).clone())).collect();
        self.turned(List::Denials, rows)
    }

    /// Lines of a list.
    #[must_use]
    pub fn length(&self, list: List) -> usize {
        match list {
            List::Sessions => self.fitting_sessions().count(),
            List::Transfers => self.fitting_transfers().count(),
            List::Expectations => self.fitting_expectations().count(),
            List::Denials => self.denials().len(),
        }
    }

    /// The session that the chosen line belongs to, `client:port-server:port`.
    #[must_use]
    pub fn chosen_session(&self) -> Option<String> {
        let line = self.choice(self.focus).line;
        match self.focus {
            List::Sessions => self.sessions().get(line).map(|row| control(row)),
            List::Transfers => self.transfers().get(line).map(|row| row.flow.control.clone()),
            List::Expectations => self.expectations().get(line).map(|row| row.session.clone()),
            List::Denials => None,
        }
    }

    /// The name of a list's order.
    #[must_use]
    pub fn order(&self, list: List) -> &'static str {
        list.orders()[self.choice(list).order]
    }

    /// Keeps an event for later; too many are forgotten, the oldest first.
    pub(super) fn keep(&mut self, event: Event) {
        if self.behind.len() >= BEHIND {
            self.behind.drain(..BEHIND / 2);
        }
        self.behind.push(event);
    }

    fn fits(&self, text: impl FnOnce() -> String) -> bool {
        self.filter.is_empty() || text().to_lowercase().contains(&self.filter.to_lowercase())
    }

    fn turned<T>(&self, list: List, mut rows: Vec<T>) -> Vec<T> {
        if self.choice(list).reversed {
            rows.reverse();
        }
        rows
    }
}

/// `client:port-server:port`.
#[must_use]
pub fn control(row: &SessionRow) -> String {
    format!("{}-{}", row.client, row.server)
}
