//! What must be so on every kernel, with nothing that isn't part of these tests: they run on this machine,
//! and inside the other kernels of `cargo xtask test --kernels`.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::curl::Mode;
use ftptrack_tests::actors::ftp_server::FtpServer;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{ACTIVE, Server, negotiated};
use ftptrack_tests::actors::transfer;
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::report::{Stats, Status};
use ftptrack_tests::subject::{hooks, verifier};
use ftptrack_tests::support::{file, wait};

/// The verifier gives up after a million instructions. What may still be added, and what other kernels
/// may find harder, must fit into the rest.
const VERIFIED_INSTRUCTIONS: u32 = 600_000;
const LENGTH: usize = 300_000;

#[test]
fn the_verifier_has_little_to_do() {
    let costs = verifier::costs();
    let names: Vec<_> = costs.iter().map(|(name, _)| name.as_str()).collect();
    let all = ["ftptrack_egress", "ftptrack_exit", "ftptrack_fork", "ftptrack_ingress", "ftptrack_sockets"];
    assert_eq!(names, all);
    for (name, verified) in costs {
        println!("{name}: {verified} verified instructions");
        assert!(verified < VERIFIED_INSTRUCTIONS, "{name}: {verified}");
    }
}

#[test]
fn with_tcx_it_guards_carries_and_outlives_its_process() {
    if hooks::known().contains(&"tcx") {
        return everything("tcx");
    }
    // Old kernels have none: then that is said, and nothing is left half done.
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let disciplines = hooks::disciplines(server);
    let output = ftptrack::finish(server, &pins, &[&["run"], &USUAL[..], &["--hook", "tcx"]].concat());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    assert!(output.stderr.starts_with("ftptrack: --hook tcx: Linux "), "{output:?}");
    assert!(output.stderr.contains(" has no TCX, which came with 6.6; use --hook clsact"), "{output:?}");
    assert_eq!((hooks::attached(server), hooks::disciplines(server)), (vec![], disciplines));
    assert_eq!(pins.entries(), [""; 0]);
}

#[test]
fn with_clsact_it_guards_carries_and_outlives_its_process() {
    everything("clsact");
}

#[test]
fn left_to_itself_it_takes_the_better_hook_of_those_that_the_kernel_has() {
    let Network { server, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let Status { kernel, interfaces, .. } = ftptrack.status();
    assert_eq!(interfaces[0].hook, hooks::known()[0]);
    assert_eq!(kernel.tcx, hooks::known().contains(&"tcx"));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
    assert_eq!(kernel.release, release.trim());
    // For the tables of docs/kernels.md.
    println!("kernel: {}", serde_json::to_string(&kernel).expect("text and truths"));
    // For people: `kernel  5.10.0-46-cloud-amd64: …; no TCX`.
    let table = ftptrack::finish(server, &pins, &["status"]).stdout;
    let line = table.lines().find(|line| line.starts_with("kernel ")).expect("a line about the kernel");
    assert!(line.contains(release.trim()) && line.ends_with("; no TCX") != kernel.tcx, "{line}");
    ftptrack.stop();
}

#[test]
fn attached_it_needs_no_process_and_is_exchanged_in_place() {
    let Network { server, client, third, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let target = server.at(Family::V4, INSIDE);
    let disciplines = hooks::disciplines(server);
    let ids = || hooks::attached(server).iter().map(|program| program.id).collect::<Vec<_>>();
    for hook in hooks::known() {
        let pins = PinDirectory::new();
        let succeed = |arguments: &[&str]| ftptrack::succeed(server, &pins, arguments);
        succeed(&[&["attach"], &USUAL[..], &["--hook", hook]].concat());
        let before = ids();
        let (mut control, mut session) = ftp.session_with(client);
        negotiated((&mut control, &mut session), target);

        // Nothing is named: all stays as it is, by programs that were loaded anew.
        succeed(&["attach"]);
        let after = ids();
        assert!(after.len() == 2 && after.iter().all(|id| !before.contains(id)), "{before:?} {after:?}");
        let _listener = probe::listen(server, target);
        assert_eq!(probe::to(third, target), Outcome::Silence, "{hook}");
        assert_eq!(probe::to(client, target), Outcome::Opened, "{hook}: it was negotiated before");
        assert_eq!(probe::to(client, target), Outcome::Silence, "{hook}: it is used up");

        let shown = file::directory();
        let policy = shown.path().join("policy.toml");
        let before: Status = ftptrack::query(server, &pins, "status");
        std::fs::write(&policy, succeed(&["policy", "show"])).expect("there is room");
        succeed(&["policy", "apply", policy.to_str().expect("UTF-8")]);
        let after: Status = ftptrack::query(server, &pins, "status");
        assert_eq!((after.policy.generation, after.sessions), (before.policy.generation + 1, 1));
        assert_eq!(succeed(&["flush", "sessions", "--all"]), "flushed: 1\n");
        for what in ["status", "stats", "sessions", "expectations", "flows", "events"] {
            succeed(&[what]);
        }
        succeed(&["detach", "--all"]);
        assert_eq!((hooks::attached(server), hooks::disciplines(server)), (vec![], disciplines.clone()));
        assert_eq!(pins.entries(), [""; 0]);
    }
}

/// One life of ftptrack: one, because starting it is most of the work where the processor is emulated.
#[track_caller]
fn everything(hook: &str) {
    let network = Network::new();
    let Network { server, client, third, .. } = &network;
    let servers = Family::BOTH.map(|family| FtpServer::on(server, family));
    let original: Vec<u8> = (0..LENGTH).map(|n| (n * n / 7) as u8).collect();
    servers.iter().for_each(|ftp| ftp.keep("original", original.clone()));
    let disciplines = hooks::disciplines(server);
    assert_eq!(unexpected(&network), [Outcome::Opened; 6], "nothing is attached");

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &[&USUAL[..], &["--hook", hook]].concat());
    let status = ftptrack.status();
    assert_eq!((status.interfaces[0].hook.as_str(), status.interfaces[0].attached), (hook, true));
    // It could ask the kernel for connections that were open before.
    assert!(!ftptrack.lines().iter().any(|line| line.contains("control connections that are open already")));
    assert_eq!(unexpected(&network), [Outcome::Silence; 6]);
    for (mode, family) in Mode::EVERYWHERE {
        let ftp = &servers[usize::from(family == Family::V6)];
        let mut control = Client::logged_in(client, ftp.address());
        assert_eq!(transfer::download(&mut control, client, mode, "original"), original, "{mode:?} {family:?}");
        transfer::upload(&mut control, client, mode, "back", &original);
        assert_eq!(ftp.file("back"), original, "{mode:?} {family:?}");
    }
    wait::until("all sessions and flows end", || {
        let stats = ftptrack.stats();
        (stats.of(Counter::SessionsEnded) == 6 && stats.of(Counter::FlowsEnded) == 12).then_some(())
    });
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::ExpectationsPassive), stats.of(Counter::ExpectationsActive)), (6, 6));
    assert_eq!((stats.of(Counter::FlowsEstablished), stats.of(Counter::DeniedPassive)), (12, 4));
    assert_eq!((stats.refused(), stats.of(Counter::Desyncs), stats.of(Counter::MapErrors)), (0, 0, 0), "{stats:?}");

    // What is said while a transfer is expected and under way.
    let mut control = Client::logged_in(client, servers[0].address());
    let target = control.passive();
    let sessions = ftptrack.sessions();
    assert_eq!(sessions[0].client, control.address().to_string());
    let expectations = ftptrack.expectations();
    assert_eq!((expectations.len(), expectations[0].port), (1, target.port()));
    assert_eq!(probe::to(third, target), Outcome::Silence, "it is another's");
    let data = probe::connect(client, target).expect("the server said so");
    let flows = ftptrack.flows();
    assert_eq!((flows.len(), flows[0].state.as_str()), (1, "established"));
    assert_eq!(flows[0].client, data.local_addr().expect("a connection").to_string());
    drop((data, control));

    // Killed, it leaves the filter; a new one says so; and it can be removed.
    let programs = hooks::attached(server);
    assert_eq!(programs.len(), 2, "{programs:?}");
    ftptrack.kill();
    assert_eq!(unexpected(&network), [Outcome::Silence; 6]);
    let mut control = Client::logged_in(client, servers[1].address());
    assert_eq!(transfer::download(&mut control, client, Mode::Epsv, "original"), original, "after the kill");
    let stats: Stats = ftptrack::query(server, &pins, "stats");
    assert_eq!(stats.of(Counter::FlowsEstablished), 14);
    let again = ftptrack::finish(server, &pins, &[&["run"], &USUAL[..]].concat());
    assert!(again.status.code() == Some(1) && again.stderr.contains("detach --all"), "{again:?}");
    assert_eq!(hooks::attached(server), programs);
    let detached = ftptrack::finish(server, &pins, &["detach", "--all"]);
    assert!(detached.status.success(), "{detached:?}");
    assert_eq!((hooks::attached(server), hooks::disciplines(server)), (vec![], disciplines));
    assert_eq!(pins.entries(), [""; 0]);
    hooks::wait_until_gone(&programs);
    assert_eq!(unexpected(&network), [Outcome::Opened; 6]);
}

/// What comes of connections that nobody negotiated: of both hosts to the passive range, and from the active
/// port, over both families.
#[track_caller]
fn unexpected(network: &Network) -> [Outcome; 6] {
    let Network { server, client, third, .. } = network;
    let over = |family| {
        let (to_server, to_client) = (server.at(family, INSIDE), client.at(family, INSIDE));
        let _listeners = [probe::listen(server, to_server), probe::listen(client, to_client)];
        [probe::to(client, to_server), probe::to(third, to_server), probe::from_port(server, ACTIVE, to_client)]
    };
    let [[a, b, c], [d, e, f]] = Family::BOTH.map(over);
    [a, b, c, d, e, f]
}
