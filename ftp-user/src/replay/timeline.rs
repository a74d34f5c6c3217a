//! What the kernel program reported of a capture, in the capture's time, by session.

use std::collections::HashMap;
use std::net::SocketAddr;

use ftp_common::event::{Event, EventKind};

use super::gaps::Missing;
use crate::events::json::verb;
use crate::sys::clock;

/// One control connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The client's end.
    pub client: String,
    /// The server's end.
    pub server: String,
    /// Its beginning was tracked; else it was picked up midstream.
    pub began: bool,
    /// Its end was tracked.
    pub ended: bool,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

impl Session {
    /// Of one that was picked up midstream: where its first command stands, if that is the end of a line whose
    /// beginning was not captured.
    #[must_use]
    pub fn partial_line(&self) -> Option<usize> {
        let command = |entry: &Entry| match entry.what {
            What::Event(event) if event.kind == EventKind::Command.number() => Some(event.detail),
            _ => None,
        };
        let first = self.entries.iter().enumerate().find_map(|(index, entry)| Some((index, command(entry)?)))?;
        (verb(first.1).is_none()).then_some(first.0)
    }
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Nanoseconds since 1970, UTC.
    pub time: i64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The kernel program reported it. The event's own time is that of the replay.
    Event(Event),
    /// Bytes of the control connection are not in the capture.
    Missing(Missing),
}

/// All that was reported.
#[derive(Debug, Default)]
pub struct Timeline {
    /// Control connections, in the order in which they were first reported.
    pub sessions: Vec<Session>,
    /// What belongs to no session.
    pub strays: Vec<Entry>,
    by_session_id: HashMap<u64, usize>,
    by_ends: HashMap<[SocketAddr; 2], usize>,
}

impl Timeline {
    /// Adds what the program reported when it saw a packet of this time.
    pub fn push(&mut self, time: i64, event: &Event) {
        let Some(kind) = EventKind::from_number(event.kind) else { return };
        let entry = Entry { time, what: What::Event(*event) };
        if event.session == 0 {
            self.strays.push(entry);
            return;
        }
        let session = self.session(event);
        match kind {
            EventKind::SessionStarted if event.flag == 0 => session.began = true,
            EventKind::SessionEnded => session.ended = true,
            _ => {}
        }
        session.entries.push(entry);
    }

    /// Adds that bytes of a control connection are missing; its ends in any order.
    pub fn push_gap(&mut self, time: i64, ends: [SocketAddr; 2], missing: Missing) {
        let [one, other] = ends;
        let index = self.by_ends.get(&[one, other]).or_else(|| self.by_ends.get(&[other, one]));
        if let Some(session) = index.and_then(|index| self.sessions.get_mut(*index))
            && !session.ended
        {
            session.entries.push(Entry { time, what: What::Missing(missing) });
        }
    }

    fn session(&mut self, event: &Event) -> &mut Session {
        let next = self.sessions.len();
        let index = *self.by_session_id.entry(event.session).or_insert(next);
        if index == next {
            let client = SocketAddr::new(event.client.into(), event.client_port);
            let server = SocketAddr::new(event.server.into(), event.server_port);
            self.by_ends.insert([client, server], index);
            let (client, server) = (client.to_string(), server.to_string());
            self.sessions.push(Session { client, server, ..Session::default() });
        }
        &mut self.sessions[index]
    }
}

/// A time of a capture as people read it, to the millisecond.
#[must_use]
pub fn shown(time: i64) -> String {
    clock::time_of_day(time)
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
