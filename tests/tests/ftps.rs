//! What encrypted sessions open where the policy is `ftps = learn`: exactly what the process that serves one opens, and
//! nothing that can't be told from another's.

use std::net::SocketAddr;

use ftp_common::counter::Counter;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::{ACTIVE, CONTROL};
use ftptrack_tests::actors::told_server::{ToldServer, encrypt};
use ftptrack_tests::hosts::network::{Family, Network};
use ftptrack_tests::subject::ftptrack::{self, Ftptrack, PinDirectory, USUAL};
use ftptrack_tests::subject::service;
use ftptrack_tests::support::wait;

const PROGRAM: &str = env!("CARGO_BIN_EXE_told-server");
/// Ports of the passive range.
const PORT: u16 = 15_000;
const OTHER: u16 = 15_001;

struct Learning {
    network: Network,
    pins: PinDirectory,
}

impl Learning {
    fn new() -> Self {
        Self { network: Network::new(), pins: PinDirectory::new() }
    }

    fn at(&self, port: u16) -> SocketAddr {
        self.network.server.at(Family::V4, port)
    }

    fn ftptrack(&self) -> Ftptrack<'_> {
        Ftptrack::run(&self.network.server, &self.pins, &[&USUAL[..], &["--ftps", "learn"]].concat())
    }

    /// Attaches it, or another policy in its place.
    fn attach(&self, ftps: &str) {
        let options = [&["attach"], &USUAL[..], &["--ftps", ftps]].concat();
        ftptrack::succeed(&self.network.server, &self.pins, &options);
    }

    /// A server that was there before ftptrack.
    fn server(&self, mode: &str) -> ToldServer {
        ToldServer::start(PROGRAM, mode, &self.network.server, &[self.at(CONTROL)])
    }

    /// Whether a connection of the client begins.
    fn client_reaches(&self, port: u16) -> Outcome {
        probe::to(&self.network.client, self.at(port))
    }

    /// The same of another host.
    fn other_reaches(&self, port: u16) -> Outcome {
        probe::to(&self.network.third, self.at(port))
    }
}

fn listen(client: &mut Client, port: u16) {
    client.command(&format!("LISTEN {port}")).must_be(200);
}

#[test]
fn what_the_process_of_a_session_opens_is_open_to_its_client_once() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    let mut client = server.encrypted(&bed.network.client);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence, "nobody listens yet, and nobody may ask");
    listen(&mut client, PORT);
    let expected = ftptrack.expectations();
    assert_eq!(expected.len(), 1, "{expected:?}");
    assert_eq!((expected[0].port, expected[0].evidence.as_str()), (PORT, "owner"), "{expected:?}");
    assert_eq!(ftptrack.sessions()[0].evidence.as_deref(), Some("owner"));
    assert_eq!(bed.other_reaches(PORT), Outcome::Silence);
    assert_eq!(bed.client_reaches(PORT), Outcome::Opened);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence, "one negotiation, one connection");
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::ExpectationsPassive), 1, "{stats:?}");
    // On a slow machine a SYN is repeated.
    for reason in [Counter::DeniedUsed, Counter::DeniedEncrypted, Counter::DeniedPassive] {
        assert!(stats.of(reason) >= 1, "the second, the client's first, the other host's: {stats:?}");
    }
    let shown = ftptrack.lines().join("\n");
    assert!(shown.contains("opened by the process that serves it"), "{shown}");
    assert!(shown.contains("its session is encrypted, and can't be read"), "{shown}");
    ftptrack.stop();
    assert_eq!(bed.pins.entries(), Vec::<String>::new(), "nothing is left");
}

#[test]
fn a_port_that_is_closed_again_is_expected_no_longer_however_it_was_closed() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    for how in ["CLOSE", "DIE"] {
        let mut client = server.encrypted(&bed.network.client);
        listen(&mut client, PORT);
        assert_eq!(ftptrack.expectations().len(), 1);
        client.send(format!("{how}\r\n"));
        wait::until("it is withdrawn", || ftptrack.expectations().is_empty().then_some(()));
        assert_eq!(bed.client_reaches(PORT), Outcome::Silence, "{how}");
    }
    assert_eq!(ftptrack.stats().of(Counter::ExpectationsWithdrawn), 2);
    ftptrack.stop();
}

#[test]
fn a_session_in_clear_text_is_not_learned_from() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    let mut client = server.session(&bed.network.client);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence, "its replies say what it opens");
    assert_eq!(ftptrack.stats().of(Counter::ExpectationsPassive), 0);
    ftptrack.stop();
}

#[test]
fn descendants_of_a_sessions_process_open_for_it_too() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    let mut client = server.encrypted(&bed.network.client);
    client.command("DESCEND").must_be(200);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Opened);
    ftptrack.stop();
}

#[test]
fn each_of_two_sessions_gets_its_own_ports_and_not_the_others() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    let mut mine = server.encrypted(&bed.network.client);
    let mut others = server.encrypted(&bed.network.third);
    for round in 0..8 {
        let (my_port, other_port) = (PORT + 2 * round, OTHER + 2 * round);
        mine.send(format!("LISTEN {my_port}\r\n"));
        others.send(format!("LISTEN {other_port}\r\n"));
        mine.reply().must_be(200);
        others.reply().must_be(200);
        assert_eq!([bed.client_reaches(other_port), bed.other_reaches(my_port)], [Outcome::Silence; 2], "{round}");
        assert_eq!([bed.client_reaches(my_port), bed.other_reaches(other_port)], [Outcome::Opened; 2], "{round}");
    }
    ftptrack.stop();
}

#[test]
fn a_process_that_listens_and_serves_by_itself_is_no_evidence() {
    let bed = Learning::new();
    let server = bed.server("one");
    let ftptrack = bed.ftptrack();
    let mut client = server.encrypted(&bed.network.client);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence);
    let stats = ftptrack.stats();
    assert_eq!(stats.of(Counter::ExpectationsPassive), 0, "{stats:?}");
    assert!(stats.of(Counter::DeniedEncrypted) >= 1, "{stats:?}");
    assert_eq!(ftptrack.sessions()[0].evidence.as_deref(), Some("none"));
    ftptrack.stop();
}

#[test]
fn a_worker_that_was_there_before_its_session_is_no_evidence() {
    for mode in ["workers", "orphans"] {
        let bed = Learning::new();
        let ftptrack = bed.ftptrack();
        let server = bed.server(mode);
        let mut first = server.encrypted(&bed.network.client);
        listen(&mut first, PORT);
        assert_eq!(bed.client_reaches(PORT), Outcome::Silence, "{mode}: it may serve others, seen or not");
        assert_eq!(ftptrack.sessions()[0].evidence.as_deref(), Some("none"), "{mode}");

        let mut second = server.encrypted(&bed.network.third);
        listen(&mut second, OTHER);
        assert_eq!([bed.client_reaches(OTHER), bed.other_reaches(OTHER)], [Outcome::Silence; 2], "{mode}");
        assert_eq!(ftptrack.stats().of(Counter::RefusedSharedProcess), 2, "{mode}");
        ftptrack.stop();
    }
}

#[test]
fn a_process_that_has_served_another_session_is_no_evidence_ever_again() {
    let bed = Learning::new();
    let server = bed.server("greedy");
    let ftptrack = bed.ftptrack();
    let mut first = server.encrypted(&bed.network.client);
    listen(&mut first, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Opened, "it was forked for this one");
    // The same process takes the next one, too.
    let second = server.encrypted(&bed.network.third);
    listen(&mut first, PORT + 2);
    assert_eq!(bed.client_reaches(PORT + 2), Outcome::Silence);
    drop(second);
    wait::until("the second has ended", || (ftptrack.sessions().len() == 1).then_some(()));
    listen(&mut first, PORT + 4);
    assert_eq!(bed.client_reaches(PORT + 4), Outcome::Silence, "what the second asked for may come yet");
    assert_eq!(ftptrack.stats().of(Counter::RefusedSharedProcess), 2);
    ftptrack.stop();
}

#[test]
fn a_session_that_is_not_seen_makes_its_process_unsure() {
    let bed = Learning::new();
    let hidden = SocketAddr::from(([127, 0, 0, 1], 2121));
    let addresses = [bed.at(CONTROL), hidden];
    let server = ToldServer::start(PROGRAM, "greedy", &bed.network.server, &addresses);
    let ftptrack = bed.ftptrack();
    let mut client = server.encrypted(&bed.network.client);
    // By an interface and a port that nobody guards.
    let mut beside = server.session_at(&bed.network.server, 1);
    beside.command("NOOP").must_be(200);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence);
    assert_eq!(ftptrack.stats().of(Counter::RefusedSharedProcess), 1);
    ftptrack.stop();
}

#[test]
fn a_server_that_was_started_later_is_learned_from_and_one_that_greets_before_it_forks() {
    for mode in ["fork", "late"] {
        let bed = Learning::new();
        let ftptrack = bed.ftptrack();
        let server = bed.server(mode);
        let mut client = server.encrypted(&bed.network.client);
        listen(&mut client, PORT);
        assert_eq!(bed.client_reaches(PORT), Outcome::Opened, "{mode}");
        ftptrack.stop();
    }
}

#[test]
fn sessions_that_were_there_before_stay_shut_and_those_that_begin_are_learned_from() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let mut older = server.session(&bed.network.client);
    std::thread::sleep(std::time::Duration::from_millis(600)); // silence is what is asked for
    let ftptrack = bed.ftptrack();
    encrypt(&mut older);
    listen(&mut older, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence);
    let mut newer = server.encrypted(&bed.network.client);
    listen(&mut newer, OTHER);
    assert_eq!(bed.client_reaches(OTHER), Outcome::Opened);
    ftptrack.stop();
}

#[test]
fn another_program_that_listens_in_the_range_opens_nothing() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    let _client = server.encrypted(&bed.network.client);
    let _other = probe::listen(&bed.network.server, bed.at(PORT));
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence);
    assert_eq!(ftptrack.stats().of(Counter::ExpectationsPassive), 0);
    ftptrack.stop();
}

#[test]
fn an_active_connection_of_a_sessions_process_is_expected_and_anybody_elses_is_denied() {
    let bed = Learning::new();
    let server = bed.server("fork");
    let ftptrack = bed.ftptrack();
    let mut client = server.encrypted(&bed.network.client);
    let here = bed.network.client.at(Family::V4, 45_000);
    let listener = probe::listen(&bed.network.client, here);
    let there = bed.network.third.at(Family::V4, 45_000);
    let _other_listener = probe::listen(&bed.network.third, there);
    assert_eq!(probe::from_port(&bed.network.server, ACTIVE, here), Outcome::Silence, "another process");
    assert!(ftptrack.stats().of(Counter::DeniedEncrypted) >= 1);
    client.command("CONNECT 45000").must_be(200);
    listener.accept().expect("it has connected");
    assert_eq!(probe::from_port(&bed.network.server, ACTIVE, here), Outcome::Silence, "that was for one");
    assert_eq!(probe::from_port(&bed.network.server, ACTIVE, there), Outcome::Silence, "no session of that client");
    assert_eq!(client.command(&format!("CONNECT {there}")).code, 425, "nobody but its client");
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::ExpectationsActive), stats.of(Counter::FlowsEstablished)), (1, 1), "{stats:?}");
    ftptrack.stop();
}

#[test]
fn a_policy_that_learns_no_more_opens_nothing_and_one_that_begins_to_does() {
    let bed = Learning::new();
    let server = bed.server("fork");
    for (ftps, outcome) in [("deny", Outcome::Silence), ("learn", Outcome::Opened), ("deny", Outcome::Silence)] {
        bed.attach(ftps);
        let mut client = server.encrypted(&bed.network.client);
        listen(&mut client, PORT);
        assert_eq!(bed.client_reaches(PORT), outcome, "{ftps}");
        let pinned = bed.pins.entries().iter().filter(|path| path.contains("owner-")).count();
        assert_eq!(pinned, if ftps == "learn" { 3 } else { 0 }, "{:?}", bed.pins.entries());
    }
    ftptrack::succeed(&bed.network.server, &bed.pins, &["detach", "--all"]);
    assert_eq!(bed.pins.entries(), Vec::<String>::new());
}

#[test]
fn another_attach_in_its_place_keeps_what_is_known_of_sessions() {
    let bed = Learning::new();
    let server = bed.server("fork");
    bed.attach("learn");
    let mut client = server.encrypted(&bed.network.client);
    listen(&mut client, PORT);
    bed.attach("learn");
    assert_eq!(bed.client_reaches(PORT), Outcome::Opened, "it was expected before");
    listen(&mut client, OTHER);
    assert_eq!(bed.client_reaches(OTHER), Outcome::Opened);
    // Sessions begin and end all the while.
    std::thread::scope(|scope| {
        let again = scope.spawn(|| {
            (0..12).for_each(|round| {
                let mut each = server.encrypted(&bed.network.third);
                listen(&mut each, 16_000 + round);
                assert_eq!(bed.other_reaches(16_000 + round), Outcome::Opened, "{round}");
            });
        });
        while !again.is_finished() {
            bed.attach("learn");
        }
    });
}

#[test]
fn what_was_learned_is_forgotten_where_nothing_is_learned_any_more() {
    let bed = Learning::new();
    let server = bed.server("greedy");
    bed.attach("learn");
    let mut first = server.encrypted(&bed.network.client);
    listen(&mut first, PORT);
    bed.attach("deny");
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence, "its closing would go unseen");
    // The process takes another session, which nobody sees.
    let mut second = server.encrypted(&bed.network.third);
    bed.attach("learn");
    listen(&mut second, OTHER);
    assert_eq!([bed.client_reaches(OTHER), bed.other_reaches(OTHER)], [Outcome::Silence; 2]);
}

#[test]
fn where_the_kernel_lacks_what_it_needs_it_is_said_and_nothing_is_opened() {
    let bed = Learning::new();
    let server = bed.server("fork");
    // This thread has mounts of its own by now.
    let hides = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", "/sys/kernel/btf", "tmpfs", hides, None).expect("root may");
    let mut ftptrack = bed.ftptrack();
    let note = ftptrack.wait_for_line("encrypted sessions open nothing");
    assert!(note.contains("/sys/kernel/btf/vmlinux is not there"), "{note}");
    let mut client = server.encrypted(&bed.network.client);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence);
    let status = ftptrack::succeed(&bed.network.server, &bed.pins, &["status"]);
    assert!(status.contains("/sys/kernel/btf/vmlinux is not there"), "{status}");
    ftptrack.stop();
    rustix::mount::unmount("/sys/kernel/btf", rustix::mount::UnmountFlags::DETACH).expect("root may");
}

#[test]
fn on_a_gateway_it_is_said_that_nothing_can_be_learned() {
    let bed = Learning::new();
    let server = bed.at(0).ip().to_string();
    let options = ["--side", "servers-beyond", "--server", &server, "--ftps", "learn"];
    let mut ftptrack = Ftptrack::run(&bed.network.client, &bed.pins, &[&USUAL[..], &options].concat());
    let note = ftptrack.wait_for_line("encrypted sessions open nothing");
    assert!(note.contains("on their own host only"), "{note}");
    ftptrack.stop();
}

#[test]
fn with_the_units_rights_servers_that_begin_later_are_learned_from_and_of_others_it_is_said() {
    let bed = Learning::new();
    let older = bed.server("fork");
    let start = || {
        let mut command = service::command(&bed.network.server, &bed.pins, &[]);
        command.arg("watch").args(USUAL).args(["--ftps", "learn"]);
        Ftptrack::started(&bed.network.server, &bed.pins, command, "watching")
    };
    let mut first = start();
    let note = first.wait_for_line("are learned from once they are restarted");
    assert!(note.contains("CAP_SYS_PTRACE"), "{note}");
    let mut client = older.encrypted(&bed.network.client);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Silence);
    drop((client, older));
    let server = bed.server("fork");
    let mut client = server.encrypted(&bed.network.client);
    listen(&mut client, PORT);
    assert_eq!(bed.client_reaches(PORT), Outcome::Opened);
    first.leave();
    // Started again, it still knows that server, and says nothing.
    let second = start();
    let mut client = server.encrypted(&bed.network.client);
    listen(&mut client, OTHER);
    assert_eq!(bed.client_reaches(OTHER), Outcome::Opened);
    assert!(!second.lines().iter().any(|line| line.contains("once they are restarted")), "{:?}", second.lines());
    second.leave();
    ftptrack::succeed(&bed.network.server, &bed.pins, &["detach", "--all"]);
}
