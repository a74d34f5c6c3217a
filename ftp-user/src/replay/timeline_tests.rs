use std::net::IpAddr;

use ftp_common::address::Address;
use ftp_common::keys::Mode;

use super::*;

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

#[test]
fn a_session_is_told_by_itself_and_a_denial_belongs_to_none() {
    let mut timeline = Timeline::default();
    let denied = Event { session: 0, ..data(EventKind::Denied, 10_240) };
    for event in [event(EventKind::SessionStarted, 7), denied, event(EventKind::Command, 8), event(EventKind::Reply, 7)]
    {
        timeline.push(5, &event);
    }
    timeline.push(6, &event(EventKind::SessionEnded, 7));
    let told: Vec<_> = timeline.sessions.iter().map(|s| (s.began, s.ended, s.entries.len())).collect();
    assert_eq!(told, [(true, true, 3), (false, false, 1)], "the other was met in the middle");
    assert_eq!(timeline.strays.len(), 1);
    assert_eq!((&*timeline.sessions[0].client, &*timeline.sessions[0].server), ("10.0.0.2:40000", "10.0.0.1:21"));
}

#[test]
fn what_is_missing_stands_in_the_session_that_lives() {
    let mut timeline = Timeline::default();
    let ends = ["10.0.0.2:40000".parse().unwrap(), "10.0.0.1:21".parse().unwrap()];
    let missing = Missing { sender: ends[0], bytes: 9 };
    timeline.push_gap(1, ends, missing);
    timeline.push(2, &event(EventKind::SessionStarted, 7));
    timeline.push_gap(3, ends, missing);
    timeline.push_gap(4, [ends[1], ends[0]], missing);
    timeline.push(5, &event(EventKind::SessionEnded, 7));
    timeline.push_gap(6, ends, missing);
    assert_eq!(timeline.sessions[0].entries.iter().map(|entry| entry.time).collect::<Vec<_>>(), [2, 3, 4, 5]);
}

#[test]
fn the_first_line_of_a_session_picked_up_midstream_may_be_the_end_of_one() {
    let mut timeline = Timeline::default();
    let noop = Event { detail: u32::from_be_bytes(*b"NOOP"), ..event(EventKind::Command, 8) };
    let midstream = Event { flag: 1, ..event(EventKind::SessionStarted, 7) };
    let line = event(EventKind::Command, 7);
    for event in [event(EventKind::Reply, 7), line, midstream, line, noop, Event { session: 8, ..line }] {
        timeline.push(5, &event);
    }
    let told: Vec<_> = timeline.sessions.iter().map(|session| (session.began, session.partial_line())).collect();
    assert_eq!(told, [(false, Some(1)), (false, None)]);
}
