//! Where a scenario is played: three hosts, and a filter on one of them.

use std::cell::RefCell;
use std::fs;
use std::time::Duration;

use crate::actors::server::Server;
use crate::hosts::network::{Family, Host, INTERFACE, Network};
use crate::subject::conntrack;
use crate::subject::ftptrack::{Ftptrack, PinDirectory, USUAL};
use crate::subject::hooks;
use crate::suites::dialogues::Guard;
use crate::suites::evasions::Connection;
use crate::support::process;
use crate::support::wait::patience;

/// What the helper drops is gone for good; what is only late comes sooner than this.
const SHORT_PATIENCE: Duration = Duration::from_millis(1500);

/// The interfaces of gateway and server on the link between them.
pub(super) const INNER: &str = "inner";
/// The hardware address of the gateway's.
pub(super) const INNER_MAC: [u8; 6] = [2, 0, 0, 0, 1, 3];

/// Where the filter is attached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Location {
    /// On the server's host.
    Server,
    /// On the client's host, with `servers-beyond`.
    Client,
    /// On the third host, which is the only way from the client to the server (IPv4).
    Gateway,
}

/// The hosts and the filter.
#[derive(Debug)]
pub struct Testbed<'a> {
    /// The hosts.
    pub network: &'a Network,
    /// Which filter.
    pub guard: Guard,
    /// ftptrack, if it is that.
    pub ftptrack: Option<Ftptrack<'a>>,
    filter_at: Location,
    notes: RefCell<Vec<String>>,
}

/// Plays on hosts of its own.
#[track_caller]
pub(super) fn on<T>(guard: Guard, filter_at: Location, play: impl FnOnce(&Testbed<'_>) -> T) -> T {
    let network = Network::new();
    if filter_at == Location::Gateway {
        put_between(&network);
    }
    let pins = PinDirectory::new();
    let host = filter_at.host(&network);
    if guard == Guard::Conntrack {
        match filter_at {
            Location::Server => conntrack::guard(host),
            Location::Client => conntrack::guard_client(host),
            Location::Gateway => conntrack::guard_gateway(host),
        }
    }
    let [v4, v6] = Family::BOTH.map(|family| network.server.address(family).to_string());
    let servers = ["--server", &v4, "--server", &v6];
    let more: &[&str] = match filter_at {
        Location::Server => &[],
        Location::Client => &[&["--side", "servers-beyond"], &servers[..]].concat(),
        Location::Gateway => &servers,
    };
    let options = [&USUAL[..], more].concat();
    let ftptrack = (guard == Guard::Ftptrack).then(|| Ftptrack::run(host, &pins, &options));
    let testbed = Testbed { network: &network, guard, ftptrack, filter_at, notes: RefCell::default() };
    let came = play(&testbed);
    if let Some(ftptrack) = testbed.ftptrack {
        ftptrack.stop();
    }
    came
}

/// Lets `host` pass packets on, and doesn't let it tell anyone of a better way.
#[track_caller]
pub(super) fn make_a_router(host: &Host) {
    host.namespace.run(|| {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("our own");
        for scope in ["all", INTERFACE] {
            fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/send_redirects"), "0").expect("our own");
        }
    });
}

/// Puts the third host between the server and all others, by a link of their own.
#[track_caller]
fn put_between(network: &Network) {
    let Network { server, client, third: gateway, .. } = network;
    make_a_router(gateway);
    let mac = INNER_MAC.map(|byte| format!("{byte:02x}")).join(":");
    let inner =
        format!("link add name {INNER} address {mac} type veth peer name {INNER} netns {}", server.namespace.path());
    gateway.namespace.ip(&inner);
    for (host, address) in [(gateway, "10.9.0.3/24"), (server, "10.9.0.1/24")] {
        host.namespace.ip(&format!("link set {INNER} up"));
        host.namespace.ip(&format!("address add {address} dev {INNER}"));
        host.namespace.run(|| {
            for scope in ["all", INNER, INTERFACE] {
                fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0").expect("our own");
            }
        });
    }
    let [to, from, back] = [server, client, gateway].map(|host| host.address(Family::V4));
    gateway.namespace.ip(&format!("route add {to}/32 via 10.9.0.1 dev {INNER}"));
    client.namespace.ip(&format!("route add {to}/32 via {back}"));
    // Of the client, of what is made of raw segments, and of spoofed addresses, which are nowhere.
    for who in [&format!("{from}/32"), "10.0.0.77/32", "11.0.0.0/8"] {
        server.namespace.ip(&format!("route add {who} via 10.9.0.3 dev {INNER} src {to}"));
    }
    gateway.namespace.ip(&format!("route add 11.0.0.0/8 via {from}"));
}

impl Location {
    const fn host(self, network: &Network) -> &Host {
        match self {
            Self::Server => &network.server,
            Self::Client => &network.client,
            Self::Gateway => &network.third,
        }
    }
}

impl Testbed<'_> {
    /// The host that the filter is attached on.
    #[must_use]
    pub const fn host(&self) -> &Host {
        self.filter_at.host(self.network)
    }

    /// How long data may take to arrive.
    #[must_use]
    pub fn patience(&self) -> Duration {
        if self.guard == Guard::Conntrack { SHORT_PATIENCE } else { patience() }
    }

    /// A session with the server as after login, from `port`, made of raw segments.
    #[track_caller]
    #[must_use]
    pub fn connection(&self, ftp: &Server, port: u16) -> Connection<'_> {
        let next = if self.filter_at == Location::Gateway { self.host() } else { &self.network.server };
        Connection::new((&self.network.client, next), ftp, port, self.patience())
    }

    /// Control connections that the filter takes for open.
    #[track_caller]
    #[must_use]
    pub fn followed(&self) -> usize {
        match (self.guard, &self.ftptrack) {
            (_, Some(ftptrack)) => ftptrack.sessions().len(),
            (Guard::Conntrack, None) => conntrack::established(self.host()),
            _ => 0,
        }
    }

    /// What the filter's memory holds, in a sentence.
    #[track_caller]
    #[must_use]
    pub fn memory(&self) -> String {
        match (self.guard, &self.ftptrack) {
            (_, Some(ftptrack)) => {
                let status = ftptrack.status();
                let kept = status.sessions + status.expectations + status.flows;
                let kib = hooks::memory(self.host()) >> 10;
                format!("{kept} sessions, expectations and flows; all maps together {kib} KiB, as at the start")
            }
            (Guard::Conntrack, None) => {
                let kept = conntrack::count(self.host());
                format!(
                    "{kept} connections of {} bytes, and what the helper adds to each",
                    conntrack::bytes_of_an_entry()
                )
            }
            _ => "nobody's".to_owned(),
        }
    }

    /// Keeps what was measured.
    pub fn note(&self, note: impl Into<String>) {
        self.notes.borrow_mut().push(note.into());
    }

    /// What was measured.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// Runs a program on `host`, which must go well.
    #[track_caller]
    pub(super) fn run(host: &Host, words: &[&str]) -> String {
        let output = process::finish(host.namespace.command(words[0]).args(&words[1..]));
        assert!(output.status.success(), "{words:?}: {}", output.stderr);
        output.stdout
    }
}
