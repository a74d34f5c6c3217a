//! The packet path in user space: the same verdicts, maps and counters as the compiled program's,
//! written apart from it and without regard to what a verifier takes.
//!
//! | module | what it holds |
//! |---|---|
//! | [`control`], [`data`], [`expectations`], [`limit`] | the packet path, with `HashMap`s for maps |
//! | [`script`], [`grammar`], [`world`] | bytes become packets of control and data connections |
//! | [`judge`] | what must hold whatever the packets are |
//! | [`attack`] | stories of attack, and a real TCP that says what was let in |
//! | [`differential`] | the compiled program and the model on the same packets |
//! | [`mod@reference`], [`orderly`] | both streams, and a dialogue in good order, read line by line |
//! | [`fuzz`] | the bodies of the fuzz targets |
//!
//! The parsers, the session and the other map values are ftp-common's: they are the very code that
//! the kernel runs. What is modelled is everything around them.

pub mod attack;
pub mod control;
pub mod data;
pub mod differential;
pub mod expectations;
pub mod fuzz;
pub mod grammar;
pub mod judge;
pub mod limit;
pub mod orderly;
pub mod reference;
pub mod script;
pub mod world;

use std::collections::HashMap;
use std::time::Duration;

use ftp_common::SECOND;
use ftp_common::address::Address;
use ftp_common::closed::Closed;
use ftp_common::counter::{Counter, Counts};
use ftp_common::expectation::{Expectation, Used};
use ftp_common::flow::Flow;
use ftp_common::flow::tcp::{ACK, SYN, URG};
use ftp_common::half_open::HalfOpenFlow;
use ftp_common::keys::{ClientKey, ConnectionKey, ExpectationKey};
use ftp_common::policy::{ServerPolicy, Side, flag};
use ftp_common::segment::Segment;
use ftp_common::session::{Handshake, Session};

use crate::subject::test_run::counters::Counters;
use crate::subject::test_run::frame::{SERVICE_VLAN, Tcp, VLAN, of_vlans};
use crate::subject::test_run::{Hook, INTERFACE, Setup, Verdict};

/// A packet that the program has found a whole TCP header in.
#[derive(Clone, Debug)]
pub struct Packet {
    /// What it carries.
    pub tcp: Tcp,
    /// It is the first fragment of several.
    pub fragmented: bool,
    /// The VLANs of its tags, the outermost first; 0: a priority only.
    pub vlans: &'static [u16],
}

impl Packet {
    /// A whole packet without tags.
    #[must_use]
    pub const fn of(tcp: Tcp) -> Self {
        Self { tcp, fragmented: false, vlans: &[] }
    }

    /// The ethernet frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        let packet = if self.fragmented { self.tcp.first_fragment() } else { self.tcp.packet() };
        let kinds = [VLAN, SERVICE_VLAN].into_iter().cycle();
        of_vlans(&packet, &kinds.zip(self.vlans.iter().copied()).collect::<Vec<_>>())
    }

    /// Whether the interface's host gets it at this very interface.
    #[must_use]
    pub fn is_for_this_interface(&self) -> bool {
        is_for_this_interface(self.vlans)
    }

    /// Whether more priority tags than are followed hide what it is.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.is_for_this_interface() && self.vlans.len() > 8
    }

    fn source(&self) -> Address {
        self.tcp.source.ip().into()
    }

    fn destination(&self) -> Address {
        self.tcp.destination.ip().into()
    }

    fn scope(&self) -> u32 {
        if self.source().is_link_local() || self.destination().is_link_local() { INTERFACE } else { 0 }
    }

    /// The connection, if the client sent this.
    #[must_use]
    pub fn as_client(&self) -> ConnectionKey {
        ConnectionKey {
            client: self.source(),
            server: self.destination(),
            client_port: self.tcp.source.port(),
            server_port: self.tcp.destination.port(),
            scope: self.scope(),
        }
    }

    /// The connection, if the server sent this.
    #[must_use]
    pub fn as_server(&self) -> ConnectionKey {
        let ConnectionKey { client, server, client_port, server_port, scope } = self.as_client();
        ConnectionKey { client: server, server: client, client_port: server_port, server_port: client_port, scope }
    }

    /// An IPv6 packet with an IPv4-mapped address.
    fn is_mapped(&self) -> bool {
        self.tcp.is_v6() && (self.source().is_v4() || self.destination().is_v4())
    }

    /// Whether it begins a connection.
    #[must_use]
    pub const fn opens(&self) -> bool {
        self.tcp.flags & (SYN | ACK) == SYN
    }

    const fn has(&self, flag: u8) -> bool {
        self.tcp.flags & flag != 0
    }

    /// As a segment of the session it belongs to. The urgent byte matters in the client's only.
    fn segment(&self) -> Segment {
        let Tcp { seq, ack, flags, .. } = self.tcp;
        Segment { seq, ack, length: self.tcp.length(), flags, hides_a_byte: false }
    }

    /// Its urgent byte is no Telnet command, or isn't here. The pointer goes to the byte behind it; Linux
    /// takes 0 for the first byte as well.
    fn hides_a_byte(&self) -> bool {
        let place = usize::from(self.tcp.urgent.saturating_sub(1));
        self.has(URG) && self.tcp.payload.get(place).is_none_or(|byte| *byte < 240)
    }
}

/// Whether what has tags of these VLANs belongs to the interface that it comes by: they say a priority only.
fn is_for_this_interface(vlans: &[u16]) -> bool {
    vlans.iter().all(|vlan| *vlan == 0)
}

/// All that the program knows.
#[derive(Clone, Debug)]
pub struct Model {
    /// What the loader told it about the interface.
    pub setup: Setup,
    /// The policy.
    pub policy: ServerPolicy,
    /// Whose policy it is.
    pub servers: Vec<Address>,
    /// Nanoseconds; each packet moves it.
    pub now: u64,
    /// The HANDSHAKES map.
    pub handshakes: HashMap<ConnectionKey, Handshake>,
    /// The SESSIONS map.
    pub sessions: HashMap<ConnectionKey, Session>,
    /// The EXPECTATIONS map.
    pub expectations: HashMap<ExpectationKey, Expectation>,
    /// The FLOWS map.
    pub flows: HashMap<ConnectionKey, Flow>,
    /// The HALF_OPEN map, by connection.
    pub half_open: HashMap<ConnectionKey, HalfOpenFlow>,
    /// The USED map.
    pub used: HashMap<ExpectationKey, Used>,
    /// The CLOSED map.
    pub closed: HashMap<ConnectionKey, Closed>,
    /// The CLIENTS map.
    pub clients: HashMap<ClientKey, limit::Sessions>,
    /// The STATS map.
    pub counters: Counters,
}

impl Model {
    /// Nothing has passed yet.
    #[must_use]
    pub fn new(setup: Setup, policy: ServerPolicy, servers: Vec<Address>) -> Self {
        Self {
            setup,
            policy,
            servers,
            now: 1_000_000 * SECOND,
            handshakes: HashMap::new(),
            sessions: HashMap::new(),
            expectations: HashMap::new(),
            flows: HashMap::new(),
            half_open: HashMap::new(),
            used: HashMap::new(),
            closed: HashMap::new(),
            clients: HashMap::new(),
            counters: Counters::default(),
        }
    }

    /// The verdict on a packet.
    pub fn packet(&mut self, hook: Hook, packet: &Packet) -> Verdict {
        self.now += 1000;
        if packet.is_hidden() {
            return self.deny(Counter::DeniedVlanTags);
        }
        let (from, to) = (packet.tcp.source.port(), packet.tcp.destination.port());
        if self.is_control(packet.destination(), to) {
            self.client_speaks(hook, packet)
        } else if self.is_control(packet.source(), from) && !packet.opens() {
            self.server_speaks(hook, packet)
        } else {
            self.data(hook, packet)
        }
    }

    /// Lets time pass.
    pub fn age(&mut self, by: Duration) {
        self.now += u64::try_from(by.as_nanos()).expect("less than centuries");
    }

    fn is_server(&self, address: Address) -> bool {
        self.servers.contains(&address)
    }

    fn is_control(&self, address: Address, port: u16) -> bool {
        port != 0 && self.policy.is_control(port) && self.is_server(address)
    }

    /// Whether packets of an end pass this way at a hook.
    fn is_right_direction(&self, hook: Hook, server: bool) -> bool {
        let egress = hook != Hook::Ingress;
        let returned = hook == Hook::Egress { came_in_by: INTERFACE };
        match self.setup.side {
            Side::Both => true,
            Side::ServersBehind => server == egress && !returned,
            Side::ServersBeyond => server != egress && !returned,
        }
    }

    /// Early segments are deferred only where another TCP will repeat them.
    fn may_defer(&self, hook: Hook) -> bool {
        !Self::is_local(hook) && !self.policy.has(flag::MONITOR)
    }

    /// Made by this host's own TCP.
    fn is_local(hook: Hook) -> bool {
        hook == Hook::Egress { came_in_by: 0 }
    }

    fn count(&mut self, counter: Counter) {
        self.counters.add(counter, 1);
    }

    fn flush(&mut self, counts: &Counts) {
        for (counter, times) in Counter::ALL.iter().zip(counts.raised) {
            self.counters.add(*counter, u64::from(times));
        }
    }

    fn deny(&mut self, reason: Counter) -> Verdict {
        self.count(reason);
        if self.policy.has(flag::MONITOR) {
            self.count(Counter::MonitorPassed);
            return Verdict::Pass;
        }
        Verdict::Drop
    }
}
