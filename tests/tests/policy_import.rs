//! The policy made of vsftpd's own configuration, in front of the vsftpd that reads it.

use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::curl::{self, Mode};
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::CONTROL;
use ftptrack_tests::actors::vsftpd::{self, Vsftpd};
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory};
use ftptrack_tests::support::file;
use std::fs;
use std::path::{Path, PathBuf};

const LENGTH: u64 = 1 << 20;

/// The policy of a vsftpd's settings, in a file beside them, and the warnings.
#[track_caller]
fn import(host: &Host, pins: &PinDirectory, vsftpd: &Vsftpd) -> (PathBuf, String) {
    let settings = vsftpd.settings();
    let output = ftptrack::finish(host, pins, &["policy", "import", "vsftpd", settings.to_str().expect("UTF-8")]);
    assert!(output.status.success(), "{output:?}");
    let file = settings.with_extension("toml");
    fs::write(&file, output.stdout).expect("there is room");
    (file, output.stderr)
}

fn guarding<'a>(host: &'a Host, pins: &'a PinDirectory, policy: &Path) -> Ftptrack<'a> {
    Ftptrack::run(host, pins, &["-i", INTERFACE, "--config", policy.to_str().expect("UTF-8")])
}

#[test]
fn every_transfer_goes_through_under_the_imported_policy_and_nothing_else_does() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::with(server, "pasv_min_port=12000\npasv_max_port=12100\nftp_data_port=2020\n");
    let original = vsftpd.file("original");
    file::write_random(&original, LENGTH);
    let pins = PinDirectory::new();
    let (policy, warnings) = import(server, &pins, &vsftpd);
    assert_eq!(warnings, "");
    let ftptrack = guarding(server, &pins, &policy);
    let in_force = ftptrack.policy();
    assert_eq!(in_force.only().passive_range.as_deref(), Some("12000-12100"));
    assert_eq!(in_force.only().active_port, Some(2020.into()));

    let arrived = vsftpd.client_directory().join("arrived");
    for (mode, family) in [
        (Mode::Pasv, Family::V4),
        (Mode::Epsv, Family::V4),
        (Mode::Epsv, Family::V6),
        (Mode::Port, Family::V4),
        (Mode::Eprt, Family::V6),
    ] {
        curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
        assert_eq!(file::hash(&arrived), file::hash(&original), "{mode:?}");
    }
    assert_eq!((ftptrack.stats().refused(), ftptrack.stats().denied()), (0, 0));
    for port in [12_000, 12_100] {
        assert_eq!(probe::to(client, server.at(Family::V4, port)), Outcome::Silence);
    }
    // Just outside nobody guards, and nobody listens.
    assert_eq!(probe::to(client, server.at(Family::V4, 12_101)), Outcome::Refused);
    let listening = probe::listen(client, client.at(Family::V4, 9000));
    let target = listening.local_addr().expect("a listener");
    assert_eq!(probe::from_port(server, 2020, target), Outcome::Silence);
    ftptrack.stop();
}

/// The tutorials' order: the policy is for what vsftpd really does with it.
#[test]
fn of_a_reversed_range_the_policy_has_what_vsftpd_uses() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::with(server, "pasv_min_port=20480\npasv_max_port=10240\n");
    let pins = PinDirectory::new();
    let (policy, warnings) = import(server, &pins, &vsftpd);
    let reversed = warnings.lines().find(|line| line.contains("the range is reversed")).expect("it is told");
    assert!(reversed.contains("uses 20480-65535; write pasv_max_port=20480 here"), "{reversed}");
    let lines = fs::read_to_string(vsftpd.settings()).expect("our own");
    let line = 1 + lines.lines().position(|line| line == "pasv_max_port=10240").expect("it is there");
    assert!(reversed.starts_with(&format!("{}:{line}: ", vsftpd.settings().display())), "{reversed}");

    let ftptrack = guarding(server, &pins, &policy);
    assert_eq!(ftptrack.policy().only().passive_range.as_deref(), Some("20480-65535"));
    let mut control = Client::connect(client, server.at(Family::V4, CONTROL));
    for (command, code) in [("", 220), ("USER anonymous\r\n", 331), ("PASS a@b\r\n", 230)] {
        control.send(command);
        control.reply().must_be(code);
    }
    let mut lowest = u16::MAX;
    for _ in 0..50 {
        control.send("PASV\r\n");
        let target = control.reply().six_numbers();
        lowest = lowest.min(target.port());
        assert_eq!(probe::to(client, target), Outcome::Opened, "{target}");
    }
    assert!(lowest >= 20_480, "{lowest}");
    assert_eq!((ftptrack.stats().refused(), ftptrack.stats().denied()), (0, 0));
    ftptrack.stop();
}

/// What needs no vsftpd, only its file: the range that the server has none of, and the one that the
/// host uses itself.
#[test]
fn a_missing_range_and_one_of_the_hosts_own_ports_are_named() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let path = directory.path().join("vsftpd.conf");
    let import = |text: &str| {
        fs::write(&path, text).expect("there is room");
        let output = ftptrack::finish(server, &pins, &["policy", "import", "vsftpd", path.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{output:?}");
        (output.stdout, output.stderr)
    };
    let (policy, warnings) = import("listen=YES\nconnect_from_port_20=YES\n");
    assert!(warnings.contains("there is no passive range"), "{warnings}");
    assert!(!policy.contains("passive-range ="), "{policy}");

    let text = "listen=YES\nconnect_from_port_20=YES\npasv_min_port=40000\npasv_max_port=40100\n";
    let range = "/proc/sys/net/ipv4/ip_local_port_range";
    let set = |value: &str| server.namespace.run(|| fs::write(range, value)).expect("it is the namespace's own");
    set("32768 60999");
    let (policy, warnings) = import(text);
    assert!(warnings.contains(":4: the passive range 40000-40100 overlaps"), "{warnings}");
    assert!(policy.contains("passive-range = \"40000-40100\""), "{policy}");
    set("50000 60999");
    assert_eq!(import(text).1, "");
}
