use ftp_common::address::Address;

use super::*;
use crate::policy::Named;

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn event(kind: EventKind, session: u64) -> Event {
    Event {
        session,
        client: address("10.0.0.2"),
        server: address("10.0.0.1"),
        client_port: 40_000,
        server_port: 21,
        kind: kind.number(),
        ..Event::default()
    }
}

fn data(kind: EventKind, server_port: u16) -> Event {
    Event { client_port: 0, server_port, mode: Mode::Passive.number(), ..event(kind, 7) }
}

fn said(command: &[u8; 4]) -> Event {
    Event { detail: u32::from_be_bytes(*command), ..event(EventKind::Command, 7) }
}

fn reply(code: u32) -> Event {
    Event { detail: code, ..event(EventKind::Reply, 7) }
}

fn policy() -> Policy {
    Policy { own: Some(Rules::default()), ..Policy::default() }
}

/// Tells these, each at its second; the seconds that came late.
fn late(told: &[(i64, Event)]) -> Vec<i64> {
    let mut story = Story::default();
    told.iter().for_each(|(second, event)| story.tell(second * SECOND, event, &policy()));
    let entries = story.sessions.iter().flat_map(|session| &session.entries);
    entries.filter_map(|entry| if let What::Late { took, .. } = entry.what { Some(took) } else { None }).collect()
}

#[test]
fn a_session_is_told_by_itself_and_a_denial_belongs_to_none() {
    let mut story = Story::default();
    let denied = Event { session: 0, ..data(EventKind::Denied, 10_240) };
    for event in [event(EventKind::SessionStarted, 7), denied, event(EventKind::Command, 8), reply(220)] {
        story.tell(5, &event, &policy());
    }
    story.tell(6, &event(EventKind::SessionEnded, 7), &policy());
    let told: Vec<_> = story.sessions.iter().map(|s| (s.began, s.ended, s.entries.len())).collect();
    assert_eq!(told, [(true, true, 3), (false, false, 1)], "the other was met in the middle");
    assert_eq!(story.strays.len(), 1);
    assert_eq!((&*story.sessions[0].client, &*story.sessions[0].server), ("10.0.0.2:40000", "10.0.0.1:21"));
}

#[test]
fn what_is_missing_stands_in_the_session_that_lives() {
    let mut story = Story::default();
    let ends = ["10.0.0.2:40000".parse().unwrap(), "10.0.0.1:21".parse().unwrap()];
    let missing = Missing { sender: ends[0], bytes: 9 };
    story.miss(1, ends, missing);
    story.tell(2, &event(EventKind::SessionStarted, 7), &policy());
    story.miss(3, ends, missing);
    story.miss(4, [ends[1], ends[0]], missing);
    story.tell(5, &event(EventKind::SessionEnded, 7), &policy());
    story.miss(6, ends, missing);
    assert_eq!(story.sessions[0].entries.iter().map(|entry| entry.time).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

#[test]
fn a_data_connection_that_came_later_than_its_expectation_lives_is_told() {
    let expected = data(EventKind::Expected, 10_240);
    let started = Event { client_port: 5_555, ..data(EventKind::FlowStarted, 10_240) };
    assert_eq!(late(&[(0, expected), (300, started)]), [0; 0]);
    assert_eq!(late(&[(0, expected), (301, started)]), [301]);
    let other = data(EventKind::Expected, 10_241);
    assert_eq!(late(&[(0, expected), (200, other), (301, started)]), [301], "another's word doesn't count");
    assert_eq!(late(&[(0, expected), (200, expected), (301, started)]), [0; 0], "negotiated anew");
    for renews in [said(b"RETR"), said(b"MLSD"), reply(150)] {
        assert_eq!(late(&[(0, expected), (200, renews), (500, started)]), [0; 0]);
        assert_eq!(late(&[(0, expected), (200, renews), (501, started)]), [301]);
    }
    for doesnt in [said(b"NOOP"), reply(200)] {
        assert_eq!(late(&[(0, expected), (200, doesnt), (301, started)]), [301]);
    }
}

#[test]
fn the_rules_of_the_longest_prefix_hold() {
    let named = |prefix: &str, expectation_timeout| Named {
        prefixes: vec![prefix.parse().unwrap()],
        rules: Rules { expectation_timeout, ..Rules::default() },
    };
    let policy = Policy { named: vec![named("10.0.0.0/8", 8), named("10.1.0.0/16", 16)], ..policy() };
    let timeout = |server: &str| rules(&policy, server.parse().unwrap()).map(|rules| rules.expectation_timeout);
    assert_eq!(["10.0.0.1", "10.1.0.1", "192.0.2.1"].map(timeout), [Some(8), Some(16), Some(300)]);
    assert!(rules(&Policy { own: None, ..policy }, "192.0.2.1".parse().unwrap()).is_none());
}
