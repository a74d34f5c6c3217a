//! `--journal`: events with fields, by the schema of docs/events.md, and what was lost; guarding doesn't depend on it.

use std::collections::BTreeSet;

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::journal::{Entry, Journal};
use ftptrack_tests::subject::report::Stats;
use ftptrack_tests::support::{file, tools, wait};

/// Control connections that leave more events than are kept for who reads them slowly.
const MORE_THAN_KEPT: usize = ftp_user::events::history::KEPT / 2 + 1_000;

/// A field of ours.
#[track_caller]
fn of<'a>(entry: &'a Entry, name: &str) -> &'a str {
    entry.get(&format!("FTPTRACK_{name}")).unwrap_or_else(|| panic!("no {name} in {entry:#?}"))
}

#[test]
fn what_happens_is_in_the_journal_with_fields() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let (pins, directory) = (PinDirectory::new(), file::directory());
    let journal = Journal::instead_of_the_systems(&pins);
    let watch = Ftptrack::watch(server, &pins, &[&USUAL[..], &["--journal"]].concat());
    file::write_random(&vsftpd.file("file"), 100_000);
    let url = vsftpd::url(server, Family::V4, "file");
    curl::download(client, Mode::Epsv, &url, &directory.path().join("file"));

    let started = journal.next_of("session_started");
    assert_eq!((started["SYSLOG_IDENTIFIER"].as_str(), started["PRIORITY"].as_str()), ("ftptrack", "6"), "{started:?}");
    assert_eq!(of(&started, "SERVER"), server.at(Family::V4, 21).to_string());
    let begins = format!("session   began   {} -> {}", of(&started, "CLIENT"), of(&started, "SERVER"));
    assert_eq!(started["MESSAGE"], begins);
    let expected = journal.next_of("expected");
    assert_eq!((of(&expected, "MODE"), of(&expected, "SESSION")), ("passive", of(&started, "SESSION")));
    let flow = journal.next_of("flow_started");
    assert_eq!((of(&flow, "SERVER"), of(&flow, "SESSION")), (of(&expected, "SERVER"), of(&started, "SESSION")));
    let ended = journal.next_of("flow_ended");
    assert_eq!((of(&ended, "BYTES_SERVER"), of(&ended, "BYTES_CLIENT")), ("100000", "0"));

    assert_eq!(probe::to(client, server.at(Family::V4, INSIDE)), Outcome::Silence);
    let denied = journal.next_of("denied");
    assert_eq!((of(&denied, "REASON"), denied["PRIORITY"].as_str()), ("denied_passive", "5"), "{denied:?}");
    assert!(denied["MESSAGE"].ends_with(": nobody negotiated it"), "{denied:?}");

    // Each field is in the schema.
    let schema = std::fs::read_to_string(tools::of_repository("docs/events.md")).expect("it is there");
    let fields = [started, expected, flow, ended, denied].into_iter().flat_map(Entry::into_keys);
    for field in fields.filter(|field| field.starts_with("FTPTRACK_")).collect::<BTreeSet<_>>() {
        assert!(schema.contains(&format!("`{field}`")), "{field} is not in docs/events.md");
    }
    watch.leave();
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn a_journal_that_stands_still_delays_nothing_and_losses_are_told() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let journal = Journal::instead_of_the_systems(&pins);
    let mut watch = Ftptrack::watch(server, &pins, &[&USUAL[..], &["--journal"]].concat());
    // Nobody reads the journal: each control connection leaves two events, until there is no room for more.
    let control = server.at(Family::V4, 21);
    let listener = probe::listen(server, control);
    let stats = || ftptrack::query::<Stats>(server, &pins, "stats");
    for _ in 0..MORE_THAN_KEPT {
        drop(probe::connect(client, control).expect("nobody guards it"));
        drop(listener.accept().expect("it connected"));
    }
    // The guard goes on: it sees a new address, and denies at it.
    server.namespace.ip("address add 10.0.0.77/24 dev eth0");
    watch.wait_for_line("10.0.0.77");
    let target = std::net::SocketAddr::new("10.0.0.77".parse().expect("an address"), INSIDE);
    let before = stats().of(Counter::DeniedPassive);
    assert_eq!(probe::to(client, target), Outcome::Silence);
    assert!(stats().of(Counter::DeniedPassive) > before);

    // It reads again: what was kept comes, and how many were not.
    let told = journal.next_of("events_lost");
    assert_ne!(of(&told, "COUNT").parse::<u64>().expect("a number"), 0, "{told:?}");
    assert_eq!(told["PRIORITY"], "4");
    watch.leave();
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn events_that_another_reads_come_to_the_journal_too_and_without_a_journal_nothing_is_attached() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let journal = Journal::instead_of_the_systems(&pins);
    ftptrack::succeed(server, &pins, &[&["attach"], &USUAL[..]].concat());
    assert_eq!(probe::to(client, server.at(Family::V4, INSIDE)), Outcome::Silence);
    let mut command = ftptrack::command(server, &pins);
    command.args(["events", "--follow"]);
    let mut follow = Ftptrack::started(server, &pins, command, "nobody negotiated it");
    let watch = Ftptrack::watch(server, &pins, &["--journal"]);
    // The one has them to itself until it gives way.
    wait::until("watch reads the events", || {
        assert_eq!(probe::to(client, server.at(Family::V4, INSIDE + 1)), Outcome::Silence);
        let kept = ftptrack::finish(server, &pins, &["events"]);
        kept.stdout.contains("nobody negotiated it").then_some(())
    });
    assert_eq!(probe::to(client, server.at(Family::V4, INSIDE + 2)), Outcome::Silence);
    while !journal.next_of("denied")["MESSAGE"].contains(&format!(":{}:", INSIDE + 2)) {}
    follow.wait_for_line(&format!(":{}: nobody negotiated it", INSIDE + 2));
    follow.kill();
    watch.leave();
    ftptrack::succeed(server, &pins, &["detach", "--all"]);

    drop(journal);
    let refused = ftptrack::finish(server, &pins, &[&["watch"], &USUAL[..], &["--journal"]].concat());
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stderr.starts_with("ftptrack: --journal: "), "{refused:?}");
    assert_eq!(pins.entries(), [""; 0]);
}
