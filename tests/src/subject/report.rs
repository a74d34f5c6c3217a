//! What `ftptrack … --json` answers.

use ftp_common::counter::Counter;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `ftptrack status`.
#[derive(Debug, Deserialize)]
pub struct Status {
    /// What the kernel has.
    pub kernel: Kernel,
    /// The interfaces it is attached to.
    pub interfaces: Vec<Interface>,
    /// What is allowed.
    pub policy: Policy,
    /// Sessions being followed.
    pub sessions: u64,
    /// Data connections that were negotiated and have not begun.
    pub expectations: u64,
    /// Data connections.
    pub flows: u64,
}

/// The kernel of a [`Status`].
#[derive(Debug, Deserialize, Serialize)]
pub struct Kernel {
    /// As `uname -r` says it.
    pub release: String,
    /// Whether it has TCX.
    pub tcx: bool,
    /// What else it has, by name.
    #[serde(flatten)]
    pub others: BTreeMap<String, bool>,
}

/// One interface of a [`Status`].
#[derive(Debug, Deserialize)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// `servers-behind`, `servers-beyond`, …
    pub side: String,
    /// `tcx` or `clsact`.
    pub hook: String,
    /// Whether the filter is in place.
    pub attached: bool,
    /// `attached`, `bare` or `absent`.
    pub state: String,
}

/// The policy of a [`Status`], and `ftptrack policy show`.
#[derive(Debug, Deserialize)]
pub struct Policy {
    /// Raised by one with each change.
    pub generation: u32,
    /// What holds for which servers.
    pub servers: Vec<ServerPolicy>,
}

impl Policy {
    /// What holds for the only servers.
    #[track_caller]
    pub fn only(&self) -> &ServerPolicy {
        let [only] = &self.servers[..] else { panic!("{:#?}", self.servers) };
        only
    }
}

/// What holds for some servers.
#[derive(Debug, Deserialize, Eq, PartialEq)]
pub struct ServerPolicy {
    /// Addresses and prefixes.
    pub addresses: Vec<String>,
    /// Whether they are this host's own.
    pub follows_interfaces: bool,
    /// Their control ports.
    pub control_ports: Vec<u16>,
    /// `first-last`.
    pub passive_range: Option<String>,
    /// Source port of active data connections: a number or `any`.
    pub active_port: Option<serde_json::Value>,
    /// Seconds.
    pub expectation_timeout: u32,
    /// `enforce` or `monitor`.
    pub mode: String,
}

/// One of `ftptrack flows`.
#[derive(Debug, Deserialize)]
pub struct Flow {
    /// The client's end.
    pub client: String,
    /// The server's end.
    pub server: String,
    /// `passive` or `active`.
    pub mode: String,
    /// `established`, `ended`, …
    pub state: String,
    /// TCP payload bytes each way.
    pub bytes: Sides,
    /// `client-server` of the control connection.
    pub control: String,
}

/// What each end sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
pub struct Sides {
    /// From the client.
    pub client: u64,
    /// From the server.
    pub server: u64,
}

/// One of `ftptrack expectations`.
#[derive(Debug, Deserialize)]
pub struct Expectation {
    /// The client's address, unless any may come.
    pub client: Option<String>,
    /// The server's address.
    pub server: String,
    /// The port that will be connected to.
    pub port: u16,
    /// `passive` or `active`.
    pub mode: String,
    /// How long it holds, if nothing renews it.
    pub expires_in_seconds: f64,
    /// `reply` or `owner`.
    pub evidence: String,
}

/// One of `ftptrack sessions`.
#[derive(Debug, Deserialize)]
pub struct Session {
    /// The client's end.
    pub client: String,
    /// The server's end.
    pub server: String,
    /// `in sync`, `resyncing` or `opaque`.
    pub state: String,
    /// Of an encrypted one: `owner` or `none`.
    pub evidence: Option<String>,
}

/// `ftptrack stats`: all counters.
#[derive(Debug, Deserialize)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    /// One counter.
    #[track_caller]
    pub fn of(&self, counter: Counter) -> u64 {
        *self.0.get(counter.name()).unwrap_or_else(|| panic!("stats has no {}", counter.name()))
    }

    /// The counters that were raised since `before`, and how often.
    pub fn raised_since(&self, before: &Self) -> Vec<(&str, u64)> {
        let raised = |(name, value): (&'_ String, &u64)| value - before.0.get(name).unwrap_or(&0);
        let all = self.0.iter().map(|counter| (counter.0.as_str(), raised(counter)));
        all.filter(|(_, number)| *number != 0).collect()
    }

    /// All denials.
    pub fn denied(&self) -> u64 {
        self.sum_of("denied_")
    }

    /// All negotiations that were refused.
    pub fn refused(&self) -> u64 {
        self.sum_of("refused_")
    }

    fn sum_of(&self, prefix: &str) -> u64 {
        self.0.iter().filter(|(name, _)| name.starts_with(prefix)).map(|(_, value)| value).sum()
    }
}
