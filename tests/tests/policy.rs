//! A configuration file, several servers, and the policy in force: shown, changed, refused.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server;
use ftptrack_tests::actors::server::{Server, negotiated};
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory};
use ftptrack_tests::support::{file, process, wait};
use rustix::fs::{FlockOperation, flock};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;

/// In the passive range of the second server only.
const ELSEWHERE: u16 = 30_050;

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(file::directory())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).expect("there is room");
        path
    }
}

/// Whether a connection to a port begins, on which somebody listens.
#[track_caller]
fn reaches(from: &Host, to: &Host, address: IpAddr, port: u16) -> Outcome {
    let target = SocketAddr::new(address, port);
    let _listener = probe::listen(to, target);
    probe::to(from, target)
}

fn second() -> IpAddr {
    [10, 0, 0, 11].into()
}

const TWO: &str = r#"
interfaces = ["eth0"]

[[server]]
passive-range = "10240-20480"

[[server]]
address = "10.0.0.11"
passive-range = "30000-30100"
control-ports = [21, 2121]
expectation-timeout = 60
"#;

#[test]
fn each_server_has_its_own_policy_and_the_longest_prefix_decides() {
    let Network { server, client, .. } = &Network::new();
    server.namespace.ip(&format!("address add 10.0.0.11/24 dev {INTERFACE}"));
    let first = server.address(Family::V4);
    let files = Files::new();
    let config = files.write("config.toml", TWO);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &["--config", config.to_str().expect("UTF-8")]);
    let policy = ftptrack.policy();
    let [own, named] = &policy.servers[..] else { panic!("{policy:#?}") };
    assert!(own.follows_interfaces && own.addresses.contains(&"10.0.0.1/32".to_owned()), "{own:?}");
    assert!(!own.addresses.contains(&"10.0.0.11/32".to_owned()), "it is named: {own:?}");
    assert_eq!((&named.addresses[..], named.expectation_timeout), (&["10.0.0.11/32".to_owned()][..], 60));

    // A port that is guarded on one address is nothing on the other.
    assert_eq!(reaches(client, server, first, INSIDE), Outcome::Silence);
    assert_eq!(reaches(client, server, first, ELSEWHERE), Outcome::Opened);
    assert_eq!(reaches(client, server, second(), INSIDE), Outcome::Opened);
    assert_eq!(reaches(client, server, second(), ELSEWHERE), Outcome::Silence);
    assert_eq!(ftptrack.stats().denied(), 2);

    // Both learn, each within its own range.
    for (address, port) in [(first, INSIDE), (second(), ELSEWHERE)] {
        let ftp = Server::at(server, SocketAddr::new(address, server::CONTROL));
        let (mut control, mut session) = ftp.session_with(client);
        let target = SocketAddr::new(address, port);
        let _listener = probe::listen(server, target);
        assert_eq!(probe::to(client, negotiated((&mut control, &mut session), target)), Outcome::Opened, "{address}");
    }
    assert_eq!(ftptrack.stats().of(Counter::FlowsEstablished), 2);

    // A network around both: only the longer prefixes say what they said before.
    let wider = files.write(
        "wider.toml",
        "[[server]]\naddress = \"10.0.0.0/24\"\npassive-range = \"10240-20480\"\nmode = \"monitor\"\n\
         [[server]]\naddress = \"10.0.0.11\"\npassive-range = \"10240-20480\"\n",
    );
    let output = ftptrack.apply(&wider);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(reaches(client, server, first, INSIDE), Outcome::Opened, "it is only monitored");
    assert_eq!(reaches(client, server, second(), INSIDE), Outcome::Silence);
    ftptrack.stop();
}

#[test]
fn what_is_shown_can_be_applied_again() {
    let Network { server, .. } = &Network::new();
    let files = Files::new();
    let config = files.write("config.toml", TWO);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::run(server, &pins, &["--config", config.to_str().expect("UTF-8")]);
    let before = ftptrack.policy();
    let shown = ftptrack::finish(server, &pins, &["policy", "show"]);
    assert!(shown.status.success(), "{shown:?}");
    let output = ftptrack.apply(&files.write("shown.toml", &shown.stdout));
    assert!(output.status.success(), "{output:?}\n{}", shown.stdout);
    let after = ftptrack.policy();
    assert_eq!(after.servers, before.servers);
    assert_eq!(after.generation, before.generation + 1);
    assert!(output.stdout.contains(&format!("active: generation {}", after.generation)), "{output:?}");
    ftptrack.stop();
}

#[test]
fn a_wrong_file_changes_nothing_and_all_of_it_is_told() {
    let Network { server, .. } = &Network::new();
    let files = Files::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let before = ftptrack.policy();
    let wrong = files.write("wrong.toml", "[[server]]\npassive-range = \"20480-10240\"\nftp = \"deny\"\nmark = 3\n");
    let name = wrong.to_str().expect("UTF-8");
    for arguments in [&["policy", "apply", name][..], &["policy", "check", name]] {
        let output = ftptrack::finish(server, &pins, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(output.stdout, "");
        let starts: Vec<_> =
            output.stderr.lines().map(|line| line.split_inclusive(' ').next().unwrap_or(line)).collect();
        assert_eq!(starts, ["2:17: ", "3:1: ", "4:8: "].map(|place| format!("{name}:{place}")), "{output:?}");
    }
    let output = ftptrack.apply(&files.0.path().join("nosuch.toml"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.starts_with("ftptrack: ") && output.stderr.lines().count() == 1, "{output:?}");
    // Right by itself, but others listen in its range.
    let _listener = probe::listen(server, server.at(Family::V4, ELSEWHERE));
    let taken = files.write("taken.toml", "[[server]]\npassive-range = \"30000-30100\"\n");
    let output = ftptrack.apply(&taken);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("30050") && output.stderr.contains("--force"), "{output:?}");
    let after = ftptrack.policy();
    assert_eq!((after.generation, after.servers), (before.generation, before.servers));

    let taken = taken.to_str().expect("UTF-8");
    let output = ftptrack::finish(server, &pins, &["policy", "apply", "--force", taken]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ftptrack.policy().only().passive_range.as_deref(), Some("30000-30100"));
    ftptrack.stop();
}

#[test]
fn a_good_file_is_checked_without_being_applied_or_attached() {
    let Network { server, .. } = &Network::new();
    let files = Files::new();
    let pins = PinDirectory::new();
    let config = files.write("config.toml", TWO);
    let name = config.to_str().expect("UTF-8");
    let output = ftptrack::finish(server, &pins, &["policy", "check", name]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert!(output.stdout.contains("note: encrypted control connections"), "{output:?}");
    assert!(output.stdout.ends_with("config.toml: no errors\n"), "{output:?}");
    // What attach and watch will refuse is said, though it is no error: options may name one.
    let nowhere = files.write("nowhere.toml", "[[server]]\npassive-range = \"10240-20480\"\n");
    let told = ftptrack::finish(server, &pins, &["policy", "check", nowhere.to_str().expect("UTF-8")]);
    assert!(told.status.success() && told.stdout.contains("\nnote: no interface is named: "), "{told:?}");
    assert!(!output.stdout.contains("no interface is named"), "{output:?}");
    for arguments in [&["policy", "apply", name][..], &["policy", "show"]] {
        let output = ftptrack::finish(server, &pins, arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains("not attached"), "{output:?}");
    }
}

#[test]
fn options_override_the_file_unless_it_has_several_servers() {
    let Network { server, .. } = &Network::new();
    let files = Files::new();
    let pins = PinDirectory::new();
    let one = files.write("one.toml", "interfaces = [\"nosuch0\"]\n[[server]]\npassive-range = \"30000-30100\"\n");
    let one = one.to_str().expect("UTF-8");
    let ftptrack = Ftptrack::run(
        server,
        &pins,
        &["--config", one, "-i", INTERFACE, "--passive-range", "10240-20480", "--monitor"],
    );
    let policy = ftptrack.policy();
    assert_eq!(policy.only().passive_range.as_deref(), Some("10240-20480"));
    assert_eq!(policy.only().mode, "monitor");
    ftptrack.stop();

    let two = files.write("two.toml", TWO);
    let two = two.to_str().expect("UTF-8");
    let output = ftptrack::finish(
        server,
        &pins,
        &["run", "--config", two, "--passive-range", "10240-20480", "--active-port", "any"],
    );
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.starts_with("ftptrack: --passive-range 10240-20480: "), "{output:?}");
    assert!(output.stderr.lines().count() == 1 && output.stderr.contains("2 servers"), "{output:?}");
    let output = ftptrack::finish(server, &pins, &["run", "--passive-range", "10240-20480"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.stderr.starts_with("ftptrack: -i: no interface is named; "), "{output:?}");
    assert_eq!(pins.entries(), [""; 0]);
}

#[test]
fn several_interfaces_share_one_policy() {
    let Network { server, client, .. } = &Network::new();
    let files = Files::new();
    let pins = PinDirectory::new();
    let config = files.write(
        "config.toml",
        "interfaces = [\"lo\", { name = \"eth0\", hook = \"clsact\" }]\n[[server]]\npassive-range = \"10240-20480\"\n",
    );
    let ftptrack = Ftptrack::run(server, &pins, &["--config", config.to_str().expect("UTF-8")]);
    let hooks: Vec<_> = ftptrack.status().interfaces.into_iter().map(|i| (i.name, i.hook, i.side)).collect();
    let expected = [("eth0", "clsact", "servers-behind"), ("lo", "tcx", "both")]
        .map(|(name, hook, side)| (name.to_owned(), hook.to_owned(), side.to_owned()));
    assert_eq!(hooks, expected);
    assert_eq!(reaches(client, server, server.address(Family::V4), INSIDE), Outcome::Silence);
    assert_eq!(reaches(server, server, [127, 0, 0, 1].into(), INSIDE), Outcome::Silence);
    assert_eq!(reaches(server, server, server.address(Family::V4), INSIDE), Outcome::Silence);
    ftptrack.stop();
}

/// `run` knows the policy that it began with, and must not bring it back.
#[test]
fn addresses_are_followed_under_the_policy_in_force_whoever_brought_it() {
    let Network { server, client, .. } = &Network::new();
    let files = Files::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let other = files.write("other.toml", "[[server]]\npassive-range = \"30000-30100\"\n");
    let output = ftptrack.apply(&other);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(reaches(client, server, server.address(Family::V4), INSIDE), Outcome::Opened);
    assert_eq!(reaches(client, server, server.address(Family::V4), ELSEWHERE), Outcome::Silence);

    let has = |address: &str| ftptrack.policy().only().addresses.iter().any(|each| each == address);
    server.namespace.ip(&format!("address add 10.0.0.11/24 dev {INTERFACE}"));
    wait::until("the new address is guarded", || has("10.0.0.11/32").then_some(()));
    assert_eq!(ftptrack.policy().only().passive_range.as_deref(), Some("30000-30100"));
    assert_eq!(reaches(client, server, second(), ELSEWHERE), Outcome::Silence);
    assert_eq!(reaches(client, server, second(), INSIDE), Outcome::Opened);
    server.namespace.ip(&format!("address del 10.0.0.11/24 dev {INTERFACE}"));
    wait::until("the old address is not", || (!has("10.0.0.11/32")).then_some(()));

    // One that follows nothing is left as it is.
    let named = files.write("named.toml", "[[server]]\naddress = \"10.0.0.1\"\npassive-range = \"10240-20480\"\n");
    assert!(ftptrack.apply(&named).status.success());
    let before = ftptrack.policy();
    server.namespace.ip(&format!("address add 10.0.0.12/24 dev {INTERFACE}"));
    let back = files.write("back.toml", "[[server]]\npassive-range = \"10240-20480\"\n");
    assert!(ftptrack.apply(&back).status.success());
    let after = ftptrack.policy();
    assert_eq!((before.generation + 1, before.only().follows_interfaces), (after.generation, false));
    assert!(after.only().addresses.contains(&"10.0.0.12/32".to_owned()), "{after:?}");
    ftptrack.stop();
}

#[test]
fn a_change_waits_for_the_one_under_way() {
    let Network { server, .. } = &Network::new();
    let files = Files::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let generation = ftptrack.policy().generation;
    let maps = fs::File::open(pins.path().join(format!("v{}/maps", ftp_common::ABI_VERSION))).expect("it is pinned");
    flock(&maps, FlockOperation::LockExclusive).expect("nobody holds it");
    let other = files.write("other.toml", "[[server]]\npassive-range = \"30000-30100\"\n");
    let mut command = ftptrack::command(server, &pins);
    command.args(["policy", "apply"]).arg(&other).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = process::start(&mut command);
    // While it waits it has nothing to do: that it isn't done is seen by waiting a little too.
    let ended = wait::within(probe::SILENCE, || child.try_wait().expect("it is our child"));
    assert_eq!((ended, ftptrack.policy().generation), (None, generation));
    drop(maps);
    let status = wait::until("it goes on", || child.try_wait().expect("it is our child"));
    assert!(status.success(), "{status}");
    assert_eq!(ftptrack.policy().generation, generation + 1);
    ftptrack.stop();
}
