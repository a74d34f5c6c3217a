//! A policy that is valid as a whole: which servers, and the rules of each. It says nothing of where it
//! came from: [`crate::config`] makes it of arguments and files, [`crate::ebpf::policy_maps`] reads it back from the kernel.

use std::fmt;
use std::ops::RangeInclusive;

use ftp_common::policy::MAX_SESSIONS_PER_CLIENT;
use ipnet::IpNet;

pub mod attachment;
pub(crate) mod encode;
mod notes;
pub mod summary;
pub mod toml;

/// Seconds that an expectation lives after the server's word, unless a transfer renews it.
pub const EXPECTATION_TIMEOUT: u32 = 300;
/// The longest that can be asked for: a day.
pub const MAX_EXPECTATION_TIMEOUT: u32 = 86_400;
/// The control port, where none is named (RFC 959 §8).
pub const CONTROL_PORT: u16 = 21;
/// The source port of active data connections, where none is named (RFC 959 §3.2).
pub const ACTIVE_PORT: u16 = 20;
/// Addresses and prefixes that a policy may name: two generations of them, with this host's own,
/// fit into the SERVERS map.
pub const MAX_NAMED: usize = 8_000;
/// Ports below belong to the system's services; no data connection is let in there.
pub const FIRST_PASSIVE: u16 = 1024;

/// The rules of servers; of one at least.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policy {
    /// For this host's own addresses, followed as they change, unless they are named below.
    pub own: Option<Rules>,
    /// For servers by address. No prefix is named twice; the longest that fits decides.
    pub named: Vec<Named>,
    /// Whether flows carry packet and byte counts.
    pub accounting: bool,
}

/// Of no server yet.
impl Default for Policy {
    fn default() -> Self {
        Self { own: None, named: Vec::new(), accounting: true }
    }
}

/// Servers by address, and their rules.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Named {
    /// Their addresses and networks, one at least.
    pub prefixes: Vec<IpNet>,
    /// Their rules.
    pub rules: Rules,
}

/// The rules of a server. Its control ports, passive range and active port lie apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rules {
    /// One to eight ports, in the order given.
    pub control_ports: Vec<u16>,
    /// Guarded ports. `None`: passive mode is refused, and no passive port is guarded.
    pub passive_range: Option<PortRange>,
    /// Whether passive mode is allowed; a range is guarded all the same.
    pub passive: bool,
    /// Where active data connections come from.
    pub active_port: ActivePort,
    /// Whether active mode is allowed; a port is guarded all the same.
    pub active: bool,
    /// Another client address may use a passive expectation.
    pub pasv_promiscuous: bool,
    /// PORT and EPRT may name another address (FXP).
    pub port_promiscuous: bool,
    /// A 227 that names another address than the server's own is refused.
    pub announced_strict: bool,
    /// Seconds that an expectation lives after the server's word, unless a transfer renews it.
    pub expectation_timeout: u32,
    /// Control connections of one client that are followed at a time.
    pub sessions_per_client: u32,
    /// What an encrypted control connection may open.
    pub ftps: Ftps,
    /// Deny nothing, only count and report.
    pub monitor: bool,
    /// The skb mark of data packets that are let in.
    pub mark: Option<Mark>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            control_ports: vec![CONTROL_PORT],
            passive_range: None,
            passive: true,
            active_port: ActivePort::Port(ACTIVE_PORT),
            active: true,
            pasv_promiscuous: false,
            port_promiscuous: false,
            announced_strict: false,
            expectation_timeout: EXPECTATION_TIMEOUT,
            sessions_per_client: MAX_SESSIONS_PER_CLIENT,
            ftps: Ftps::Deny,
            monitor: false,
            mark: None,
        }
    }
}

impl Rules {
    /// Whether passive mode can be negotiated at all.
    #[must_use]
    pub const fn allows_passive(&self) -> bool {
        self.passive && self.passive_range.is_some()
    }

    /// `monitor` or `enforce`.
    #[must_use]
    pub const fn mode(&self) -> &'static str {
        if self.monitor { "monitor" } else { "enforce" }
    }

    /// Whether active mode can be negotiated at all.
    #[must_use]
    pub fn allows_active(&self) -> bool {
        self.active && self.active_port != ActivePort::None
    }
}

/// A range of ports from 1024 up, both ends included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PortRange {
    /// Its first port; not above `last`.
    pub first: u16,
    /// Its last port.
    pub last: u16,
}

impl PortRange {
    /// Whether a port is in it.
    #[must_use]
    pub const fn contains(&self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Its ports.
    #[must_use]
    pub const fn ports(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

/// Where active data connections come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ActivePort {
    /// This port of the server's, which is guarded.
    Port(u16),
    /// Any port of the server's: none is guarded, and they are tracked when expected.
    Any,
    /// None: active mode is refused, and no source port is guarded.
    None,
}

impl fmt::Display for ActivePort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => port.fmt(f),
            Self::Any => f.write_str("any"),
            Self::None => f.write_str("none"),
        }
    }
}

/// What a control connection that can't be read, being encrypted, may open.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Ftps {
    /// Nothing.
    #[default]
    Deny,
    /// The passive range, for its client's address alone, while it lives.
    ClientRange,
    /// What the process that serves it opens, for its client alone: learned on the server's own host.
    Learn,
}

impl Ftps {
    /// The name in options, files and output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::ClientRange => "client-range",
            Self::Learn => "learn",
        }
    }
}

/// Bits that the skb mark gets: `old & !mask | value`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Mark {
    /// The bits' values; none outside of the mask.
    pub value: u32,
    /// Which bits; one at least.
    pub mask: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}/{:#x}", self.value, self.mask)
    }
}
