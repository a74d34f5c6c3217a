//! A line for each event.

use std::collections::HashMap;
use std::net::IpAddr;

use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::event::{Event, EventKind};
use ftp_common::keys::Mode;

use crate::endpoint::endpoint;
use crate::events::json::verb;
use crate::sys::clock;

/// Sessions whose client is remembered, at most: ends may be among events that were lost.
const REMEMBERED: usize = 65_536;

/// Turns events into lines. It remembers the client of each session, to name it with its
/// expectations.
#[derive(Debug, Default)]
pub struct EventLines {
    clients: HashMap<u64, String>,
}

impl EventLines {
    /// The event's line, without a line end; `None` for a kind of a later version.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        let text = self.text(event)?;
        Some(format!("{} {text}", clock::wall(event.time)))
    }

    /// The same without the time.
    pub fn text(&mut self, event: &Event) -> Option<String> {
        let kind = EventKind::from_number(event.kind)?;
        Some(match kind {
            EventKind::SessionStarted | EventKind::SessionEnded | EventKind::SessionOpaque => self.session(kind, event),
            EventKind::Command | EventKind::Reply => viewed(kind, event),
            _ => self.data(kind, event),
        })
    }

    fn session(&mut self, kind: EventKind, event: &Event) -> String {
        let client = endpoint(event.client, event.client_port);
        let server = endpoint(event.server, event.server_port);
        let what = match kind {
            EventKind::SessionEnded => "ended",
            EventKind::SessionOpaque => "opaque",
            _ if event.flag != 0 => "midstream",
            _ => "began",
        };
        let why = match (kind, event.flag) {
            (EventKind::SessionOpaque, _) => format!(": {}", reason(event.reason)),
            (EventKind::SessionStarted, 1) => ": it was under way before".to_owned(),
            _ => String::new(),
        };
        if kind == EventKind::SessionEnded {
            self.clients.remove(&event.session);
        } else {
            if self.clients.len() >= REMEMBERED {
                self.clients.clear();
            }
            self.clients.insert(event.session, client.clone());
        }
        line("session", what, &format!("{client} -> {server}{why}"))
    }

    fn data(&self, kind: EventKind, event: &Event) -> String {
        let what = match kind {
            EventKind::Expected => "expected",
            EventKind::Withdrawn => "withdrawn",
            EventKind::FlowStarted => "started",
            EventKind::FlowEnded => "ended",
            EventKind::Denied if event.flag != 0 => "passed",
            EventKind::Denied => "denied",
            _ => "refused",
        };
        let rest = match kind {
            EventKind::Denied if event.flag != 0 => {
                format!(": {} (monitor mode)", reason(event.reason))
            }
            EventKind::Denied | EventKind::Refused => {
                format!(": {}{}", reason(event.reason), times(event.detail))
            }
            EventKind::FlowEnded => format!(": {}", amounts(event)),
            EventKind::Expected if event.flag != 0 => {
                format!("{}: opened by the process that serves it", self.of_session(event.session))
            }
            EventKind::Expected | EventKind::Withdrawn => self.of_session(event.session),
            _ => String::new(),
        };
        let client = end(event.client, event.client_port);
        let server = end(event.server, event.server_port);
        match event.mode {
            0 => line(what, "", &format!("{client} -> {server}{rest}")),
            mode if Mode::from_number(mode) == Mode::Passive => {
                line(what, "passive", &format!("{client} -> {server}{rest}"))
            }
            _ => line(what, "active", &format!("{server} -> {client}{rest}")),
        }
    }

    fn of_session(&self, session: u64) -> String {
        self.clients.get(&session).map_or_else(String::new, |client| format!(" (session {client})"))
    }
}

fn viewed(kind: EventKind, event: &Event) -> String {
    let (client, server) = (endpoint(event.client, event.client_port), endpoint(event.server, event.server_port));
    match kind {
        EventKind::Command => {
            let verb = verb(event.detail).unwrap_or_else(|| "(no verb)".to_owned());
            line("command", "", &format!("{client} -> {server}: {verb}"))
        }
        _ => line("reply", "", &format!("{server} -> {client}: {}", event.detail)),
    }
}

fn line(what: &str, how: &str, rest: &str) -> String {
    format!("{what:<9} {how:<7} {rest}")
}

/// An end of a data connection; its port may not be known yet.
fn end(address: Address, port: u16) -> String {
    match (address, port) {
        (Address::ANY, _) => "any client".to_owned(),
        (_, 0) => IpAddr::from(address).to_string(),
        _ => endpoint(address, port),
    }
}

fn times(times: u32) -> String {
    if times > 1 { format!(" ({times} times)") } else { String::new() }
}

fn amounts(event: &Event) -> String {
    let [up, down] = event.bytes;
    let at_least = if event.flag == 0 { "" } else { "at least " };
    format!("{at_least}{up} bytes from the client, {down} from the server")
}

/// Why, from the counter's own words: `Denied: its expectation had expired.`
fn reason(index: u8) -> String {
    let Some(counter) = Counter::from_index(u32::from(index)) else {
        return "unknown reason".to_owned();
    };
    match counter {
        Counter::DeniedPassive | Counter::DeniedActive => "nobody negotiated it".to_owned(),
        Counter::DeniedEncrypted => "its session is encrypted, and can't be read".to_owned(),
        Counter::SessionsEncrypted => "encrypted, it can't be read any more".to_owned(),
        Counter::SessionsMultipath => "Multipath TCP, it can't be read".to_owned(),
        _ => {
            let meaning = counter.meaning().trim_end_matches('.');
            meaning.split_once(": ").map_or(meaning, |(_, why)| why).to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn event(kind: EventKind, mode: Option<Mode>) -> Event {
        Event {
            session: 7,
            client: address("10.0.0.2"),
            server: address("10.0.0.1"),
            client_port: 40000,
            server_port: 21,
            kind: kind.number(),
            mode: mode.map_or(0, Mode::number),
            ..Event::default()
        }
    }

    /// Behind the time.
    fn text(lines: &mut EventLines, event: &Event) -> String {
        lines.line(event).unwrap().split_off("12:00:01.123 ".len())
    }

    #[track_caller]
    fn shows(event: &Event, expected: &str) {
        assert_eq!(text(&mut EventLines::default(), event), expected);
    }

    #[test]
    fn an_expectation_names_its_session() {
        let mut lines = EventLines::default();
        let began = text(&mut lines, &event(EventKind::SessionStarted, None));
        assert_eq!(began, "session   began   10.0.0.2:40000 -> 10.0.0.1:21");

        let mut expected = event(EventKind::Expected, Some(Mode::Passive));
        (expected.client_port, expected.server_port) = (0, 10241);
        let passive = text(&mut lines, &expected);
        assert_eq!(passive, "expected  passive 10.0.0.2 -> 10.0.0.1:10241 (session 10.0.0.2:40000)");

        (expected.client_port, expected.server_port) = (40001, 0);
        expected.mode = Mode::Active.number();
        let active = text(&mut lines, &expected);
        assert_eq!(active, "expected  active  10.0.0.1 -> 10.0.0.2:40001 (session 10.0.0.2:40000)");

        text(&mut lines, &event(EventKind::SessionEnded, None));
        assert!(!text(&mut lines, &expected).contains("session"));
    }

    #[test]
    fn a_denial_says_why() {
        let mut denied = event(EventKind::Denied, Some(Mode::Passive));
        (denied.client_port, denied.server_port) = (5555, 10250);
        denied.reason = Counter::DeniedPassive as u8;
        shows(&denied, "denied    passive 10.0.0.2:5555 -> 10.0.0.1:10250: nobody negotiated it");
        denied.reason = Counter::DeniedExpired as u8;
        shows(&denied, "denied    passive 10.0.0.2:5555 -> 10.0.0.1:10250: its expectation had expired");
        for (reason, why) in [
            (Counter::DeniedUsed, "its port was used by another connection already; an expectation serves one"),
            (
                Counter::DeniedHalfOpenFull,
                "no room for one more half-open connection: too many in this session, or in the table",
            ),
            (
                Counter::DeniedTupleInUse,
                "a SYN on the addresses and ports of a connection whose handshake is not over, or was refused",
            ),
            (Counter::DeniedHandshake, "a segment that fits no SYN-ACK, or would begin a closed connection again"),
            (
                Counter::DeniedFastOpen,
                "a SYN with data or a Fast Open cookie on a guarded port; the client repeats it without",
            ),
            (Counter::DeniedVlanTags, "more stacked priority tags (VLAN 0) than are followed"),
        ] {
            denied.reason = reason as u8;
            shows(&denied, &format!("denied    passive 10.0.0.2:5555 -> 10.0.0.1:10250: {why}"));
        }
        denied.reason = Counter::DeniedExpired as u8;
        denied.flag = 1;
        shows(&denied, "passed    passive 10.0.0.2:5555 -> 10.0.0.1:10250: its expectation had expired (monitor mode)");
    }

    #[test]
    fn a_refusal_says_why_and_how_often() {
        let mut refused = event(EventKind::Refused, Some(Mode::Active));
        (refused.client_port, refused.server_port, refused.detail) = (22, 0, 3);
        refused.reason = Counter::RefusedLowPort as u8;
        shows(&refused, "refused   active  10.0.0.1 -> 10.0.0.2:22: a port below 1024 (3 times)");
    }

    #[test]
    fn a_flow_that_ended_tells_its_amounts() {
        let mut ended = event(EventKind::FlowEnded, Some(Mode::Passive));
        ended.server_port = 10241;
        ended.bytes = [0, 4096];
        shows(
            &ended,
            "ended     passive 10.0.0.2:40000 -> 10.0.0.1:10241: 0 bytes from the client, 4096 from the server",
        );
    }

    #[test]
    fn other_kinds_of_sessions_say_what_they_are() {
        let mut midstream = event(EventKind::SessionStarted, None);
        midstream.flag = 1;
        shows(&midstream, "session   midstream 10.0.0.2:40000 -> 10.0.0.1:21: it was under way before");
        let mut opaque = event(EventKind::SessionOpaque, None);
        opaque.reason = Counter::SessionsEncrypted as u8;
        shows(&opaque, "session   opaque  10.0.0.2:40000 -> 10.0.0.1:21: encrypted, it can't be read any more");
    }

    #[test]
    fn commands_and_replies_show_a_verb_or_a_code_and_nothing_else() {
        let mut command = event(EventKind::Command, None);
        command.detail = u32::from_be_bytes(*b"PASS");
        shows(&command, "command           10.0.0.2:40000 -> 10.0.0.1:21: PASS");
        command.detail = u32::from_be_bytes(*b"\0CWD");
        shows(&command, "command           10.0.0.2:40000 -> 10.0.0.1:21: CWD");
        command.detail = 0;
        shows(&command, "command           10.0.0.2:40000 -> 10.0.0.1:21: (no verb)");
        let mut reply = event(EventKind::Reply, None);
        reply.detail = 227;
        shows(&reply, "reply             10.0.0.1:21 -> 10.0.0.2:40000: 227");
    }

    #[test]
    fn ipv6_and_any_client() {
        let mut expected = event(EventKind::Expected, Some(Mode::Passive));
        (expected.client, expected.server) = (Address::ANY, address("2001:db8::1"));
        expected.server_port = 10241;
        shows(&expected, "expected  passive any client -> [2001:db8::1]:10241");
        assert_eq!(EventLines::default().line(&Event::default()), None);
    }
}
