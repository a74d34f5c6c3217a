//! `ftptrack events`: what `run` and `watch` keep, for many; and what the kernel keeps where they don't run.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Stdio;

use ftp_common::counter::Counter;
use ftp_common::event::Event;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::hosts::network::{Family, Host, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL, command, finish};
use ftptrack_tests::subject::report::Stats;
use ftptrack_tests::support::{process, wait};
use serde_json::Value;

/// What the kernel keeps where nobody reads: 256 KiB, each event with a head of eight bytes.
const KEPT_BY_THE_KERNEL: usize = (256 << 10) / (size_of::<Event>() + 8);

fn lines(host: &Host, pins: &PinDirectory, arguments: &[&str]) -> Vec<String> {
    let output = finish(host, pins, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", &output.stderr);
    output.stdout.lines().map(str::to_owned).collect()
}

/// The port of each denial among lines of `events --json`.
fn denied(lines: &[String]) -> Vec<u16> {
    let events = lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let denials = events.filter(|event| event["event"] == "denied");
    denials
        .map(|event| event["server"].as_str().and_then(|end| end.rsplit(':').next()?.parse().ok()).unwrap())
        .collect()
}

/// Is denied at this port; once, as SYNs are not repeated in so short a time.
#[track_caller]
fn be_denied(Network { server, client, .. }: &Network, port: u16) {
    assert_eq!(probe::to(client, server.at(Family::V4, port)), Outcome::Silence);
}

/// `events --follow`, once it shows a line with this.
fn follow<'a>(host: &'a Host, pins: &'a PinDirectory, ready: &str) -> Ftptrack<'a> {
    let mut command = command(host, pins);
    command.args(["events", "--follow"]);
    Ftptrack::started(host, pins, command, ready)
}

fn at(port: u16) -> String {
    format!(":{port}: nobody negotiated it")
}

#[test]
fn many_read_what_run_keeps_each_from_where_it_wants() {
    let network = Network::new();
    let server = &network.server;
    let pins = PinDirectory::new();
    let mut run = Ftptrack::guarding(server, &pins);
    be_denied(&network, INSIDE);
    run.wait_for_line(&at(INSIDE));
    let mut followers = [0, 1].map(|_| follow(server, &pins, &at(INSIDE)));
    be_denied(&network, INSIDE + 1);
    for follower in &mut followers {
        follower.wait_for_line(&at(INSIDE + 1));
    }
    run.wait_for_line(&at(INSIDE + 1));

    let shown = |options: &[&str]| {
        let mut ports = denied(&lines(server, &pins, &[&["events", "--json"], options].concat()));
        ports.dedup();
        ports
    };
    assert_eq!(shown(&[]), [INSIDE, INSIDE + 1]);
    assert_eq!(shown(&[]), [INSIDE, INSIDE + 1], "they are not used up");
    assert_eq!(shown(&["-n", "1"]), [INSIDE + 1]);
    assert_eq!(shown(&["-n", "0"]), [0u16; 0]);
    assert_eq!(shown(&["--since", "1h"]), [INSIDE, INSIDE + 1]);
    assert_eq!(shown(&["--since", "0s"]), [0u16; 0]);
    let wrong = finish(server, &pins, &["events", "--since", "yesterday"]);
    assert_eq!(wrong.status.code(), Some(2), "{}", wrong.stderr);

    // When it ends, all goes, and who follows is told so.
    run.stop();
    for follower in followers {
        let is_told = || follower.lines().iter().any(|line| line.starts_with("ftptrack: "));
        wait::until("it is told", || is_told().then_some(()));
        follower.kill();
    }
}

#[test]
fn the_socket_is_roots_alone_and_goes_with_its_process() {
    let network = Network::new();
    let pins = PinDirectory::new();
    let run = Ftptrack::guarding(&network.server, &pins);
    // Of this test's own network namespace.
    let listening = format!("/proc/{}/net/unix", run.pid().as_raw_nonzero());
    let socket = wait::until("it serves", || {
        let all = fs::read_to_string(&listening).expect("it runs");
        // What listens, by its flags (`__SO_ACCEPTCON`): the other end of a connection to another's has its path, too.
        let listens = |line: &&str| line.contains(" 00010000 ") && line.contains(" /run/ftptrack/events-");
        all.lines().find(listens)?.split_whitespace().last().map(PathBuf::from)
    });
    let metadata = fs::symlink_metadata(&socket).expect("it is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata("/run/ftptrack").expect("it is there").permissions().mode() & 0o777, 0o700);
    run.stop();
    assert!(!socket.exists(), "{}", socket.display());
}

#[test]
fn who_follows_misses_nothing_when_watch_begins_ends_and_comes_again() {
    let network = Network::new();
    let server = &network.server;
    let pins = PinDirectory::new();
    ftptrack::succeed(server, &pins, &[&["attach"], &USUAL[..]].concat());
    be_denied(&network, INSIDE);
    let mut follower = follow(server, &pins, &at(INSIDE));
    let mut port = INSIDE;
    let mut next = |follower: &mut Ftptrack<'_>| {
        port += 1;
        be_denied(&network, port);
        follower.wait_for_line(&at(port));
    };
    next(&mut follower);
    // It gives way to `watch`, which would get nothing else.
    for _ in 0..2 {
        let watch = Ftptrack::watch(server, &pins, &[]);
        wait::until("watch reads the events", || {
            next(&mut follower);
            // Refused as long as who follows has them to itself.
            let kept = finish(server, &pins, &["events"]).stdout;
            kept.contains("nobody negotiated it").then_some(())
        });
        watch.leave();
        next(&mut follower);
    }
    let shown: Vec<_> = follower.lines().into_iter().filter(|line| line.contains("nobody negotiated it")).collect();
    let mut once = shown.clone();
    once.dedup();
    assert_eq!(shown, once, "none is shown twice");
    follower.kill();
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn where_nobody_reads_the_kernel_keeps_what_it_can_and_nothing_counts_as_lost() {
    let network = Network::new();
    let Network { server, client, .. } = &network;
    let pins = PinDirectory::new();
    ftptrack::succeed(server, &pins, &[&["attach"], &USUAL[..]].concat());
    let control = server.at(Family::V4, 21);
    let listener = probe::listen(server, control);
    // Each control connection leaves two events.
    let connect = |times: usize| {
        for _ in 0..times {
            drop(probe::connect(client, control).expect("nobody guards it"));
            drop(listener.accept().expect("it connected"));
        }
    };
    let lost = || ftptrack::query::<Stats>(server, &pins, "stats").of(Counter::EventsLost);
    connect(KEPT_BY_THE_KERNEL);
    assert_eq!(lost(), 0);
    let shown = finish(server, &pins, &["events"]);
    assert_eq!(shown.stdout.lines().count(), KEPT_BY_THE_KERNEL);
    assert!(shown.stderr.starts_with("note: the buffer was full: events after "), "{}", shown.stderr);
    // There is room again.
    connect(1);
    assert_eq!(lines(server, &pins, &["events"]).len(), 2);

    // One who reads and does not go on loses some, and is told how many.
    let mut slow = command(server, &pins);
    slow.args(["events", "--follow"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut slow = process::start(&mut slow);
    let mut told = BufReader::new(slow.stdout.take().expect("piped"));
    wait::until("it reads, and loses some", || {
        connect(KEPT_BY_THE_KERNEL / 2);
        (lost() > 0).then_some(())
    });
    let mut line = String::new();
    while !line.contains("events that could not be reported: ") {
        line.clear();
        assert_ne!(told.read_line(&mut line).expect("a line"), 0, "it ended by itself");
    }
    // Nobody reads any more: at the next event it ends, and that is no error. (A process that another test is just
    // starting may hold the pipe for a moment: then it is the event after that.)
    drop(told);
    let ended = wait::within(wait::patience(), || {
        connect(1);
        slow.try_wait().expect("our child")
    });
    assert!(ended.expect("it ends").success());
    // The next one is told what comes from now on.
    let next = lines(server, &pins, &["events"]);
    assert!(!next.iter().any(|line| line.contains("could not be reported")), "{next:?}");
    assert!(finish(server, &pins, &["detach", "--all"]).status.success());
}

#[test]
fn what_was_kept_by_one_that_was_killed_is_read_by_the_next() {
    let network = Network::new();
    let server = &network.server;
    let pins = PinDirectory::new();
    let run = Ftptrack::guarding(server, &pins);
    run.kill();
    be_denied(&network, INSIDE);
    let all = lines(server, &pins, &["events", "--json"]);
    let first: Value = serde_json::from_str(&all[0]).expect("JSON");
    assert_eq!((&first["event"], &first["reason"]), (&"denied".into(), &"denied_passive".into()), "{first}");
    assert_eq!(denied(&lines(server, &pins, &["events", "--json"])), [0u16; 0], "once");
    // A reader of the kernel's own buffer is alone.
    be_denied(&network, INSIDE + 1);
    let follower = follow(server, &pins, &at(INSIDE + 1));
    let refused = finish(server, &pins, &["events"]);
    assert_eq!(refused.status.code(), Some(1));
    let error = &refused.stderr;
    assert!(error.starts_with("ftptrack: events: another process shows them already; "), "{error}");
    follower.kill();
    assert!(finish(server, &pins, &["detach", "--all"]).status.success());
}
