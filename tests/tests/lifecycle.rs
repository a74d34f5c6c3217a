//! From attach to detach: what it shows meanwhile, and what stays when.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{Server, Session, exchange, negotiated};
use ftptrack_tests::hosts::network::{Family, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::guarded::{Guarded, Testbed};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::report::{Sides, Stats};
use ftptrack_tests::support::{process, wait};
use rustix::process::Signal;
use std::io::{ErrorKind, Read as _, Write as _};

#[test]
fn stopped_by_a_signal_it_leaves_nothing_behind() {
    let Network { server, client, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let unexpected = || {
        let _listener = probe::listen(server, target);
        probe::to(client, target)
    };
    let disciplines = hooks::disciplines(server);
    for hook in hooks::known() {
        for signal in [Signal::TERM, Signal::INT] {
            assert_eq!(unexpected(), Outcome::Opened, "nothing is attached");
            let pins = PinDirectory::new();
            let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--hook", hook]].concat());
            assert_eq!(ftptrack.status().interfaces[0].hook, hook);
            assert_eq!(unexpected(), Outcome::Silence);
            assert_eq!(ftptrack.stats().denied(), 1);
            let programs = hooks::attached(server);
            assert_eq!(programs.len(), 2, "{programs:?}");
            assert!(!pins.entries().is_empty());

            ftptrack.stop_by(signal);
            assert_eq!(hooks::attached(server), []);
            assert_eq!(hooks::disciplines(server), disciplines);
            hooks::wait_until_gone(&programs);
        }
    }
    assert_eq!(unexpected(), Outcome::Opened);
}

#[test]
fn a_clsact_that_was_there_before_stays_with_its_filters() {
    let Network { server, .. } = &Network::new();
    let tc = |arguments: &str| {
        let mut command = server.namespace.command("tc");
        // The last argument may have spaces in it.
        let output = process::finish(command.args(arguments.splitn(8, ' ')));
        assert!(output.status.success(), "tc {arguments}: {}", output.stderr);
        output.stdout
    };
    tc("qdisc add dev eth0 clsact");
    // A classic BPF program that matches nothing.
    tc("filter add dev eth0 ingress bpf bytecode 1,6 0 0 0,");
    let state = || (hooks::disciplines(server), tc("filter show dev eth0 ingress"));
    let before = state();
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--hook", hook]].concat());
        assert_eq!(hooks::attached(server).len(), 2);
        ftptrack.stop();
        assert_eq!(state(), before, "{hook}");
    }
}

#[test]
fn it_answers_from_another_terminal_while_it_runs() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, pins, .. } = &testbed;
    let Guarded { mut ftptrack, mut control, mut session, .. } = testbed.guarded();
    let target = server.at(Family::V4, INSIDE);
    let listener = probe::listen(server, target);

    let status = ftptrack.status();
    let [interface] = &status.interfaces[..] else { panic!("{status:?}") };
    assert_eq!((interface.name.as_str(), interface.attached), (INTERFACE, true));
    assert_eq!((interface.hook.as_str(), interface.side.as_str()), (hooks::known()[0], "servers-behind"));
    let policy = status.policy.only();
    assert_eq!(policy.control_ports, [21]);
    assert_eq!(policy.passive_range.as_deref(), Some("10240-20480"));
    assert_eq!((policy.active_port.clone(), policy.mode.as_str()), (Some(20.into()), "enforce"));
    for family in Family::BOTH {
        let own = server.address(family).to_string();
        assert!(policy.addresses.iter().any(|address| address.starts_with(&own)), "{policy:?}");
    }
    assert_eq!((status.sessions, status.expectations, status.flows), (1, 0, 0));
    let sessions = ftptrack.sessions();
    assert_eq!(sessions[0].client, control.address().to_string());
    assert_eq!((sessions[0].server.as_str(), sessions[0].state.as_str()), ("10.0.0.1:21", "in sync"));

    negotiated((&mut control, &mut session), target);
    let expectations = ftptrack.expectations();
    let [expected] = &expectations[..] else { panic!("{expectations:?}") };
    assert_eq!(expected.client.as_deref(), Some("10.0.0.2"));
    assert_eq!((expected.server.as_str(), expected.port, expected.mode.as_str()), ("10.0.0.1", INSIDE, "passive"));
    assert!(expected.expires_in_seconds > 200.0 && expected.expires_in_seconds <= 300.0, "{expected:?}");

    let mut ours = probe::connect(client, target).expect("the server said so");
    let (mut theirs, _) = listener.accept().expect("it connected");
    ours.write_all(&[1; 1000]).expect("it is open");
    theirs.read_exact(&mut [0; 1000]).expect("it is open");
    theirs.write_all(&[2; 30]).expect("it is open");
    ours.read_exact(&mut [0; 30]).expect("it is open");
    let flows = ftptrack.flows();
    let [flow] = &flows[..] else { panic!("{flows:?}") };
    assert_eq!(flow.client, ours.local_addr().expect("a connection").to_string());
    assert_eq!((flow.server.as_str(), flow.mode.as_str()), ("10.0.0.1:15000", "passive"));
    assert_eq!(flow.state, "established");
    // The server's are counted each 64 KiB, and at the end.
    assert!([Sides { client: 1000, server: 0 }, Sides { client: 1000, server: 30 }].contains(&flow.bytes), "{flow:?}");
    assert_eq!(flow.control, format!("{}-10.0.0.1:21", control.address()));
    assert_eq!(ftptrack.expectations().len(), 0, "used up");

    // And it has shown all that as it happened, with both ends.
    let port = ours.local_addr().expect("a connection").port();
    let begun = ftptrack.wait_for_line(&format!("10.0.0.2:{port}"));
    assert!(begun.contains("10.0.0.1:15000"), "{begun}");
    // People get tables of the same.
    for what in ["status", "stats", "sessions", "expectations", "flows"] {
        let output = ftptrack::finish(server, pins, &[what]);
        assert!(output.status.success(), "{what}: {}", output.stderr);
    }
    let table = ftptrack::finish(server, pins, &["flows"]).stdout;
    assert!(table.contains("10.0.0.1:15000") && table.contains(&flow.client), "{table}");

    drop((ours, theirs));
    let ended = ftptrack.wait_for_line(": 1000 bytes from the client, 30 from the server");
    assert!(ended.contains(&flow.client), "{ended}");
    assert_eq!(ftptrack.flows().len(), 0);
    ftptrack.stop();
}

#[test]
fn what_was_open_before_goes_on_and_a_session_opens_nothing_until_it_is_understood() {
    let testbed = Testbed::new();
    let Testbed { network: Network { server, client, .. }, ftp, .. } = &testbed;
    let target = |n| server.at(Family::V4, INSIDE + n);
    let (mut control, mut session) = ftp.session_with(client);
    let passive = |control: &mut Client, session: &mut Session, n| {
        let _listener = probe::listen(server, target(n));
        probe::connect(client, negotiated((control, session), target(n)))
    };
    let listener = probe::listen(server, target(0));
    let mut ours = probe::connect(client, target(0)).expect("nothing is attached");
    let (mut theirs, _) = listener.accept().expect("it connected");
    drop(listener);
    assert!(passive(&mut control, &mut session, 1).is_ok(), "nothing is attached");

    let ftptrack = testbed.ftptrack();
    for bytes in [b"one".as_slice(), b"another"] {
        ours.write_all(bytes).expect("it is open");
        theirs.read_exact(&mut vec![0; bytes.len()]).expect("it is open");
        theirs.write_all(bytes).expect("it is open");
        ours.read_exact(&mut vec![0; bytes.len()]).expect("it is open");
    }
    // What it was asked before, nobody has seen: this may be another command's answer.
    let refused = passive(&mut control, &mut session, 2).expect_err("the session was picked up midstream");
    assert_eq!(refused.kind(), ErrorKind::TimedOut);
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::SessionsMidstream), stats.of(Counter::SessionsStarted)), (1, 0));
    assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::DeniedPassive)), (0, 1));

    for _ in 0..2 {
        exchange((&mut control, &mut session), "NOOP", "200 ok");
    }
    wait::until("the session is understood", || (ftptrack.sessions()[0].state == "in sync").then_some(()));
    passive(&mut control, &mut session, 3).expect("the server said so");
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::Resyncs), stats.of(Counter::FlowsEstablished)), (1, 1));
    ftptrack.stop();
}

#[test]
fn killed_it_keeps_denying_and_learning_and_a_transfer_goes_on() {
    let Network { server, client, third, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let target = |n| server.at(Family::V4, INSIDE + n);
    let unexpected = || {
        let _listener = probe::listen(server, target(9));
        probe::to(third, target(9))
    };
    assert_eq!(unexpected(), Outcome::Opened, "nothing is attached");
    let disciplines = hooks::disciplines(server);
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--hook", hook]].concat());
        let (mut control, mut session) = ftp.session_with(client);
        let mut open = |n| {
            let listener = probe::listen(server, target(n));
            let ours = probe::connect(client, negotiated((&mut control, &mut session), target(n)))
                .expect("the server said so");
            (ours, listener.accept().expect("it connected").0)
        };
        let (mut ours, mut theirs) = open(0);
        ours.write_all(b"before").expect("it is open");

        ftptrack.kill();
        ours.write_all(b" and after").expect("it is open");
        drop(ours);
        let mut arrived = String::new();
        theirs.read_to_string(&mut arrived).expect("it is open");
        assert_eq!(arrived, "before and after");
        assert_eq!(unexpected(), Outcome::Silence);
        open(1);
        let stats: Stats = ftptrack::query(server, &pins, "stats");
        assert_eq!((stats.of(Counter::FlowsEstablished), stats.of(Counter::DeniedPassive)), (2, 1));

        // A new one does not mix with what it finds: it says how to remove it.
        let programs = hooks::attached(server);
        let again = ftptrack::finish(server, &pins, &[&["run"], &USUAL[..]].concat());
        assert_eq!(again.status.code(), Some(1), "{again:?}");
        assert!(again.stderr.contains("detach --all"), "{again:?}");
        assert_eq!(hooks::attached(server), programs);
        let detached = ftptrack::finish(server, &pins, &["detach", "--all"]);
        assert!(detached.status.success(), "{detached:?}");
        assert_eq!((hooks::attached(server), hooks::disciplines(server)), (vec![], disciplines.clone()));
        assert_eq!(pins.entries(), [""; 0]);
        hooks::wait_until_gone(&programs);
        assert_eq!(unexpected(), Outcome::Opened);
    }
}

#[test]
fn a_second_run_is_refused_and_the_first_goes_on() {
    let Network { server, client, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let unexpected = || {
        let _listener = probe::listen(server, target);
        probe::to(client, target)
    };
    assert_eq!(unexpected(), Outcome::Opened, "nothing is attached");
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let programs = hooks::attached(server);
    let second = ftptrack::finish(server, &pins, &[&["run"], &USUAL[..]].concat());
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert_eq!(second.stderr.lines().count(), 1, "{second:?}");
    assert!(second.stderr.starts_with("ftptrack: "), "{second:?}");
    assert_eq!(hooks::attached(server), programs);
    assert_eq!(unexpected(), Outcome::Silence);
    assert_eq!(ftptrack.stats().denied(), 1);
    ftptrack.stop();
}

#[test]
fn monitor_mode_counts_and_reports_and_lets_pass() {
    let Network { server, client, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let unexpected = || {
        let _listener = probe::listen(server, target);
        probe::to(client, target)
    };
    let pins = PinDirectory::new();
    let mut ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--monitor"]].concat());
    assert_eq!(ftptrack.status().policy.only().mode, "monitor");
    assert_eq!(unexpected(), Outcome::Opened);
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::MonitorPassed), 1, "{stats:?}");
    ftptrack.wait_for_line("10.0.0.1:15000");
    ftptrack.stop();

    // Without the option the same is denied.
    let ftptrack = Ftptrack::guarding(server, &pins);
    assert_eq!(unexpected(), Outcome::Silence);
    assert_eq!(ftptrack.stats().denied(), 1);
    ftptrack.stop();
}
