//! What the kernel program told of a capture, in the capture's time, by session.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use ftp_common::event::{Event, EventKind};
use ftp_common::keys::Mode;

use super::lacks::Missing;
use crate::clock;
use crate::policy::{Policy, Rules};
use crate::show::verb;

/// Commands that begin an expectation's time anew, as the kernel program knows them.
const TRANSFERS: [&str; 7] = ["RETR", "STOR", "STOU", "APPE", "LIST", "NLST", "MLSD"];
const SECOND: i64 = 1_000_000_000;

/// One control connection.
#[derive(Debug, Default)]
pub struct Session {
    /// The client's end.
    pub client: String,
    /// The server's end.
    pub server: String,
    /// Its beginning was followed; else it was met in the middle.
    pub began: bool,
    /// Its end was followed.
    pub ended: bool,
    /// What happened, in order.
    pub entries: Vec<Entry>,
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
    /// The kernel program told it. The event's own time is that of the replay.
    Told(Event),
    /// Bytes of the control connection are not in the capture.
    Missing(Missing),
    /// The data connection just told of began so many seconds after its expectation's time had begun, which is longer
    /// than an expectation lives: attached, ftptrack would have denied it.
    Late {
        /// Seconds that it took.
        took: i64,
        /// Seconds that an expectation lives.
        lives: u32,
    },
}

/// All that was told.
#[derive(Debug, Default)]
pub struct Story {
    /// Control connections, in the order in which they were first told of.
    pub sessions: Vec<Session>,
    /// What belongs to no session.
    pub strays: Vec<Entry>,
    by_generation: HashMap<u64, usize>,
    by_ends: HashMap<[SocketAddr; 2], usize>,
}

impl Story {
    /// Adds what the program told when it saw a packet of this time.
    pub fn tell(&mut self, time: i64, event: &Event, policy: &Policy) {
        let Some(kind) = EventKind::from_number(event.kind) else { return };
        let entry = Entry { time, what: What::Told(*event) };
        if event.session == 0 {
            self.strays.push(entry);
            return;
        }
        let session = self.session(event);
        let late = (kind == EventKind::FlowStarted).then(|| session.late(time, event, policy)).flatten();
        match kind {
            EventKind::SessionStarted => session.began = true,
            EventKind::SessionEnded => session.ended = true,
            _ => {}
        }
        session.entries.push(entry);
        session.entries.extend(late.map(|what| Entry { time, what }));
    }

    /// Adds that bytes of a control connection are missing; its ends in any order.
    pub fn miss(&mut self, time: i64, ends: [SocketAddr; 2], missing: Missing) {
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
        let index = *self.by_generation.entry(event.session).or_insert(next);
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

impl Session {
    /// Whether a data connection begins later than its expectation lives in the capture's time. The kernel
    /// program can't know: its clock is that of the replay.
    fn late(&self, time: i64, started: &Event, policy: &Policy) -> Option<What> {
        let lives = rules(policy, started.server.into())?.expectation_timeout;
        let port = |event: &Event| {
            if event.mode == Mode::Passive.number() { event.server_port } else { event.client_port }
        };
        let is_its = |event: &Event| {
            event.kind == EventKind::Expected.number() && event.mode == started.mode && port(event) == port(started)
        };
        let mut since = None;
        for entry in &self.entries {
            let What::Told(event) = &entry.what else { continue };
            if is_its(event) || since.is_some() && renews(event) {
                since = Some(entry.time);
            }
        }
        let took = (time - since?) / SECOND;
        (took > i64::from(lives)).then_some(What::Late { took, lives })
    }
}

fn renews(event: &Event) -> bool {
    match EventKind::from_number(event.kind) {
        Some(EventKind::Command) => verb(event.detail).is_some_and(|verb| TRANSFERS.contains(&verb.as_str())),
        Some(EventKind::Reply) => event.detail / 100 == 1,
        _ => false,
    }
}

/// The rules that hold for a server: of the longest prefix that names it, else those for servers that
/// are not named.
fn rules(policy: &Policy, server: IpAddr) -> Option<&Rules> {
    let named = policy.named.iter().flat_map(|named| named.prefixes.iter().map(move |prefix| (prefix, &named.rules)));
    let fits = named.filter(|(prefix, _)| prefix.contains(&server)).max_by_key(|(prefix, _)| prefix.prefix_len());
    fits.map(|(_, rules)| rules).or(policy.own.as_ref())
}

/// A time of a capture as people read it, to the millisecond.
#[must_use]
pub fn shown(time: i64) -> String {
    clock::time_of_day(time)
}

#[cfg(test)]
#[path = "story_tests.rs"]
mod tests;
