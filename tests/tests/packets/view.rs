//! What is shown while somebody views (`ftptrack top`): the lines of sessions, and all events.

use ftp_common::event::{Event, EventKind};
use ftptrack_tests::INSIDE;
use ftptrack_tests::subject::test_run::harness::Harness;
use ftptrack_tests::subject::test_run::{Kernel, Setup};

use crate::IS_DENIED;

/// Kinds of events, and what commands and replies say.
fn shown(events: &[Event]) -> Vec<String> {
    let one = |event: &Event| match EventKind::from_number(event.kind).expect("a kind that there is") {
        EventKind::Command => String::from_utf8_lossy(&event.detail.to_be_bytes()).replace('\0', "-"),
        EventKind::Reply => event.detail.to_string(),
        other => other.name().to_owned(),
    };
    events.iter().map(one).collect()
}

/// A session that logs in and asks for a port; then somebody knocks.
fn play(harness: &Harness) {
    let mut control = harness.control(40000);
    control.exchange(harness, "user alice\r\n", "331-Who\r\n331 Password\r\n");
    control.exchange(harness, "PASS secret\r\n", "230 ok\r\n");
    control.exchange(harness, "hunter2\r\n", "500 what\r\n");
    control.exchange(harness, "QU\r\n", "500 what\r\n");
    control.exchange(harness, "EPSV\r\n", &format!("229 Entering (|||{INSIDE}|)\r\n"));
    assert_eq!(harness.pass(&harness.syn(INSIDE + 1)), IS_DENIED);
}

/// A program of its own: so many denials a second are shown, and those of other tests count.
fn alone() -> Harness {
    Harness::alone(Kernel::load(Setup::SERVERS_BEHIND))
}

#[test]
fn who_views_is_shown_verbs_and_codes_and_all_events_in_their_order() {
    let mut harness = alone();
    harness.kernel.view_until(u64::MAX);
    play(&harness);
    let events = harness.kernel.viewed();
    harness.kernel.view_until(0);
    let wanted = [
        "session_started",
        "220",
        "USER",
        "331",
        "PASS",
        "230",
        "----",
        "500",
        "--QU",
        "500",
        "EPSV",
        "229",
        "expected",
        "denied",
    ];
    assert_eq!(shown(&events), wanted);
    // All but the denial are of the one session.
    let session = events[0].session;
    assert!(session != 0 && events.iter().filter(|event| event.session == session).count() == events.len() - 1);
    assert_eq!((events[1].client_port, events[1].server_port), (40000, 21));
}

#[test]
fn nothing_is_shown_when_nobody_views_any_more() {
    let mut harness = alone();
    // A viewer that was killed: the time that it asked for is over.
    harness.kernel.view_until(1);
    play(&harness);
    let events = harness.kernel.viewed();
    harness.kernel.view_until(0);
    assert_eq!(shown(&events), [""; 0]);
}
