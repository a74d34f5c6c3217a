//! An event as a line of JSON.

use std::net::IpAddr;

use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::event::{Event, EventKind};
use ftp_common::keys::Mode;
use serde::Serialize;

use crate::endpoint::{BothWays, endpoint};
use crate::sys::clock;

/// What `events --json` prints, one object a line. Fields that have no meaning for an event are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventRow {
    /// Seconds since 1970, UTC.
    pub time: f64,
    /// `session_started`, `session_ended`, `session_opaque`, `expected`, `withdrawn`, `flow_started`,
    /// `flow_ended`, `denied`, `refused`; in a view also `command`, `reply`.
    pub event: &'static str,
    /// Tells the session from all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<u64>,
    /// Address, with the port where it is known; left out if any client may connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Address, with the port where it is known.
    pub server: String,
    /// `passive` or `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<&'static str>,
    /// Why: the name of a counter of `ftptrack stats`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Monitor mode let it pass.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub monitored: bool,
    /// The session was picked up midstream.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub midstream: bool,
    /// What an expectation is known by: the server's `reply`, or the `owner` of the socket, the process that serves an
    /// encrypted session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<&'static str>,
    /// How many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// The verb of a command; left out if the line doesn't begin with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verb: Option<String>,
    /// The code of a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<u32>,
    /// Index of the interface.
    pub interface: u32,
    /// TCP payload bytes each way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BothWays>,
    /// More bytes may have passed than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
}

impl EventRow {
    /// The event's object; `None` for a kind of a later version.
    #[must_use]
    pub fn new(event: &Event) -> Option<Self> {
        let kind = EventKind::from_number(event.kind)?;
        let why = matches!(kind, EventKind::Denied | EventKind::Refused | EventKind::SessionOpaque);
        let ended = kind == EventKind::FlowEnded;
        Some(Self {
            time: clock::unix_seconds(event.time),
            event: kind.name(),
            session: (event.session != 0).then_some(event.session),
            client: (event.client != Address::ANY).then(|| end(event.client, event.client_port)),
            server: end(event.server, event.server_port),
            mode: (event.mode != 0).then(|| Mode::from_number(event.mode).name()),
            reason: why.then(|| Counter::from_index(u32::from(event.reason)).map(Counter::name)).flatten(),
            monitored: kind == EventKind::Denied && event.flag != 0,
            midstream: kind == EventKind::SessionStarted && event.flag != 0,
            evidence: matches!(kind, EventKind::Expected | EventKind::Withdrawn).then_some(if event.flag != 0 {
                "owner"
            } else {
                "reply"
            }),
            count: (kind == EventKind::Refused).then_some(event.detail),
            verb: (kind == EventKind::Command).then(|| verb(event.detail)).flatten(),
            code: (kind == EventKind::Reply).then_some(event.detail),
            interface: event.interface,
            bytes: ended.then(|| event.bytes.into()),
            at_least: ended && event.flag != 0,
        })
    }
}

fn end(address: Address, port: u16) -> String {
    if port == 0 { IpAddr::from(address).to_string() } else { endpoint(address, port) }
}

/// The verb that an event of a command carries; `None` where its line didn't begin with one.
#[must_use]
pub fn verb(detail: u32) -> Option<String> {
    let letters: String = detail.to_be_bytes().iter().filter(|byte| **byte != 0).map(|byte| shown(*byte)).collect();
    (!letters.is_empty()).then_some(letters)
}

const fn shown(byte: u8) -> char {
    if byte.is_ascii_graphic() { byte as char } else { '?' }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn an_object_has_what_its_event_means() {
        let address = |text: &str| text.parse::<IpAddr>().unwrap().into();
        let denied = Event {
            kind: EventKind::Denied.number(),
            mode: Mode::Passive.number(),
            client: address("10.0.0.2"),
            client_port: 5555,
            server: address("10.0.0.1"),
            server_port: 10250,
            reason: Counter::DeniedPassive as u8,
            interface: 3,
            ..Event::default()
        };
        let mut json = serde_json::to_value(EventRow::new(&denied)).unwrap();
        assert!(json.as_object_mut().unwrap().remove("time").unwrap().is_f64());
        let expected = serde_json::json!({
            "event": "denied", "client": "10.0.0.2:5555", "server": "10.0.0.1:10250", "mode": "passive",
            "reason": "denied_passive", "interface": 3,
        });
        assert_eq!(json, expected);
        let ended = Event { kind: EventKind::FlowEnded.number(), session: 7, bytes: [1, 2], ..denied };
        let json = serde_json::to_value(EventRow::new(&ended)).unwrap();
        assert_eq!(json["bytes"], serde_json::json!({"client": 1, "server": 2}));
        assert_eq!((json.get("reason"), &json["session"]), (None, &7.into()));
    }

    /// The cells of a table's rows whose first is a name, by that name.
    fn table(page: &str, heading: &str) -> BTreeMap<String, Vec<String>> {
        let rows = page.split_once(heading).unwrap().1.lines().skip_while(|line| !line.starts_with('|'));
        let rows = rows.take_while(|line| line.starts_with('|')).filter(|line| line.starts_with("| `"));
        let cells =
            |row: &str| row.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        rows.map(cells).map(|cells| (cells[0].trim_matches('`').to_owned(), cells)).collect()
    }

    #[test]
    fn the_schema_page_has_each_reason_and_what_it_means() {
        let reasons = table(include_str!("../../../docs/events.md"), "## Reasons");
        let is_reason = |counter: &&Counter| ["denied_", "refused_"].iter().any(|by| counter.name().starts_with(by));
        for counter in Counter::ALL.iter().filter(is_reason) {
            let on_page = reasons.get(counter.name()).map(|cells| cells[1].as_str());
            assert_eq!(on_page, counter.meaning().split_once(": ").map(|(_, why)| why), "{}", counter.name());
        }
        assert_eq!(reasons.len(), Counter::ALL.iter().filter(is_reason).count());
    }

    #[test]
    fn the_schema_page_has_each_kind_and_each_of_its_fields_and_no_others() {
        let page = include_str!("../../../docs/events.md");
        let kinds = table(page, "| event | when | fields |");
        let all = page.split_once("Each has ").unwrap().1.split_once(", and\n").unwrap().0;
        let named =
            |text: &str| -> BTreeSet<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let fields = table(page, "## Fields");
        let mut seen = BTreeSet::new();
        for kind in EventKind::ALL {
            let is_viewed = matches!(kind, EventKind::Command | EventKind::Reply);
            let is_session = is_viewed || kind.name().starts_with("session_");
            let event = Event {
                kind: kind.number(),
                session: 1,
                client: "10.0.0.2".parse::<IpAddr>().unwrap().into(),
                mode: if is_session { 0 } else { Mode::Passive.number() },
                reason: Counter::DeniedPassive as u8,
                flag: 1,
                detail: 1,
                ..Event::default()
            };
            let row = serde_json::to_value(EventRow::new(&event)).unwrap();
            let has: BTreeSet<_> = row.as_object().unwrap().keys().cloned().collect();
            let documented = kinds.get(kind.name()).unwrap_or_else(|| panic!("no {} on the page", kind.name()));
            assert_eq!(has, &named(all) | &named(&documented[2]), "{}", kind.name());
            seen.extend(has);
        }
        assert_eq!(kinds.len(), EventKind::ALL.len());
        assert_eq!(fields.into_keys().collect::<BTreeSet<_>>(), seen);
        let unreported = table(page, "| event | what was lost |");
        assert!(
            unreported.contains_key(Counter::EventsLost.name())
                && unreported.contains_key(Counter::EventsSuppressed.name())
        );
    }
}
