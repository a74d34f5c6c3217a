//! Interfaces that go, come, are renamed and get addresses: `watch` sees to it, and `status` tells without it.

use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::hosts::network::{Host, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::report::Status;
use ftptrack_tests::support::{process, wait};
use std::net::SocketAddr;

/// The second interface of the server, which comes and goes; the client's end has the same name.
const SECOND: &str = "eth1";

/// A cable of its own between server and client, with 10.1.0.1 and 10.1.0.2.
fn plug(server: &Host, client: &Host) {
    let peer = client.namespace.path();
    server.namespace.ip(&format!("link add name {SECOND} type veth peer name {SECOND} netns {peer}"));
    for (host, address) in [(server, "10.1.0.1/24"), (client, "10.1.0.2/24")] {
        host.namespace.ip(&format!("address add {address} dev {SECOND}"));
        host.namespace.ip(&format!("link set {SECOND} up"));
    }
    // The kernel takes up to a second until packets pass. Nobody listens on the discard port, and nobody guards it.
    let discard = SocketAddr::new([10, 1, 0, 1].into(), 9);
    wait::until("the cable carries", || (probe::to(client, discard) == Outcome::Refused).then_some(()));
}

fn unexpected(client: &Host, server: &Host, address: &str) -> Outcome {
    let target = SocketAddr::new(address.parse().expect("an address"), INSIDE);
    let _listener = probe::listen(server, target);
    probe::to(client, target)
}

/// Exit code of `status`, and what it says on standard error.
fn status(server: &Host, pins: &PinDirectory) -> (Option<i32>, String) {
    let output = ftptrack::finish(server, pins, &["status", "--json"]);
    let status: Status = serde_json::from_str(&output.stdout).expect("it answers all the same");
    let whole = status.interfaces.iter().all(|each| each.attached);
    assert!(whole || output.status.code() == Some(3), "{output:?}");
    (output.status.code(), output.stderr)
}

fn whole(server: &Host, pins: &PinDirectory) {
    wait::until("all is guarded", || (status(server, pins) == (Some(0), String::new())).then_some(()));
}

fn attach(hook: &str) -> Vec<&str> {
    [&USUAL[..], &["-i", SECOND, "--hook", hook]].concat()
}

#[test]
fn without_watch_status_says_what_is_bare_and_attach_mends_it() {
    let Network { server, client, .. } = &Network::new();
    for hook in hooks::known() {
        plug(server, client);
        let pins = PinDirectory::new();
        ftptrack::succeed(server, &pins, &[&["attach"], &attach(hook)[..]].concat());
        assert_eq!(status(server, &pins), (Some(0), String::new()));
        let bare = |text: &str| {
            let (code, said) = status(server, &pins);
            assert_eq!((code, said.lines().count()), (Some(3), 1), "{said}");
            assert!(said.starts_with(text), "{said}");
        };
        server.namespace.ip("address add 10.1.0.5/24 dev eth1");
        bare("ftptrack: 10.1.0.5: the active policy does not know this address of the host yet: ");
        assert_eq!(unexpected(client, server, "10.1.0.5"), Outcome::Silence, "shut before it is known");
        ftptrack::succeed(server, &pins, &["attach"]);
        assert_eq!(status(server, &pins), (Some(0), String::new()));
        assert_eq!(unexpected(client, server, "10.1.0.5"), Outcome::Silence);

        server.namespace.ip("link delete eth1");
        bare("ftptrack: eth1: there is no such interface");
        plug(server, client);
        bare("ftptrack: eth1: it is unprotected: ");
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Opened);
        ftptrack::succeed(server, &pins, &["attach"]);
        assert_eq!(status(server, &pins), (Some(0), String::new()));
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Silence);
        ftptrack::succeed(server, &pins, &["detach", "--all"]);
        assert_eq!(pins.entries(), [""; 0]);
        server.namespace.ip("link delete eth1");
    }
}

#[test]
fn watch_follows_interfaces_that_go_come_and_change() {
    let Network { server, client, .. } = &Network::new();
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        // The second interface isn't there yet.
        let mut watch = Ftptrack::watch(server, &pins, &attach(hook));
        watch.wait_for_line("note: eth1 is not there yet");
        let (code, said) = status(server, &pins);
        assert_eq!(code, Some(3), "{said}");
        plug(server, client);
        whole(server, &pins);
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Silence, "{hook}: it came");

        server.namespace.ip("link delete eth1");
        watch.wait_for_line("gone      eth1");
        plug(server, client);
        whole(server, &pins);
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Silence, "{hook}: it came again");

        server.namespace.ip("address add 10.1.0.5/24 dev eth1");
        whole(server, &pins);
        assert_eq!(unexpected(client, server, "10.1.0.5"), Outcome::Silence, "{hook}: an address came");

        // Renamed, it is guarded on; what comes under its old name is, too.
        server.namespace.ip("link set eth1 down");
        server.namespace.ip("link set eth1 name wan0");
        server.namespace.ip("link set wan0 up");
        client.namespace.ip("link set eth1 name eth2");
        whole(server, &pins);
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Silence, "{hook}: renamed");
        let peer = client.namespace.path();
        server.namespace.ip(&format!("link add name eth1 type veth peer name eth1 netns {peer}"));
        wait::until("all three are guarded", || {
            let now: Status = ftptrack::query_any(server, &pins, "status");
            (now.interfaces.len() == 3 && now.interfaces.iter().all(|each| each.attached)).then_some(())
        });
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Silence, "{hook}: renamed, and its name is taken");

        // Somebody takes the filter away.
        let output = process::finish(server.namespace.command("tc").args(["qdisc", "del", "dev", "wan0", "clsact"]));
        assert_eq!(output.status.success(), hook == "clsact", "{output:?}");
        whole(server, &pins);
        assert_eq!(unexpected(client, server, "10.1.0.1"), Outcome::Silence, "{hook}: taken away");

        // Killed or stopped, it leaves all as it is.
        let programs = hooks::attached(server);
        watch.kill();
        assert_eq!(hooks::attached(server), programs);
        let watch = Ftptrack::watch(server, &pins, &[]);
        let second = ftptrack::finish(server, &pins, &["watch"]);
        assert_eq!(second.status.code(), Some(1), "{second:?}");
        assert!(second.stderr.contains("another ftptrack watch runs"), "{second:?}");
        watch.leave();
        assert_eq!(status(server, &pins), (Some(0), String::new()));
        let mut watch = Ftptrack::watch(server, &pins, &[]);
        ftptrack::succeed(server, &pins, &["detach", "--all"]);
        server.namespace.ip("link delete wan0");
        server.namespace.ip("link delete eth1");
        watch.ends_by_itself();
        assert_eq!((hooks::attached(server), pins.entries()), (vec![], vec![]));
    }
}
