//! As a service: what the unit allows is enough and no more, the service manager is told, and the filter outlives it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::Command;

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::vsftpd::Vsftpd;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::journal::Journal;
use ftptrack_tests::subject::report::Status;
use ftptrack_tests::subject::service::{self, Manager};
use ftptrack_tests::support::{file, process};
use rustix::process::{Signal, kill_process};

/// Of `systemd-analyze security`, times ten: 0 is locked up, 100 wide open.
const EXPOSURE: &str = "20";
const METRICS: &str = "127.0.0.1:9821";
const POLICY: &str = "interfaces = [\"eth0\"]\n[[server]]\npassive-range = \"10240-20480\"\n";

/// systemd-analyze, asked about the unit as it is, but for where the program lies.
fn analyze(arguments: &[&str]) -> process::Output {
    let directory = file::directory();
    let unit = directory.path().join("ftptrack.service");
    let program = ftptrack::binary();
    let text = service::unit().replace("/usr/bin/ftptrack", program.to_str().expect("a path in UTF-8"));
    fs::write(&unit, text).expect("our own");
    process::finish(Command::new("systemd-analyze").args(arguments).arg(unit))
}

#[test]
fn systemd_understands_all_of_the_unit_and_finds_it_locked_down() {
    let verified = analyze(&["verify", "--man=no"]);
    assert!(verified.status.success() && verified.stderr.is_empty(), "{}", verified.stderr);
    let security = analyze(&["security", "--offline=true", "--no-pager", &format!("--threshold={EXPOSURE}")]);
    let score = security.stdout.lines().last().unwrap_or_default();
    println!("{score}");
    assert!(security.status.success(), "{}", security.stdout);
    assert!(score.contains("Overall exposure level for ftptrack.service: "), "{}", security.stdout);
}

#[test]
fn the_service_manager_is_told_and_the_filter_outlives_the_service() {
    let Network { server, client, .. } = &Network::new();
    let _vsftpd = Vsftpd::on(server);
    let (pins, manager, directory) = (PinDirectory::new(), Manager::new(), file::directory());
    let config = directory.path().join("config.toml");
    fs::write(&config, POLICY).expect("our own");
    let start = || {
        let mut command = service::command(server, &pins, &[]);
        command.env("NOTIFY_SOCKET", manager.path()).arg("watch").arg("--config").arg(&config);
        let started = Ftptrack::started(server, &pins, command, "watching");
        assert_eq!(manager.hears(), ["READY=1", "STATUS=guarding: eth0"]);
        started
    };
    let first = start();
    let mut control = Client::logged_in(client, server.at(Family::V4, 21));
    let port = control.extended_passive();

    // The configuration file is read again when it is told so, and one that is wrong changes nothing.
    let reload = |text: &str| {
        fs::write(&config, text).expect("our own");
        kill_process(first.pid(), Signal::HUP).expect("it is our child");
        let reloading = manager.hears();
        assert_eq!(reloading[0], "RELOADING=1");
        assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
        manager.hears()
    };
    assert_eq!(reload(&POLICY.replace("20480", "20479")), ["READY=1", "STATUS=guarding: eth0"]);
    let range = || first.policy().only().passive_range.clone();
    assert_eq!(range().as_deref(), Some("10240-20479"));
    let refused = reload("interfaces = [\"eth0\"]\n[[server]]\npassive-range = \"9\"\n");
    assert_eq!(refused[0], "READY=1");
    assert!(refused[1].starts_with("STATUS=the previous policy stays active: "), "{refused:?}");
    assert_eq!(range().as_deref(), Some("10240-20479"));
    assert_eq!(reload(POLICY)[0], "READY=1");

    // Stopped, it says so; nothing opens, and what was negotiated holds.
    let programs = hooks::attached(server);
    first.leave();
    manager.waits_for("STOPPING=1");
    assert_eq!(hooks::attached(server), programs);
    let target = SocketAddr::new(server.address(Family::V4), if port == INSIDE { INSIDE + 1 } else { INSIDE });
    assert_eq!(probe::to(client, target), Outcome::Silence);
    let data = probe::connect(client, server.at(Family::V4, port)).expect("it was negotiated before");
    drop(data);

    // Started again while the FTP server listens for a client: whose listener that is can't be seen with these
    // capabilities, and is no reason to fail.
    control.command("ABOR");
    let mut control = Client::logged_in(client, server.at(Family::V4, 21));
    let port = control.extended_passive();
    let mut second = start();
    second.wait_for_line("whose they are can't be seen without CAP_SYS_PTRACE");
    let _data = probe::connect(client, server.at(Family::V4, port)).expect("it was negotiated before");
    assert_eq!(probe::to(client, target), Outcome::Silence);
    second.leave();
    let status: Status = ftptrack::query(server, &pins, "status");
    assert!(status.interfaces.iter().all(|each| each.attached), "{status:?}");
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
}

#[test]
fn the_units_system_calls_are_enough() {
    let Network { server, client, .. } = &Network::new();
    let (pins, directory) = (PinDirectory::new(), file::directory());
    let config = directory.path().join("config.toml");
    fs::write(&config, format!("{POLICY}ftps = \"learn\"\n")).expect("our own");
    let trace = directory.path().join("trace");
    fs::create_dir(&trace).expect("our own");
    let output = trace.join("calls");
    let runner = ["strace", "-ff", "-o", output.to_str().expect("a path in UTF-8")];
    let (manager, journal) = (Manager::new(), Journal::instead_of_the_systems(&pins));
    let mut command = service::command(server, &pins, &runner);
    let started = service::settings("ExecStart").concat();
    let arguments = started.strip_prefix("/usr/bin/ftptrack ").expect("where the package puts it").split(' ');
    command.env("NOTIFY_SOCKET", manager.path()).args(arguments).args(["--metrics", METRICS, "--config"]).arg(&config);
    let mut watch = Ftptrack::started(server, &pins, command, "watching");
    assert_eq!(probe::to(client, server.at(Family::V4, INSIDE)), Outcome::Silence);
    journal.next_of("denied");
    let mut scrape = probe::connect(server, METRICS.parse().expect("an address")).expect("it listens");
    scrape.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").expect("it reads");
    let mut page = String::new();
    scrape.read_to_string(&mut page).expect("it answers");
    assert!(page.contains("\nftptrack_build_info"), "{page}");
    server.namespace.ip("address add 10.0.0.77/24 dev eth0");
    watch.wait_for_line("10.0.0.77");
    let mut command = service::command(server, &pins, &runner);
    let applied = process::finish(command.args(["policy", "apply"]).arg(&config));
    assert!(applied.status.success(), "{applied:?}");
    // Not strace itself is to end, but what it runs.
    ftptrack::succeed(server, &pins, &["detach", "--all"]);
    server.namespace.ip("address add 10.0.0.78/24 dev eth0");
    watch.ends_by_itself();

    let used: BTreeSet<_> = service::system_calls(&trace).into_iter().collect();
    assert!(used.contains("bpf") && used.contains("sendto"), "{used:?}");
    let mut allowed = BTreeSet::new();
    for setting in service::settings("SystemCallFilter") {
        let denied = setting.strip_prefix('~');
        let calls = denied.unwrap_or(&setting).split(' ').flat_map(calls_of).collect::<Vec<_>>();
        match denied {
            Some(_) => allowed.retain(|call| !calls.contains(call)),
            None => allowed.extend(calls),
        }
    }
    let missing: Vec<_> = used.difference(&allowed).collect();
    assert!(missing.is_empty(), "the unit forbids {missing:?}");
}

/// A system call, or all of one of systemd's groups.
fn calls_of(name: &str) -> Vec<String> {
    if !name.starts_with('@') {
        return vec![name.to_owned()];
    }
    let group = process::finish(Command::new("systemd-analyze").args(["syscall-filter", name]));
    assert!(group.status.success(), "{group:?}");
    let lines = group.stdout.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.filter(|line| *line != name).flat_map(calls_of).collect()
}
