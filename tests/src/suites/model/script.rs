//! A script: bytes that stand for a setting and what happens in it. The property tests draw them,
//! the fuzzers mutate them, and the corpus keeps them.
//!
//! Eight bytes are the head, each eight more are a step, so that taking a step out, or setting a
//! byte to zero, leaves a script. Any bytes are one.

use std::net::{IpAddr, SocketAddr};

use ftp_common::policy::{CONTROL_PORTS, ServerPolicy, Side, flag};

use crate::PASSIVE_RANGE;
use crate::subject::test_run::{FORWARDED, Hook, LOCAL, Setup};

/// One step; see [`super::world`].
pub type Step = [u8; 8];

/// The most steps of a script that are looked at.
const MOST_STEPS: usize = 64;

/// A setting and what happens in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Script {
    /// See [`Setting::of`].
    pub head: Step,
    /// What happens.
    pub steps: Vec<Step>,
}

impl Script {
    /// What these bytes stand for.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut chunks = bytes.chunks(8).map(|chunk| {
            let mut step = Step::default();
            step[..chunk.len()].copy_from_slice(chunk);
            step
        });
        let head = chunks.next().unwrap_or_default();
        Self { head, steps: chunks.take(MOST_STEPS).collect() }
    }

    /// The bytes that stand for it.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[self.head], self.steps.as_slice()].concat().concat()
    }
}

/// How a control connection begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Beginning {
    /// By its handshake, and the server greets.
    Handshake,
    /// It is picked up midstream.
    Midstream,
    /// By a handshake that agrees on Multipath TCP.
    Multipath,
    /// By its handshake; the client's first command is its first acknowledgement.
    CommandFirst,
}

/// Where a script takes place.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The interface.
    pub setup: Setup,
    /// The policy.
    pub policy: ServerPolicy,
    /// The server's address.
    pub server: IpAddr,
    /// Two clients' addresses.
    pub clients: [IpAddr; 2],
    /// Who leads each control connection, from which port, and how it begins.
    pub sessions: Vec<(SocketAddr, Beginning)>,
    /// At egress, packets come from this host itself.
    pub local: bool,
    /// Nothing is lost, forged or reset.
    pub calm: bool,
}

/// The control port of every script.
pub const CONTROL: u16 = 21;
/// The active port of every script.
pub const ACTIVE: u16 = 20;

impl Setting {
    /// Bytes of the head: 0 interface and family, 1 flags, 2 sessions and their limit, 3 their
    /// beginnings, 4 what the policy allows, 5 whether it is calm.
    #[must_use]
    pub fn of(head: Step) -> Self {
        let setup = match head[0] % 4 {
            0 | 3 => Setup::SERVERS_BEHIND,
            1 => Setup::SERVERS_BEYOND,
            _ => Setup::LOOPBACK,
        };
        let addresses = if head[0] & 0x40 == 0 {
            ["10.0.1.1", "10.0.1.2", "10.0.1.3"]
        } else if head[0] & 0x20 == 0 {
            ["fd00::1", "fd00::2", "fd00::3"]
        } else {
            ["fe80::1", "fe80::2", "fe80::3"]
        };
        let [server, first, second] = addresses.map(|address| address.parse().expect("an address"));
        let beginning = |at: u32| match head[3].rotate_left(3 * at) & 7 {
            1 => Beginning::Midstream,
            2 if head[3] & 0xc0 == 0xc0 => Beginning::Multipath,
            3 => Beginning::CommandFirst,
            _ => Beginning::Handshake,
        };
        let ends = [(first, 40000), (first, 40005), (second, 40000)];
        let sessions = (0u32..).zip(ends).take(1 + usize::from(head[2] % 3));
        Self {
            setup,
            policy: policy(head),
            server,
            clients: [first, second],
            sessions: sessions.map(|(at, end)| (end.into(), beginning(at))).collect(),
            local: head[0] & 0x80 == 0,
            calm: head[5] & 1 == 0,
        }
    }

    /// The hook that packets to the server pass, or those from it. On the loopback interface they pass both.
    #[must_use]
    pub const fn hook(&self, to_server: bool) -> Hook {
        self.hook_of(to_server != matches!(self.setup.side, Side::ServersBeyond))
    }

    /// The hook of packets that come in, or go out.
    #[must_use]
    pub const fn hook_of(&self, ingress: bool) -> Hook {
        if ingress {
            Hook::Ingress
        } else if self.local {
            LOCAL
        } else {
            FORWARDED
        }
    }

    /// The server's end of every control connection.
    #[must_use]
    pub const fn control(&self) -> SocketAddr {
        SocketAddr::new(self.server, CONTROL)
    }
}

fn policy(head: Step) -> ServerPolicy {
    let mut flags = 0;
    for (bit, flag) in
        [(0x10, flag::MONITOR), (2, flag::PASV_PROMISCUOUS), (4, flag::PORT_PROMISCUOUS), (8, flag::ANNOUNCED_STRICT)]
    {
        // Monitor mode hides much: one script in four has it.
        if head[1] & bit != 0 && (flag != flag::MONITOR || head[1] & 1 != 0) {
            flags |= flag;
        }
    }
    let mut control_ports = [0; CONTROL_PORTS];
    control_ports[0] = CONTROL;
    let (passive, active) = (head[4] & 0xf != 1, head[4] & 0xf0 != 0x10);
    ServerPolicy {
        control_ports,
        passive_first: if passive { *PASSIVE_RANGE.start() } else { 0 },
        passive_last: if passive { *PASSIVE_RANGE.end() } else { 0 },
        active_port: if active { ACTIVE } else { 0 },
        flags,
        expectation_timeout: 300,
        sessions_per_client: if head[2] & 0xf0 == 0x10 { 1 } else { 128 },
        mark: 0,
        mark_mask: 0,
    }
}
