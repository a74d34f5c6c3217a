//! What sessions said, by verbs and codes, and what became of it.

use std::collections::{HashMap, VecDeque};

use ftp_common::event::{Event, EventKind};

use crate::endpoint::pair;
use crate::events::json::verb;
use crate::events::line::EventLines;
use crate::sys::clock;

/// Lines that are kept of a session.
const LINES: usize = 500;
/// Sessions of which lines are kept.
const SESSIONS: usize = 1000;
/// Denials and refusals that are kept.
const DENIALS: usize = 1000;

/// What the kernel has reported since this started.
#[derive(Debug, Default)]
pub struct Talk {
    lines: EventLines,
    /// Lines by session.
    sessions: HashMap<u64, VecDeque<String>>,
    /// The sessions of control connections, `client:port-server:port`; of a tuple that was used again the last.
    ids: HashMap<String, u64>,
    /// In the order in which they were first heard of.
    order: VecDeque<(u64, String)>,
    /// Denials and refusals, the newest last.
    pub denials: VecDeque<String>,
}

impl Talk {
    /// Takes an event.
    pub fn hear(&mut self, event: &Event) {
        let Some(kind) = EventKind::from_number(event.kind) else { return };
        let Some(line) = self.lines.line(event) else { return };
        match kind {
            EventKind::Denied | EventKind::Refused => push(&mut self.denials, line.clone(), DENIALS),
            _ => {}
        }
        match kind {
            EventKind::Denied => {}
            EventKind::Command => {
                let verb = verb(event.detail).unwrap_or_else(|| "(no verb)".to_owned());
                self.say(kind, event, format!("{} client   {verb}", clock::wall(event.time)));
            }
            EventKind::Reply => {
                self.say(kind, event, format!("{} server   {}", clock::wall(event.time), event.detail));
            }
            // It is said by its place which session it is of.
            _ => self.say(kind, event, line.split(" (session ").next().unwrap_or_default().to_owned()),
        }
    }

    fn say(&mut self, kind: EventKind, event: &Event, line: String) {
        let is_control = matches!(
            kind,
            EventKind::SessionStarted
                | EventKind::SessionEnded
                | EventKind::SessionOpaque
                | EventKind::Command
                | EventKind::Reply
        );
        if is_control && !self.sessions.contains_key(&event.session) {
            let control = pair(event.client, event.client_port, event.server, event.server_port);
            if self.order.len() >= SESSIONS
                && let Some((id, control)) = self.order.pop_front()
            {
                self.sessions.remove(&id);
                if self.ids.get(&control) == Some(&id) {
                    self.ids.remove(&control);
                }
            }
            self.order.push_back((event.session, control.clone()));
            self.ids.insert(control, event.session);
        } else if !self.sessions.contains_key(&event.session) {
            // The session is unknown.
            return;
        }
        push(self.sessions.entry(event.session).or_default(), line, LINES);
    }

    /// What the session of a control connection, `client:port-server:port`, has said since this began.
    #[must_use]
    pub fn of(&self, control: &str) -> Option<&VecDeque<String>> {
        self.sessions.get(self.ids.get(control)?)
    }
}

fn push(lines: &mut VecDeque<String>, line: String, most: usize) {
    if lines.len() >= most {
        lines.pop_front();
    }
    lines.push_back(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    pub(super) fn event(kind: EventKind, session: u64, port: u16) -> Event {
        let address = |text: &str| text.parse::<IpAddr>().unwrap().into();
        Event {
            kind: kind.number(),
            session,
            client: address("10.0.0.2"),
            client_port: port,
            server: address("10.0.0.1"),
            server_port: 21,
            ..Event::default()
        }
    }

    fn texts(talk: &Talk, control: &str) -> Vec<String> {
        talk.of(control).into_iter().flatten().map(|line| line["12:00:01.123 ".len()..].to_owned()).collect()
    }

    #[test]
    fn a_conversation_is_verbs_codes_and_what_became_of_them() {
        let mut talk = Talk::default();
        let mut command = event(EventKind::Command, 7, 40000);
        command.detail = u32::from_be_bytes(*b"EPSV");
        talk.hear(&command);
        talk.hear(&Event { detail: 229, ..event(EventKind::Reply, 7, 40000) });
        let mut expected = Event { mode: 1, ..event(EventKind::Expected, 7, 0) };
        expected.server_port = 10241;
        talk.hear(&expected);
        let said = texts(&talk, "10.0.0.2:40000-10.0.0.1:21");
        assert_eq!(said[..2], ["client   EPSV", "server   229"]);
        assert_eq!(said[2], "expected  passive 10.0.0.2 -> 10.0.0.1:10241");
    }

    #[test]
    fn of_a_tuple_that_is_used_again_the_last_session_counts() {
        let mut talk = Talk::default();
        for (session, code) in [(7, 220), (8, 230)] {
            talk.hear(&Event { detail: code, ..event(EventKind::Reply, session, 40000) });
        }
        assert_eq!(texts(&talk, "10.0.0.2:40000-10.0.0.1:21"), ["server   230"]);
    }

    #[test]
    fn denials_are_kept_apart_and_all_of_it_has_an_end() {
        let mut talk = Talk::default();
        for session in 0..3000 {
            talk.hear(&event(EventKind::Denied, 0, 1));
            talk.hear(&event(EventKind::SessionStarted, session + 1, u16::try_from(session).unwrap()));
            talk.hear(&Event { detail: 230, ..event(EventKind::Reply, 3000, 2999) });
        }
        assert_eq!((talk.denials.len(), talk.sessions.len(), talk.order.len()), (DENIALS, SESSIONS, SESSIONS));
        assert!(talk.sessions.values().all(|lines| lines.len() <= LINES));
        assert!(talk.ids.len() <= SESSIONS);
    }
}
