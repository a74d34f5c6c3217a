//! A server, clients, and a control connection whose ends behave: the ground of single-packet tests.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ftp_common::counter::Counter;
use ftp_common::flow::tcp::{ACK, SYN};
use ftp_common::keys::ConnectionKey;
use ftp_common::policy::{CONTROL_PORTS, ServerPolicy, Side};
use ftp_common::session::Session;

use super::counters::Counters;
use super::frame::Tcp;
use super::{Hook, Kernel, LOCAL, Setup, Verdict};
use crate::PASSIVE_RANGE;

/// Loading takes the verifier's time, so all tests of a process share the programs, one at a time.
fn shared(setup: Setup) -> MutexGuard<'static, Kernel> {
    static KERNELS: [OnceLock<Mutex<Kernel>>; 4] = [const { OnceLock::new() }; 4];
    let all = [Setup::SERVERS_BEHIND, Setup::SERVERS_BEYOND, Setup::LOOPBACK, Setup::NO_LINK_HEADER];
    let at = all.iter().position(|one| *one == setup).expect("one of those");
    // A failed test leaves nothing behind that the next one doesn't empty.
    KERNELS[at].get_or_init(|| Mutex::new(Kernel::load(setup))).lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses of a harness.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Addresses {
    /// The server's.
    pub server: IpAddr,
    /// The client's.
    pub client: IpAddr,
    /// Somebody else's.
    pub other: IpAddr,
}

impl Addresses {
    fn of(texts: [&str; 3]) -> Self {
        let [server, client, other] = texts.map(|text| text.parse().expect("an address"));
        Self { server, client, other }
    }

    /// IPv4.
    #[must_use]
    pub fn v4() -> Self {
        Self::of(["10.0.1.1", "10.0.1.2", "10.0.1.3"])
    }

    /// IPv6.
    #[must_use]
    pub fn v6() -> Self {
        Self::of(["fd00::1", "fd00::2", "fd00::3"])
    }

    /// IPv6, link-local.
    #[must_use]
    pub fn link_local() -> Self {
        Self::of(["fe80::1", "fe80::2", "fe80::3"])
    }
}

/// A program under a policy for one server.
pub struct Harness {
    /// The program and its maps.
    pub kernel: MutexGuard<'static, Kernel>,
    /// Who is there.
    pub who: Addresses,
    setup: Setup,
    seen: Counters,
}

/// What holds unless a test says otherwise.
#[must_use]
pub const fn usual_policy() -> ServerPolicy {
    let mut control_ports = [0; CONTROL_PORTS];
    control_ports[0] = 21;
    ServerPolicy {
        control_ports,
        passive_first: *PASSIVE_RANGE.start(),
        passive_last: *PASSIVE_RANGE.end(),
        active_port: 20,
        flags: 0,
        expectation_timeout: 300,
        sessions_per_client: 128,
        mark: 0,
        mark_mask: 0,
    }
}

impl Harness {
    /// A server host with IPv4 under the usual policy.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Setup::SERVERS_BEHIND, Addresses::v4(), usual_policy())
    }

    /// The usual policy, changed.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut ServerPolicy)) -> Self {
        let mut policy = usual_policy();
        change(&mut policy);
        Self::of(Setup::SERVERS_BEHIND, Addresses::v4(), policy)
    }

    /// A harness of any kind.
    #[must_use]
    pub fn of(setup: Setup, who: Addresses, policy: ServerPolicy) -> Self {
        let mut kernel = shared(setup);
        kernel.apply(&policy, &[(who.server, if who.server.is_ipv4() { 32 } else { 128 })]);
        Self { kernel, who, setup, seen: Counters::default() }
    }

    /// The hook that packets to the server, or from it, pass first.
    #[must_use]
    pub const fn hook(&self, to_server: bool) -> Hook {
        let ingress = match self.setup.side {
            Side::ServersBehind => to_server,
            Side::ServersBeyond => !to_server,
            Side::Both => false,
        };
        if ingress { Hook::Ingress } else { LOCAL }
    }

    /// The usual harness on a program of its own, which stays loaded for as long as the process lives.
    #[must_use]
    pub fn alone(kernel: Kernel) -> Self {
        let kernel: &'static Mutex<Kernel> = Box::leak(Box::new(Mutex::new(kernel)));
        let mut kernel = kernel.lock().unwrap_or_else(PoisonError::into_inner);
        let who = Addresses::v4();
        kernel.apply(&usual_policy(), &[(who.server, 32)]);
        Self { kernel, who, setup: Setup::SERVERS_BEHIND, seen: Counters::default() }
    }

    /// The verdict on a segment, at the hook where it belongs.
    #[must_use]
    pub fn pass(&self, tcp: &Tcp) -> Verdict {
        self.pass_frame(tcp.destination.ip() == self.who.server, &tcp.frame())
    }

    /// The verdict on a frame, at the hook where it belongs.
    #[must_use]
    pub fn pass_frame(&self, to_server: bool, frame: &[u8]) -> Verdict {
        self.kernel.run(self.hook(to_server), frame)
    }

    /// What was counted since this was last asked.
    pub fn counts(&mut self) -> Vec<(Counter, u64)> {
        let now = self.kernel.counters();
        let raised = now.since(&self.seen).raised();
        self.seen = now;
        raised
    }

    /// What this policy counts after the setting up of a test is nobody's interest.
    pub fn forget(&mut self) {
        self.seen = self.kernel.counters();
    }

    /// A segment from the client's port to the server's.
    #[must_use]
    pub const fn to_server(&self, from: u16, to: u16) -> Tcp {
        Tcp::between(SocketAddr::new(self.who.client, from), SocketAddr::new(self.who.server, to))
    }

    /// A segment from the server's port to the client's.
    #[must_use]
    pub const fn to_client(&self, from: u16, to: u16) -> Tcp {
        Tcp::between(SocketAddr::new(self.who.server, from), SocketAddr::new(self.who.client, to))
    }

    /// A SYN of the client to a port of the server.
    #[must_use]
    pub fn syn(&self, to: u16) -> Tcp {
        self.to_server(50000, to).at(1000, 0).flags(SYN)
    }

    /// A control connection, established and greeted.
    #[must_use]
    pub fn control(&self, client_port: u16) -> Control {
        let mut control = self.begun(client_port);
        assert_eq!(control.server(self, "220 hello\r\n"), Verdict::Pass);
        assert_eq!(control.client(self, ""), Verdict::Pass);
        control
    }

    /// A control connection after its handshake.
    #[must_use]
    pub fn begun(&self, client_port: u16) -> Control {
        let control = Control { client_port, client_next: u32::MAX - 9, server_next: u32::MAX - 19 };
        let syn = self.to_server(client_port, 21).at(control.client_next.wrapping_sub(1), 0).flags(SYN);
        let syn_ack = self.to_client(21, client_port).at(control.server_next.wrapping_sub(1), control.client_next);
        for tcp in [syn, syn_ack.flags(SYN | ACK), control.client_segment(self, "")] {
            assert_eq!(self.pass(&tcp), Verdict::Pass);
        }
        control
    }

    /// The client has been told a passive port, and all of the control connection's counting is over.
    #[must_use]
    pub fn expecting(&mut self, port: u16) -> Control {
        let mut control = self.control(40000);
        control.exchange(self, "EPSV\r\n", &format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"));
        self.forget();
        control
    }

    /// How many connections are expected.
    #[must_use]
    pub fn expected(&self) -> usize {
        self.kernel.expectations.all().len()
    }

    /// The three segments of a handshake that the client begins.
    #[must_use]
    pub fn handshake(&self, from: u16, to: u16) -> [Tcp; 3] {
        [
            self.to_server(from, to).at(1000, 0).flags(SYN),
            self.to_client(to, from).at(5000, 1001).flags(SYN | ACK),
            self.to_server(from, to).at(1001, 5001),
        ]
    }
}

impl Default for Harness {
    fn default() -> Self {
        Self::new()
    }
}

/// A control connection: what each end will say next.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    /// The client's port.
    pub client_port: u16,
    /// The client's next sequence number.
    pub client_next: u32,
    /// The server's.
    pub server_next: u32,
}

impl Control {
    /// What the client would send next.
    #[must_use]
    pub fn client_segment(&self, harness: &Harness, text: &str) -> Tcp {
        harness.to_server(self.client_port, 21).at(self.client_next, self.server_next).says(text)
    }

    /// What the server would send next.
    #[must_use]
    pub fn server_segment(&self, harness: &Harness, text: &str) -> Tcp {
        harness.to_client(21, self.client_port).at(self.server_next, self.client_next).says(text)
    }

    /// The client says something, and the server gets it.
    pub fn client(&mut self, harness: &Harness, text: &str) -> Verdict {
        let tcp = self.client_segment(harness, text);
        self.client_next = self.client_next.wrapping_add(tcp.length());
        harness.pass(&tcp)
    }

    /// The server says something, and the client gets it.
    pub fn server(&mut self, harness: &Harness, text: &str) -> Verdict {
        let tcp = self.server_segment(harness, text);
        self.server_next = self.server_next.wrapping_add(tcp.length());
        harness.pass(&tcp)
    }

    /// One command and its reply; all of it passes.
    pub fn exchange(&mut self, harness: &Harness, command: &str, reply: &str) {
        let verdicts = [self.client(harness, command), self.server(harness, reply), self.client(harness, "")];
        assert_eq!(verdicts, [Verdict::Pass; 3], "{command}{reply}");
    }

    /// The session that follows it.
    #[must_use]
    pub fn session(&self, harness: &Harness) -> Option<Session> {
        let key = ConnectionKey {
            client: harness.who.client.into(),
            server: harness.who.server.into(),
            client_port: self.client_port,
            server_port: 21,
            scope: if harness.who == Addresses::link_local() { super::INTERFACE } else { 0 },
        };
        harness.kernel.sessions.get(&key)
    }
}
