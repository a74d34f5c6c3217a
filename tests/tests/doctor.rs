//! `ftptrack doctor`: it finds what is wrong with the machine, and what it names mends it.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe;
use ftptrack_tests::hosts::network::{Family, Host, Network, bridge};
use ftptrack_tests::subject::doctor::Doctor;
use ftptrack_tests::subject::ftptrack::{self, PinDirectory};
use ftptrack_tests::subject::hooks::{Foreign, known};
use ftptrack_tests::support::{file, process};
use std::fs;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const USUAL: &str = "-i eth0 --passive-range 10240-20480";

fn attach(host: &Host, pins: &PinDirectory, options: &[&str]) {
    ftptrack::succeed(host, pins, &[&["attach"], options].concat());
}

/// A vsftpd.conf that fits [`USUAL`], and the option that names it: the machine's own may be anything.
fn good_config() -> (TempDir, String) {
    let directory = file::directory();
    let path = directory.path().join("vsftpd.conf");
    let text = "listen=YES\nconnect_from_port_20=YES\npasv_min_port=10240\npasv_max_port=20480\n";
    fs::write(&path, text).expect("there is room");
    (directory, format!("--ftp-config vsftpd={}", path.display()))
}

#[test]
fn a_machine_that_can_do_it_is_told_so() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let (_directory, config) = good_config();
    let doctor = Doctor::new(server, &pins, format!("{USUAL} {config}"));
    let (all, code) = doctor.examine();
    for check in ["capabilities", "kernel", "jit", "listeners"] {
        let found: Vec<_> = all.iter().filter(|finding| finding.check == check).collect();
        assert!(!found.is_empty() && found.iter().all(|finding| finding.level == "ok"), "{found:#?}");
    }
    assert_ne!(doctor.of("bpffs")[0].level, "error");
    assert_eq!(code, Some(0), "{all:#?}");
    doctor.mends("note", "eth0 is not guarded");
    assert_eq!(doctor.finding("eth0 is guarded").expect("it is").level, "ok");

    let table = ftptrack::succeed(server, &pins, &[&["doctor"], &config.split(' ').collect::<Vec<_>>()[..]].concat());
    assert!(table.lines().any(|line| line.starts_with("ok           interface     eth0 is guarded")), "{table}");
    assert!(table.lines().last().expect("a sum").starts_with("error: 0, warning: 0, note: "), "{table}");
    assert!(ftptrack::finish(server, &pins, &["detach", "--all"]).status.success());
}

#[test]
fn what_cannot_be_found_out_is_not_fine() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let mut bare = server.namespace.command("setpriv");
    bare.args(["--bounding-set", "-all"]).arg(ftptrack::binary());
    bare.arg("--pin-dir").arg(pins.path()).args(["doctor", "--json"]).args(USUAL.split(' '));
    let output = process::finish(&mut bare);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let all: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let level = |check: &str| {
        let of_check = all.as_array().expect("a list").iter().find(|finding| finding["check"] == check);
        of_check.unwrap_or_else(|| panic!("no {check} in {all:#}"))["level"].as_str().expect("a word").to_owned()
    };
    assert_eq!(level("capabilities"), "error");
    for check in ["kernel", "jit", "firewall", "helper"] {
        assert_eq!(level(check), "not_checked", "{check}: {all:#}");
    }
    // Nothing is known of the policy and the interface.
    let nothing = Doctor::new(server, &pins, "");
    for check in ["interface", "policy", "listeners"] {
        assert_eq!(nothing.of(check)[0].level, "not_checked");
    }
    let wrong = ftptrack::finish(server, &pins, &["doctor", "--passive-range", "20480-10240"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}

#[test]
fn a_directory_that_cannot_hold_pins_is_an_error() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let directory = file::directory();
    let doctor = || {
        let mut command = server.namespace.command(ftptrack::binary().to_str().expect("UTF-8"));
        command.arg("--pin-dir").arg(directory.path().join("pins")).args(["doctor", "--json"]);
        let output = process::finish(&mut command);
        let all: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
        all.as_array()
            .expect("a list")
            .iter()
            .find(|finding| finding["check"] == "bpffs")
            .expect("it is checked")
            .clone()
    };
    let before = doctor();
    assert_eq!(before["level"], "error", "{before}");
    Doctor::new(server, &pins, "").run(before["fix"].as_str().expect("it can be mended"));
    assert_ne!(doctor()["level"], "error");
}

#[test]
fn programs_in_front_are_found_and_ftptrack_goes_before_them() {
    let Network { server, .. } = &Network::new();
    for hook in known() {
        let pins = PinDirectory::new();
        attach(server, &pins, &["-i", "eth0", "--passive-range", "10240-20480", "--hook", hook]);
        let doctor = Doctor::new(server, &pins, "");
        assert_eq!(doctor.finding("before ftptrack").map(|found| found.what), None);
        if known().contains(&"tcx") {
            let foreign = Foreign::at(server);
            let before: Vec<_> =
                doctor.of("interface").into_iter().filter(|found| found.what.contains("before ftptrack")).collect();
            assert_eq!(before.len(), 2, "{before:#?}");
            for id in foreign.ids() {
                let named =
                    |found: &ftptrack_tests::subject::doctor::Finding| found.what.contains(&format!("program {id} "));
                assert!(before.iter().any(named), "{id}: {before:#?}");
            }
            if hook == "tcx" {
                doctor.mends("warning", "before ftptrack");
            }
        }
        assert!(ftptrack::finish(server, &pins, &["detach", "--all"]).status.success());
    }
}

#[test]
fn an_interface_that_lost_its_filter_is_an_error() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    attach(server, &pins, &["-i", "eth0", "--passive-range", "10240-20480", "--hook", "clsact"]);
    let doctor = Doctor::new(server, &pins, "");
    doctor.run("tc qdisc del dev eth0 clsact");
    assert_eq!(doctor.examine().1, Some(1));
    doctor.mends("error", "eth0 should be guarded, and is unprotected");
    assert!(ftptrack::finish(server, &pins, &["detach", "--all"]).status.success());
    doctor.run("tc qdisc add dev eth0 clsact && tc filter add dev eth0 ingress prio 1 protocol all u32 match u32 0 0");
    Doctor::new(server, &pins, format!("{USUAL} --hook clsact")).mends("error", "a filter of another kind");
}

#[test]
fn another_program_in_the_range_is_an_error() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    let listener = probe::listen(server, server.at(Family::V4, INSIDE));
    // Another process has it, which may be ended.
    let held = Stdio::from(OwnedFd::from(listener));
    let mut sleeper = process::start(Command::new("sleep").arg("60").stdin(held));
    let found = doctor.mends("error", "another program listens in the passive range");
    assert!(found.what.contains(&format!("{INSIDE} (sleep/{})", sleeper.id())), "{}", found.what);
    assert!(!sleeper.wait().expect("our child").success());
}

#[test]
fn ports_of_the_hosts_own_connections_are_kept_apart() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, USUAL);
    doctor.run("sysctl -qw net.ipv4.ip_local_port_range='20000 60000' net.ipv4.ip_local_reserved_ports=3000");
    doctor.mends("warning", "gives ports of 20000-20480 to this host's own connections");
    let reserved = process::finish(server.namespace.command("sysctl").args(["-n", "net.ipv4.ip_local_reserved_ports"]));
    assert_eq!(reserved.stdout.trim(), "3000,20000-20480");
}

#[test]
fn an_interface_that_is_not_there_is_answered_with_those_there_are() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let doctor = Doctor::new(server, &pins, "-i eth7 --passive-range 10240-20480");
    let found = doctor.finding("there is no interface eth7; choose one of ").expect("it is found");
    let named: Vec<_> = found.what.rsplit_once("one of ").expect("it is there").1.split(", ").collect();
    assert!(named.contains(&"lo") && named.contains(&"eth0"), "{}", found.what);
    assert_eq!((found.level.as_str(), found.fix), ("error", None));
}

/// A rule for the range by any interface, behind a policy that drops.
const BY_ANY: &str = "nft 'table inet filter { chain input { type filter hook input priority 0; policy drop;
    tcp dport 21 accept; ct state established,related accept; tcp dport 10240-20480 accept; }; }'";

#[test]
fn the_range_is_open_by_an_interface_that_nobody_guards() {
    let Network { server, .. } = &Network::new();
    let other = bridge();
    server.plug("eth1", &other, 1500, &[("10.9.0.1".parse().expect("an address"), 24)]);
    let pins = PinDirectory::new();
    let (_directory, config) = good_config();
    let doctor = Doctor::new(server, &pins, format!("{USUAL} {config}"));
    doctor.run(BY_ANY);
    assert_eq!(doctor.examine().1, Some(4), "a warning: {:#?}", doctor.of("firewall"));
    let open = "lets anybody in to port 10240-20480 by eth0";
    doctor.mends("warning", open);
    let found = doctor.mends("warning", "lets anybody in to port 10240-20480 by eth1");
    let (why, mend) = (found.why.expect("it is said"), found.fix.expect("it was run"));
    assert!(mend.contains("iifname '\"eth0\"' tcp dport 10240-20480 accept"), "{mend}");
    assert!(why.contains("attach -i eth0 -i eth1 "), "{why}");
    assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));

    // A rule that lets in more has to stay.
    let all =
        "nft flush ruleset; nft 'table inet filter { chain input { type filter hook input priority 0; policy drop;
        tcp dport { 21, 10240-20480 } accept; }; }'";
    doctor.run(all);
    doctor.mends("warning", "lets anybody in to port 10240-20480 by eth1");
    assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));
    doctor.run(&format!("nft flush ruleset; {}", "iptables-nft -P INPUT DROP; ip6tables-nft -P INPUT DROP"));
    doctor.run("iptables-nft -A INPUT -p tcp -j ACCEPT; ip6tables-nft -A INPUT -i eth0 -j ACCEPT");
    doctor.mends("warning", "lets anybody in to port 10240-20480 by eth1");
    assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));

    // Nobody comes by one that is down, or has no address of which others know.
    doctor.run("nft flush ruleset; iptables-nft -P INPUT ACCEPT; ip6tables-nft -P INPUT ACCEPT");
    doctor.run(BY_ANY);
    assert!(doctor.finding("by eth1").is_some());
    doctor.run("ip link set eth1 down");
    assert_eq!(doctor.finding("eth1").map(|found| found.what), None);
    doctor.run("ip link set eth1 up; ip address flush dev eth1 scope global");
    assert_eq!(doctor.finding("eth1").map(|found| found.what), None);
    assert!(ftptrack::finish(server, &pins, &["detach", "--all"]).status.success());
}

#[test]
fn without_a_firewall_it_is_open_there_too() {
    for (address, level, code) in [("10.9.0.1", "note", Some(0)), ("198.51.100.1", "warning", Some(4))] {
        let Network { server, .. } = &Network::new();
        let other = bridge();
        server.plug("eth1", &other, 1500, &[(address.parse().expect("an address"), 24)]);
        let pins = PinDirectory::new();
        let (_directory, config) = good_config();
        let doctor = Doctor::new(server, &pins, format!("{USUAL} {config}"));
        assert_eq!(doctor.examine().1, code, "{:#?}", doctor.examine().0);
        let open = "eth1 is not guarded, and no rule shuts port 10240-20480 there";
        let found = doctor.mends(level, open);
        assert!(found.fix.expect("it was run").contains("attach -i eth0 -i eth1 --passive-range 10240-20480"));
        assert!(ftptrack::finish(server, &pins, &["detach", "-i", "eth1"]).status.success());
        assert!(doctor.finding(open).is_some());
        doctor.run("nft 'table inet a { chain b { type filter hook input priority 0; iifname eth1 tcp dport 1024-65535 drop; }; }'");
        assert_eq!(doctor.of("firewall")[0].level, "ok", "{:#?}", doctor.of("firewall"));
        assert!(ftptrack::finish(server, &pins, &["detach", "--all"]).status.success());
    }
}
