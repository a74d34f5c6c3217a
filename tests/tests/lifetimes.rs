//! `attach`, `detach` and `status`: the filter stays without a process, and whatever is killed when, nothing opens.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::knock;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{self, Server};
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{self, PinDirectory, USUAL};
use ftptrack_tests::subject::hooks;
use ftptrack_tests::subject::report::{Stats, Status};
use ftptrack_tests::support::process;
use std::process::Stdio;
use std::thread;

/// What `attach` makes one after the other: it is killed when one appears.
const FROM_NOTHING: [&str; 6] = [
    "maps/CONFIG",
    "maps/FLOWS",
    "interfaces/eth0",
    "links/eth0-egress-next",
    "links/eth0-egress",
    "links/eth0-ingress",
];
/// The same where it is attached already.
const IN_PLACE: [&str; 3] = ["links/eth0-next", "links/eth0-egress-next", "links/eth0-ingress-next"];

fn attach(hook: &str) -> Vec<&str> {
    [&["attach"], &USUAL[..], &["--hook", hook]].concat()
}

fn tc(host: &Host, arguments: &str) -> String {
    let mut command = host.namespace.command("tc");
    // The last argument may have spaces in it.
    let output = process::finish(command.args(arguments.splitn(8, ' ')));
    assert!(output.status.success(), "tc {arguments}: {}", output.stderr);
    output.stdout
}

#[test]
fn it_stays_without_a_process_and_detach_takes_all_of_ours_and_nothing_else() {
    let Network { server, client, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let unexpected = || {
        let _listener = probe::listen(server, target);
        probe::to(client, target)
    };
    let foreign = hooks::Foreign::at(server);
    tc(server, "qdisc add dev eth0 clsact");
    // A classic BPF program that matches nothing.
    tc(server, "filter add dev eth0 ingress bpf bytecode 1,6 0 0 0,");
    let state = || (hooks::attached(server), hooks::disciplines(server), tc(server, "filter show dev eth0 ingress"));
    let before = state();
    assert_eq!(before.0.len(), 2, "another's");
    for hook in hooks::known() {
        for detach in [&["detach", "--all"][..], &["detach", "-i", INTERFACE]] {
            let pins = PinDirectory::new();
            assert_eq!(unexpected(), Outcome::Opened, "nothing is attached");
            let said = ftptrack::succeed(server, &pins, &attach(hook));
            assert!(
                said.starts_with(&format!("attached: eth0 ({hook}, servers-behind): servers 10.0.0.1, ")),
                "{said}"
            );
            assert_eq!(unexpected(), Outcome::Silence, "{hook}");
            let attached = hooks::attached(server);
            assert_eq!(attached.len(), 4, "{attached:?}");
            if hook == "tcx" {
                assert!(!foreign.ids().contains(&attached[0].id), "ours is the first: {attached:?}");
            }
            let status: Status = ftptrack::query(server, &pins, "status");
            assert_eq!((status.interfaces[0].state.as_str(), status.interfaces[0].hook.as_str()), ("attached", hook));

            assert_eq!(ftptrack::succeed(server, &pins, detach), "detached: eth0\n");
            assert_eq!(state(), before, "{hook} {detach:?}");
            assert_eq!(pins.entries(), [""; 0]);
            let again = ftptrack::finish(server, &pins, detach);
            assert_eq!((again.status.code(), again.stderr.lines().count()), (Some(1), 1), "{again:?}");
        }
    }
}

#[test]
fn interfaces_share_a_policy_and_a_session_may_use_several() {
    let Network { server, client, .. } = &Network::new();
    // A second cable: what the client sends takes it, what the server sends takes the first.
    server.namespace.ip(&format!("link add name eth1 type veth peer name eth1 netns {}", client.namespace.path()));
    for (host, address) in [(server, "10.1.0.1/24"), (client, "10.1.0.2/24")] {
        host.namespace.ip("link set eth1 up");
        host.namespace.ip(&format!("address add {address} dev eth1"));
        let no_filter =
            || ["all", "eth1"].map(|name| std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/rp_filter"), "0"));
        for written in host.namespace.run(no_filter) {
            written.expect("root may");
        }
    }
    client.namespace.ip("route add 10.0.0.1/32 via 10.1.0.1 dev eth1 src 10.0.0.2");
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    ftptrack::succeed(server, &pins, &attach("tcx"));
    let (mut control, mut session) = ftp.session_with(client);
    let stats: Stats = ftptrack::query(server, &pins, "stats");
    assert_eq!(stats.of(Counter::SessionsStarted), 0, "half of it passes where nothing is attached");

    // No policy is named: the one in force holds on.
    ftptrack::succeed(server, &pins, &["attach", "-i", "eth1", "--hook", "clsact"]);
    let status: Status = ftptrack::query(server, &pins, "status");
    let names: Vec<_> = status.interfaces.iter().map(|each| (each.name.as_str(), each.state.as_str())).collect();
    assert_eq!(names, [("eth0", "attached"), ("eth1", "attached")]);
    assert_eq!(status.policy.only().passive_range.as_deref(), Some("10240-20480"));
    let addresses = &status.policy.only().addresses;
    assert!(["10.0.0.1/32", "10.1.0.1/32"].iter().all(|own| addresses.iter().any(|a| a == own)), "{addresses:?}");
    drop((control, session));
    (control, session) = ftp.session_with(client);
    let opened = server::transfer(client, server, (&mut control, &mut session), INSIDE);
    assert_eq!(opened, Outcome::Opened);
    let other = server.at(Family::V4, INSIDE + 1);
    let _listener = probe::listen(server, other);
    assert_eq!(probe::to(client, other), Outcome::Silence, "by the second cable");

    // One goes, the other stays.
    assert_eq!(ftptrack::succeed(server, &pins, &["detach", "-i", "eth1"]), "detached: eth1\n");
    let status: Status = ftptrack::query(server, &pins, "status");
    assert_eq!(status.interfaces.len(), 1);
    // A packet for its address may come in by the other interface.
    assert!(status.policy.only().addresses.contains(&"10.1.0.1/32".to_owned()), "{status:?}");
    assert_eq!(hooks::attached(server).len(), 2);
    let unknown = ftptrack::finish(server, &pins, &["detach", "-i", "eth1"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(unknown.stderr.contains("-i eth1: ftptrack is not attached to it; choose of eth0"), "{unknown:?}");
}

#[test]
fn killed_at_any_moment_it_opens_nothing_and_the_next_attach_mends_all() {
    let Network { server, client, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let mut half = 0;
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        let disciplines = hooks::disciplines(server);
        let mut killed = 0;
        let mut kill_when = |pin: &str| {
            let pin = pins.path().join(format!("v{}/{pin}", ftp_common::ABI_VERSION));
            let mut command = ftptrack::command(server, &pins);
            command.args(attach(hook)).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = process::start(&mut command);
            // Some are there for a moment only. This hook may have no such pin: then it ends by itself.
            while !pin.exists() && child.try_wait().expect("it is our child").is_none() {}
            child.kill().expect("it is our child");
            killed += u32::from(!child.wait().expect("it is our child").success());
        };
        let mended = |how: &[&str]| {
            ftptrack::succeed(server, &pins, &[&attach(hook)[..], how].concat());
            let status: Status = ftptrack::query(server, &pins, "status");
            assert_eq!(status.interfaces[0].state, "attached");
            assert_eq!(hooks::attached(server).len(), 2, "no program twice");
        };
        for pin in FROM_NOTHING {
            kill_when(pin);
            half += u32::from(hooks::attached(server).len() == 1);
            mended(&[]);
            ftptrack::succeed(server, &pins, &["detach", "--all"]);
            assert_eq!((hooks::attached(server), hooks::disciplines(server)), (vec![], disciplines.clone()));
            assert_eq!(pins.entries(), [""; 0]);
        }
        mended(&[]);
        for pin in IN_PLACE {
            let (tried, accepted, ()) = knock::while_doing(client, server, target, || {
                kill_when(pin);
                mended(&["--force"]);
            });
            assert!(tried > 100 && accepted == 0, "{hook} {pin}: {accepted} of {tried}");
        }
        println!("{hook}: {killed} of {} killed before their end", FROM_NOTHING.len() + IN_PLACE.len());
        assert!(killed > 3, "{killed}");
        ftptrack::succeed(server, &pins, &["detach", "--all"]);
        assert_eq!((hooks::attached(server), hooks::disciplines(server)), (vec![], disciplines));
        assert_eq!(pins.entries(), [""; 0]);
    }
    println!("{half} left one program of two");
}

#[test]
fn knocking_notices_an_open_port() {
    let Network { server, client, .. } = &Network::new();
    let target = server.at(Family::V4, INSIDE);
    let (tried, accepted, ()) = knock::while_doing(client, server, target, || {
        thread::sleep(std::time::Duration::from_millis(50));
    });
    assert!(tried > 100 && accepted > 0, "{accepted} of {tried}");
}
