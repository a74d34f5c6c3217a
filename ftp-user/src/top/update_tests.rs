use super::*;
use crate::endpoint::BothWays;
use crate::query::rows::{FlowRow, SessionRow};
use crate::top::state::Theme;
use ftp_common::event::EventKind;

fn session(client: &str, user: &str) -> SessionRow {
    SessionRow {
        client: client.to_owned(),
        server: "10.0.0.1:21".to_owned(),
        state: "in sync",
        user: (!user.is_empty()).then(|| user.to_owned()),
        evidence: None,
        mode: None,
        age_seconds: 1.0,
        waiting: 0,
        waits_for: Vec::new(),
    }
}

fn flow(port: u16, bytes: u64) -> FlowRow {
    FlowRow {
        client: format!("10.0.0.2:{port}"),
        server: "10.0.0.1:10241".to_owned(),
        mode: "passive",
        state: "established",
        at_least: false,
        bytes: BothWays { client: 0, server: bytes },
        age_seconds: 1.0,
        control: "10.0.0.2:40000-10.0.0.1:21".to_owned(),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        time: 1_000_000_000,
        sessions: vec![session("10.0.0.2:40000", "bob"), session("10.0.0.3:40000", "alice")],
        flows: vec![flow(1, 5), flow(2, 9)],
        denied: 3,
        accounting: true,
        ..Snapshot::default()
    }
}

fn state() -> State {
    let mut state = State::new(Theme::Plain);
    state.update(Message::Snapshot(Box::new(Ok(snapshot()))));
    state
}

fn press(state: &mut State, keys: &str) {
    keys.chars().for_each(|letter| state.update(Message::Key(Key::Char(letter))));
}

fn denied() -> Event {
    Event { kind: EventKind::Denied.number(), ..Event::default() }
}

#[test]
fn a_transfer_has_the_name_of_its_session_even_when_that_is_gone() {
    let mut state = state();
    assert_eq!(state.transfers[0].user.as_deref(), Some("bob"));
    let after = Snapshot { sessions: Vec::new(), ..snapshot() };
    state.update(Message::Snapshot(Box::new(Ok(after))));
    assert_eq!(state.transfers[0].user.as_deref(), Some("bob"));
}

#[test]
fn lists_are_sorted_and_turned_round() {
    let mut state = state();
    let clients = |state: &State| state.sessions().iter().map(|row| row.client.clone()).collect::<Vec<_>>();
    assert_eq!(clients(&state), ["10.0.0.2:40000", "10.0.0.3:40000"]);
    press(&mut state, "s");
    assert_eq!(state.order(List::Sessions), "user");
    assert_eq!(clients(&state), ["10.0.0.3:40000", "10.0.0.2:40000"], "alice, bob");
    press(&mut state, "r");
    assert_eq!(clients(&state), ["10.0.0.2:40000", "10.0.0.3:40000"]);
    state.update(Message::Key(Key::Next));
    press(&mut state, "s");
    assert_eq!(state.transfers().iter().map(|row| row.bytes()).collect::<Vec<_>>(), [9, 5]);
}

#[test]
fn a_filter_is_written_kept_and_dropped() {
    let mut state = state();
    press(&mut state, "/ALq");
    assert!(!state.is_over, "a letter of the filter");
    state.update(Message::Key(Key::Back));
    assert_eq!(state.sessions().len(), 1);
    state.update(Message::Key(Key::Enter));
    press(&mut state, "s");
    assert_eq!((state.filter.as_str(), state.order(List::Sessions)), ("AL", "user"));
    state.update(Message::Key(Key::Escape));
    assert_eq!(state.sessions().len(), 2);
}

#[test]
fn while_it_is_paused_nothing_moves_and_nothing_is_missed() {
    let mut state = state();
    press(&mut state, "p");
    state.update(Message::Events(vec![denied()]));
    state.update(Message::Snapshot(Box::new(Ok(Snapshot { denied: 4, ..Snapshot::default() }))));
    assert_eq!((state.denials().len(), state.snapshot.denied, state.sessions().len()), (0, 3, 2));
    press(&mut state, "p");
    assert_eq!(state.denials().len(), 1);
    for _ in 0..100_000 {
        state.keep(denied());
    }
    assert!(state.behind.len() <= 20_000);
}

#[test]
fn enter_shows_the_chosen_lines_session_and_escape_leads_back() {
    let mut state = state();
    state.update(Message::Key(Key::Down));
    state.update(Message::Key(Key::Enter));
    let control = "10.0.0.3:40000-10.0.0.1:21".to_owned();
    assert_eq!(state.page, Page::Conversation { control, up: 0 });
    state.update(Message::Key(Key::Escape));
    state.update(Message::Key(Key::Next));
    state.update(Message::Key(Key::Enter));
    assert!(matches!(&state.page, Page::Conversation { control, .. } if control == "10.0.0.2:40000-10.0.0.1:21"));
    press(&mut state, "?");
    assert_eq!(state.page, Page::Help);
    press(&mut state, "?");
    assert_eq!(state.page, Page::Lists);
}

#[test]
fn the_chosen_line_stays_within_its_list() {
    let mut state = state();
    for key in [Key::Down, Key::Down, Key::PageDown, Key::End] {
        state.update(Message::Key(key));
        assert_eq!(state.choice(List::Sessions).line, 1);
    }
    let one = Snapshot { sessions: vec![session("10.0.0.2:40000", "")], ..snapshot() };
    state.update(Message::Snapshot(Box::new(Ok(one))));
    assert_eq!(state.choice(List::Sessions).line, 0);
    state.update(Message::Key(Key::Home));
    state.update(Message::Key(Key::Up));
    assert_eq!(state.choice(List::Sessions).line, 0);
}

#[test]
fn it_ends_by_q_and_by_control_c_even_in_a_filter() {
    let mut quit = state();
    press(&mut quit, "q");
    assert!(quit.is_over);
    let mut quit = state();
    press(&mut quit, "/x");
    quit.update(Message::Key(Key::Quit));
    assert!(quit.is_over);
}

#[test]
fn maps_that_cannot_be_read_are_told_and_the_picture_stays() {
    let mut state = state();
    let gone = Failure::failed("--pin-dir /x", "ftptrack is not attached", "attach");
    state.update(Message::Snapshot(Box::new(Err(gone))));
    assert_eq!(state.trouble.as_deref(), Some("--pin-dir /x: ftptrack is not attached"));
    assert_eq!(state.sessions().len(), 2);
    state.update(Message::Snapshot(Box::new(Ok(snapshot()))));
    assert_eq!(state.trouble, None);
}
