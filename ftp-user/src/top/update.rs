//! What changes the state.

use std::collections::HashMap;

use crossterm::event::{Event as TerminalEvent, KeyEventKind};
use ftp_common::event::Event;

use super::keys::Key;
use super::source::Snapshot;
use super::state::{List, Page, State, control};
use crate::error::Failure;

/// Something that came.
#[derive(Debug)]
pub enum Message {
    /// What the maps say, or why they can't be read.
    Snapshot(Box<Result<Snapshot, Failure>>),
    /// What the kernel reported.
    Events(Vec<Event>),
    /// A key.
    Key(Key),
    /// Nothing that matters but to draw again: the terminal has another size.
    Redraw,
}

impl Message {
    /// What the terminal says.
    #[must_use]
    pub fn of_terminal(event: TerminalEvent) -> Self {
        match event {
            TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => Self::Key(Key::of(key)),
            _ => Self::Redraw,
        }
    }
}

impl State {
    /// Takes it.
    pub fn update(&mut self, message: Message) {
        match message {
            Message::Snapshot(snapshot) => self.snapshot(*snapshot),
            Message::Events(events) if self.paused => events.into_iter().for_each(|event| self.keep(event)),
            Message::Events(events) => events.iter().for_each(|event| self.talk.hear(event)),
            Message::Key(key) if self.writes_filter => self.filter_key(key),
            Message::Key(key) => self.key(key),
            Message::Redraw => {}
        }
        self.stay_in_lists();
    }

    fn snapshot(&mut self, snapshot: Result<Snapshot, Failure>) {
        match snapshot {
            Err(failure) => self.trouble = Some(failure.complaint()),
            Ok(snapshot) => {
                self.trouble = None;
                // The rates go on; the picture doesn't.
                let mut transfers = self.rates.transfers(&snapshot.flows, snapshot.time);
                if self.paused {
                    return;
                }
                let users: HashMap<_, _> =
                    snapshot.sessions.iter().map(|session| (control(session), session.user.as_ref())).collect();
                for transfer in &mut transfers {
                    transfer.user = users.get(&transfer.flow.control).copied().flatten().cloned();
                    if transfer.user.is_none() {
                        // The session may be gone before the transfer is.
                        transfer.user = self.user_before(&transfer.flow.client, &transfer.flow.server);
                    }
                }
                self.transfers = transfers;
                self.denied_before.get_or_insert(snapshot.denied);
                self.snapshot = snapshot;
            }
        }
    }

    fn user_before(&self, client: &str, server: &str) -> Option<String> {
        let is_it = |row: &&super::rates::Transfer| row.flow.client == client && row.flow.server == server;
        self.transfers.iter().find(is_it)?.user.clone()
    }

    fn key(&mut self, key: Key) {
        match (key, self.page.clone()) {
            (Key::Quit | Key::Char('q'), _) => self.is_over = true,
            (Key::Char('p' | ' '), _) => self.pause(),
            (Key::Char('?' | 'h'), Page::Help) | (Key::Escape | Key::Enter, Page::Help | Page::Conversation { .. }) => {
                self.page = Page::Lists;
            }
            (Key::Char('?' | 'h'), _) => self.page = Page::Help,
            (key, Page::Conversation { control, up }) => self.scroll(key, control, up),
            (key, Page::Lists) => self.list_key(key),
            (_, Page::Help) => {}
        }
    }

    fn list_key(&mut self, key: Key) {
        let focus = self.focus;
        let (length, line) = (self.length(focus), self.choice(focus).line);
        let place = List::ALL.iter().position(|list| *list == focus).unwrap_or(0);
        let count = List::ALL.len();
        match key {
            Key::Next => self.focus = List::ALL[(place + 1) % count],
            Key::Previous => self.focus = List::ALL[(place + count - 1) % count],
            Key::Char('/') => self.writes_filter = true,
            Key::Escape => self.filter.clear(),
            Key::Char('s') => {
                let choice = self.choice_mut(focus);
                choice.order = (choice.order + 1) % focus.orders().len();
            }
            Key::Char('r') => self.choice_mut(focus).reversed ^= true,
            Key::Enter => {
                if let Some(control) = self.chosen_session() {
                    self.page = Page::Conversation { control, up: 0 };
                }
            }
            _ => self.choice_mut(focus).line = moved(key, line, length).unwrap_or(line),
        }
    }

    fn scroll(&mut self, key: Key, control: String, up: usize) {
        let length = self.talk.of(&control).map_or(0, |lines| lines.len());
        // Its place counts from the end, where what is new comes.
        let place = length.saturating_sub(1).saturating_sub(up);
        let Some(place) = moved(key, place, length) else { return };
        self.page = Page::Conversation { control, up: length.saturating_sub(1).saturating_sub(place) };
    }

    fn filter_key(&mut self, key: Key) {
        match key {
            Key::Quit => self.is_over = true,
            Key::Enter => self.writes_filter = false,
            Key::Escape => {
                self.writes_filter = false;
                self.filter.clear();
            }
            Key::Back => drop(self.filter.pop()),
            Key::Char(letter) if self.filter.chars().count() < 64 => self.filter.push(letter),
            _ => {}
        }
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused {
            for event in std::mem::take(&mut self.behind) {
                self.talk.hear(&event);
            }
        }
    }

    /// A list that has become shorter.
    fn stay_in_lists(&mut self) {
        for list in List::ALL {
            let last = self.length(list).saturating_sub(1);
            let choice = self.choice_mut(list);
            choice.line = choice.line.min(last);
        }
    }
}

/// Where a key leads to in a list; none if it is no such key.
fn moved(key: Key, line: usize, length: usize) -> Option<usize> {
    const PAGE: usize = 10;
    let line = match key {
        Key::Up | Key::Char('k') => line.saturating_sub(1),
        Key::Down | Key::Char('j') => line + 1,
        Key::PageUp => line.saturating_sub(PAGE),
        Key::PageDown => line + PAGE,
        Key::Home => 0,
        Key::End => length,
        _ => return None,
    };
    Some(line.min(length.saturating_sub(1)))
}

#[cfg(test)]
#[path = "update_tests.rs"]
mod tests;
