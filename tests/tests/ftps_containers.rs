//! An FTP server in a network namespace of its own on the guarded host, as a container has: what it serves is seen at the
//! host's outer interface under the same address, or behind NAT under another one.

use std::net::SocketAddr;

use ftp_common::counter::Counter;
use ftptrack_tests::actors::client::Client;
use ftptrack_tests::actors::probe::{self, Outcome};
use ftptrack_tests::actors::server::CONTROL;
use ftptrack_tests::actors::told_server::{ToldServer, encrypt};
use ftptrack_tests::hosts::links;
use ftptrack_tests::hosts::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::subject::conntrack;
use ftptrack_tests::subject::ftptrack::{Ftptrack, PinDirectory, USUAL};

const PROGRAM: &str = env!("CARGO_BIN_EXE_told-server");
const PORT: u16 = 15_000;
/// What a container engine does for `-p 21:21 -p 10240-20480:10240-20480`.
const PUBLISHED: &str = "table ip nat {
    chain prerouting { type nat hook prerouting priority -100; iifname eth0 tcp dport { 21, 10240-20480 } dnat to 10.0.9.2; }
    chain postrouting { type nat hook postrouting priority 100; oifname eth0 ip saddr 10.0.9.2 masquerade; }
}";

struct Bed {
    network: Network,
    container: Host,
    pins: PinDirectory,
}

impl Bed {
    /// A container on a bridge of the server's host, which forwards.
    fn new() -> Self {
        let network = Network::new();
        links::bridge(&network.server.namespace, "hub");
        let container = Host::new(9, 2);
        container.plug(INTERFACE, &network.server.namespace, 1500, &[(container.address(Family::V4), 24)]);
        network.server.namespace.ip("address add 10.0.9.1/24 dev hub");
        network.server.namespace.run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1")).expect("root may");
        container.namespace.ip("link set lo up");
        container.namespace.ip("route add default via 10.0.9.1");
        Self { network, container, pins: PinDirectory::new() }
    }

    /// It may be found when ftptrack comes, or come later.
    fn server(&self, mode: &str) -> ToldServer {
        ToldServer::start(PROGRAM, mode, &self.container, &[self.container.at(Family::V4, CONTROL)])
    }

    fn ftptrack(&self, more: &[&str]) -> Ftptrack<'_> {
        Ftptrack::run(&self.network.server, &self.pins, &[&USUAL[..], &["--ftps", "learn"], more].concat())
    }

    /// An encrypted session of the client with a server that it sees there.
    fn session(&self, at: SocketAddr) -> Client {
        let mut client = Client::connect(&self.network.client, at);
        client.reply().must_be(220);
        encrypt(&mut client);
        client
    }

    /// What the session of `at` opens is open to its client, once, and to nobody else.
    fn opens(&self, ftptrack: &Ftptrack<'_>, at: SocketAddr) {
        let mut client = self.session(at);
        let data = SocketAddr::new(at.ip(), PORT);
        assert_eq!(probe::to(&self.network.client, data), Outcome::Silence, "nobody listens yet");
        client.command(&format!("LISTEN {PORT}")).must_be(200);
        assert_eq!(ftptrack.sessions()[0].evidence.as_deref(), Some("owner"));
        assert_eq!(probe::to(&self.network.third, data), Outcome::Silence);
        assert_eq!(probe::to(&self.network.client, data), Outcome::Opened);
        assert_eq!(probe::to(&self.network.client, data), Outcome::Silence, "one negotiation, one connection");
        client.command("CLOSE").must_be(200);
    }

    /// A connection of the session's process to its client, and one of another process.
    fn connects(&self, ftptrack: &Ftptrack<'_>, at: SocketAddr) {
        let mut client = self.session(at);
        let here = self.network.client.at(Family::V4, 45_000);
        let listener = probe::listen(&self.network.client, here);
        assert_eq!(probe::from_port(&self.container, 20, here), Outcome::Silence, "another process");
        client.command("CONNECT 45000").must_be(200);
        listener.accept().expect("it has connected");
        assert_eq!(ftptrack.stats().of(Counter::ExpectationsActive), 1);
    }
}

#[test]
fn a_container_that_is_routed_to_is_learned_from() {
    let bed = Bed::new();
    for host in [&bed.network.client, &bed.network.third] {
        host.namespace.ip("route add 10.0.9.0/24 via 10.0.0.1");
    }
    let at = bed.container.at(Family::V4, CONTROL);
    let _server = bed.server("fork");
    let ftptrack = bed.ftptrack(&["--server", &bed.container.address(Family::V4).to_string()]);
    bed.opens(&ftptrack, at);
    bed.connects(&ftptrack, at);
    ftptrack.stop();
}

#[test]
fn a_container_behind_nat_is_learned_from() {
    let bed = Bed::new();
    conntrack::load(&bed.network.server, PUBLISHED);
    let at = bed.network.server.at(Family::V4, CONTROL);
    let ftptrack = bed.ftptrack(&[]);
    let _server = bed.server("fork");
    bed.opens(&ftptrack, at);
    bed.connects(&ftptrack, at);
    ftptrack.stop();
}

#[test]
fn a_server_with_the_same_address_in_another_namespace_is_not_this_hosts() {
    // Two networks with equal addresses on this machine, one of which is guarded.
    let (guarded, other) = (Network::new(), Network::new());
    let pins = PinDirectory::new();
    let at = guarded.server.at(Family::V4, CONTROL);
    let start = |network: &Network| ToldServer::start(PROGRAM, "fork", &network.server, &[at]);
    let ftptrack = Ftptrack::run(&guarded.server, &pins, &[&USUAL[..], &["--ftps", "learn"]].concat());
    let (_server, _others) = (start(&guarded), start(&other));
    // The same ports, too.
    let begin = |network: &Network| {
        let mut client = Client::connect_from(&network.client, 40_000, at);
        client.reply().must_be(220);
        encrypt(&mut client);
        client
    };
    let (_client, mut elsewhere) = (begin(&guarded), begin(&other));
    elsewhere.command(&format!("LISTEN {PORT}")).must_be(200);
    assert_eq!(probe::to(&guarded.client, SocketAddr::new(at.ip(), PORT)), Outcome::Silence);
    assert_eq!(ftptrack.stats().of(Counter::ExpectationsPassive), 0);
    ftptrack.stop();
}
