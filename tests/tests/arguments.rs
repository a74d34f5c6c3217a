//! What can't be done is said in one line, with what to do, and nothing stays half done.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe;
use ftptrack_tests::hosts::network::{Family, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::support::process::{self, Output};

/// The command has failed as it should: one line that says all of `words`, and nothing attached.
#[track_caller]
fn failed_cleanly(output: &Output, code: i32, words: &[&str], network: &Network, pins: &PinDirectory, before: &str) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let lines: Vec<_> = output.stderr.lines().collect();
    let [line] = lines[..] else { panic!("{} lines: {output:?}", lines.len()) };
    assert!(line.starts_with("ftptrack: "), "{line}");
    for word in words {
        assert!(line.contains(word), "no {word:?} in {line}");
    }
    assert_eq!(output.stdout, "");
    assert_eq!(hooks::attached(&network.server), []);
    assert_eq!(hooks::disciplines(&network.server), before);
    assert_eq!(pins.entries(), [""; 0]);
}

#[test]
fn bad_arguments_are_refused_in_one_line_that_says_what_to_do() {
    let network = Network::new();
    let server = &network.server;
    let pins = PinDirectory::new();
    let disciplines = hooks::disciplines(server);
    // Usage and policy: 2. What the machine has not got: 1.
    for (interface, range, code, words) in [
        (INTERFACE, "20480-10240", 2, &["20480-10240", "vsftpd.conf", "10240"][..]),
        (INTERFACE, "20480:10240", 2, &["20480:10240", "vsftpd.conf"]),
        (INTERFACE, "1000-2000", 2, &["1000", "1024"]),
        (INTERFACE, "0-2000", 2, &["0-2000"]),
        (INTERFACE, "10240", 2, &["10240"]),
        (INTERFACE, "10240-70000", 2, &["70000"]),
        (INTERFACE, "a-b", 2, &["a-b"]),
        ("nosuch0", "10240-20480", 1, &["nosuch0"]),
    ] {
        for hook in hooks::known() {
            let options = ["run", "-i", interface, "--passive-range", range, "--hook", hook];
            let output = ftptrack::finish(server, &pins, &options);
            failed_cleanly(&output, code, words, &network, &pins, &disciplines);
        }
    }
    // One good interface does not make up for a bad one, in either order.
    for interfaces in [["eth0", "nosuch0"], ["nosuch0", "eth0"]] {
        let [first, second] = interfaces;
        let options = ["run", "-i", first, "-i", second, "--passive-range", "10240-20480"];
        let output = ftptrack::finish(server, &pins, &options);
        failed_cleanly(&output, 1, &["nosuch0"], &network, &pins, &disciplines);
    }
    // With a good one it does attach; and a colon is as good as a dash.
    for range in ["10240-20480", "10240:20480"] {
        let ftptrack = Ftptrack::run(server, &pins, &["-i", INTERFACE, "--passive-range", range]);
        assert_eq!(ftptrack.status().policy.only().passive_range.as_deref(), Some("10240-20480"));
        assert_eq!(hooks::attached(server).len(), 2);
        ftptrack.stop();
    }
}

#[test]
fn listeners_inside_the_range_are_listed_and_can_be_overruled() {
    let network = Network::new();
    let server = &network.server;
    let pins = PinDirectory::new();
    let disciplines = hooks::disciplines(server);
    let usual = [&["run"], &USUAL[..]].concat();
    let listeners = [(Family::V4, INSIDE), (Family::V6, INSIDE + 1)]
        .map(|(family, port)| probe::listen(server, server.at(family, port)));
    let output = ftptrack::finish(server, &pins, &usual);
    let words = ["15000", "15001", "--force"];
    failed_cleanly(&output, 1, &words, &network, &pins, &disciplines);

    let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--force"]].concat());
    ftptrack.stop();
    drop(listeners);
    let ftptrack = Ftptrack::guarding(server, &pins);
    ftptrack.stop();
}

#[test]
fn a_missing_capability_is_named() {
    let network = Network::new();
    let server = &network.server;
    let pins = PinDirectory::new();
    let disciplines = hooks::disciplines(server);
    let run_without = |capabilities: &str| {
        let mut command = server.namespace.command("setpriv");
        command.arg("--bounding-set").arg(capabilities).arg("--inh-caps").arg(capabilities);
        command.arg(ftptrack::binary()).arg("--pin-dir").arg(pins.path()).arg("run").args(USUAL);
        process::finish(&mut command)
    };
    for (without, word) in [("-all", "CAP_"), ("-net_admin", "CAP_NET_ADMIN"), ("-bpf,-sys_admin", "CAP_BPF")] {
        failed_cleanly(&run_without(without), 1, &[word], &network, &pins, &disciplines);
    }
    let ftptrack = Ftptrack::guarding(server, &pins);
    ftptrack.stop();
}
