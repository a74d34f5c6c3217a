use super::*;
use crate::endpoint::BothWays;
use crate::query::rows::{ExpectationRow, FlowRow, SessionRow};
use crate::top::source::Snapshot;
use crate::top::state::Theme;
use crate::top::update::Message;
use ftp_common::event::{Event, EventKind};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use std::net::IpAddr;

const SECOND: u64 = 1_000_000_000;

fn snapshot(time: u64, bytes: u64) -> Snapshot {
    let (client, server) = ("10.0.0.2:40000".to_owned(), "10.0.0.1:21".to_owned());
    let control = format!("{client}-{server}");
    Snapshot {
        time,
        interfaces: vec![("eth0".to_owned(), "attached")],
        sessions: vec![SessionRow {
            client,
            server,
            state: "in sync",
            user: Some("alice\u{1b}[2J".to_owned()),
            evidence: None,
            mode: Some("passive"),
            age_seconds: 75.0,
            waiting: 1,
            waits_for: vec!["transfer"],
        }],
        expectations: vec![ExpectationRow {
            client: Some("10.0.0.2".parse().unwrap()),
            server: "10.0.0.1".parse().unwrap(),
            port: 10242,
            mode: "passive",
            expires_in_seconds: 299.4,
            evidence: "reply",
            session: control.clone(),
        }],
        flows: vec![FlowRow {
            client: "10.0.0.2:40001".to_owned(),
            server: "10.0.0.1:10241".to_owned(),
            mode: "passive",
            state: "established",
            at_least: false,
            bytes: BothWays { client: 0, server: bytes },
            age_seconds: 2.0,
            control,
        }],
        denied: 7,
        missed: 0,
        accounting: true,
        blind: None,
    }
}

fn event(kind: EventKind, detail: u32) -> Event {
    let address = |text: &str| text.parse::<IpAddr>().unwrap().into();
    Event {
        kind: kind.number(),
        time: clock::monotonic(),
        session: 5,
        client: address("10.0.0.2"),
        client_port: 40000,
        server: address("10.0.0.1"),
        server_port: 21,
        detail,
        ..Event::default()
    }
}

fn state(theme: Theme) -> State {
    let mut state = State::new(theme);
    state.update(Message::Snapshot(Box::new(Ok(snapshot(SECOND, 1 << 20)))));
    state.update(Message::Snapshot(Box::new(Ok(snapshot(2 * SECOND, 3 << 20)))));
    state
}

fn terminal(state: &mut State, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state)).unwrap();
    terminal
}

/// The lines of the picture, without blanks at their ends.
fn picture(state: &mut State, width: u16, height: u16) -> Vec<String> {
    let terminal = terminal(state, width, height);
    let buffer = terminal.backend().buffer();
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

#[test]
fn all_lists_have_room_in_80_columns_and_24_lines() {
    let mut state = state(Theme::Plain);
    let picture = picture(&mut state, 80, 24);
    assert_eq!(picture[0][.."ftptrack  eth0 guarded  7 denied  ".len()], *"ftptrack  eth0 guarded  7 denied  ");
    assert_eq!(picture[1], "Sessions 1  (age)");
    let row = |title: &str, at: usize| {
        let line = picture.iter().position(|line| line.starts_with(title)).unwrap_or_else(|| panic!("{picture:#?}"));
        picture[line + at].split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let session = row("Sessions", 2);
    assert_eq!(
        session[1..],
        ["10.0.0.2:40000", "10.0.0.1:21", "in", "sync", "passive", "1m15s", "transfer"][..],
        "{session:?}"
    );
    let transfer = row("Transfers", 2);
    assert_eq!(transfer[3..], ["down", "2.0", "MiB/s", "3.0", "MiB", "established"], "{transfer:?}");
    assert_eq!(row("Expected", 2), ["passive", "10.0.0.2", "10.0.0.1", "port", "10242", "4m59s"]);
    assert!(picture[23].starts_with("q quit  p pause"), "{picture:#?}");
    assert!(picture[23].ends_with("? help"), "{picture:#?}");
}

#[test]
fn any_size_can_be_drawn() {
    let mut state = state(Theme::Colours);
    for (width, height) in [(1, 1), (10, 3), (40, 8), (200, 60), (500, 2)] {
        terminal(&mut state, width, height);
        state.page = match state.page {
            Page::Lists => Page::Help,
            _ => Page::Lists,
        };
    }
}

#[test]
fn what_a_client_calls_itself_cannot_reach_the_terminal() {
    let mut state = state(Theme::Plain);
    let picture = picture(&mut state, 160, 24).concat();
    assert!(picture.contains("alice\\u{1b}[2J"), "{picture}");
}

#[test]
fn a_session_is_shown_as_a_conversation() {
    let mut state = state(Theme::Plain);
    let retr = u32::from_be_bytes(*b"RETR");
    state.update(Message::Events(vec![event(EventKind::Command, retr), event(EventKind::Reply, 150)]));
    state.page = Page::Conversation { control: "10.0.0.2:40000-10.0.0.1:21".to_owned(), up: 0 };
    let shown = picture(&mut state, 80, 24);
    assert_eq!(shown[1], "Session 10.0.0.2:40000 -> 10.0.0.1:21");
    assert!(shown[2].ends_with("in sync  since 1m15s  pending transfer"), "{}", shown[2]);
    assert!(shown[3].ends_with(" client   RETR") && shown[4].ends_with(" server   150"), "{shown:#?}");
    state.page = Page::Conversation { control: "10.0.0.9:1-10.0.0.1:21".to_owned(), up: 0 };
    let shown = picture(&mut state, 80, 24);
    assert!(shown[2] == "it has ended" && shown[3].starts_with("nothing was said since this began"), "{shown:#?}");
}

#[test]
fn without_colours_there_are_none_and_with_them_there_are() {
    for (theme, has_colours) in [(Theme::Plain, false), (Theme::Colours, true)] {
        let mut state = state(theme);
        state.paused = true;
        let terminal = terminal(&mut state, 80, 24);
        let mut cells = terminal.backend().buffer().content().iter();
        assert_eq!(cells.any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset), has_colours, "{theme:?}");
    }
}

#[test]
fn trouble_stands_below_and_unprotected_interfaces_above() {
    let mut state = state(Theme::Plain);
    state.snapshot.interfaces = vec![("eth0".to_owned(), "unprotected")];
    state.snapshot.blind = Some("live view: process 4711 has it".to_owned());
    let shown = picture(&mut state, 80, 24);
    assert!(shown[0].starts_with("ftptrack  eth0 unprotected  "), "{}", shown[0]);
    assert_eq!(shown[23], "what happens is not shown: live view: process 4711 has it");
}

#[test]
fn the_keys_fit_into_80_columns() {
    for (keys, what) in crate::top::keys::HELP {
        assert!(keys.len() <= 16 && 16 + what.len() <= 80, "{what}");
    }
}
