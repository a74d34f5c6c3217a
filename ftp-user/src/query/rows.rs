//! What is shown, in the shape that `--json` prints.

use std::net::IpAddr;

use ftp_common::address::Address;
use ftp_common::counter::Counter;
use ftp_common::expectation::Expectation;
use ftp_common::flow::{AT_LEAST, Flow, state};
use ftp_common::keys::{ConnectionKey, ExpectationKey, Mode};
use ftp_common::session::{LEARNED, Session, kind, opaque};
use serde::{Serialize, Serializer};

use crate::ebpf::features::Features;
use crate::endpoint::{BothWays, endpoint, pair};
use crate::owner::Learning;
use crate::policy::attachment::{Hook, SideName};
use crate::query::policy_row::PolicyRow;
use crate::sys::clock;

/// One control connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SessionRow {
    /// Address and port.
    pub client: String,
    /// Address and port.
    pub server: String,
    /// Whether it can open anything: `in sync`, `resyncing` or `opaque`.
    pub state: &'static str,
    /// What the last USER said, if it was sent in the clear; bytes that are no text are replaced, and it is
    /// cut to 32 bytes.
    pub user: Option<String>,
    /// What the data connections of an encrypted session are known by: `owner`, the process that serves it and no other
    /// session, or `none`.
    pub evidence: Option<&'static str>,
    /// How its data connections are made, by the last negotiation: `passive`, `active`, or `range` where an
    /// encrypted session has opened the passive range to its client.
    pub mode: Option<&'static str>,
    /// Since it was first seen.
    pub age_seconds: f64,
    /// Commands without a reply yet.
    pub waiting: u32,
    /// Their kinds, the oldest first: `PASV`, `EPSV`, `PORT` (or EPRT), `transfer`, `REIN`, `ABOR`, `other`.
    pub waits_for: Vec<&'static str>,
}

/// One data connection that was negotiated and has not begun.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExpectationRow {
    /// Address; `None` if any client may connect.
    pub client: Option<IpAddr>,
    /// Address.
    pub server: IpAddr,
    /// The listening port: the server's in passive mode, the client's in active mode.
    pub port: u16,
    /// `passive` or `active`.
    pub mode: &'static str,
    /// Until it expires.
    pub expires_in_seconds: f64,
    /// What it is known by: the server's `reply`, or the `owner` of the socket, the process that serves an encrypted session.
    pub evidence: &'static str,
    /// Its control connection, `client:port-server:port`.
    pub session: String,
}

/// One data connection that was let in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FlowRow {
    /// Address and port.
    pub client: String,
    /// Address and port.
    pub server: String,
    /// `passive` or `active`.
    pub mode: &'static str,
    /// `syn_sent`, `syn_recv`, `established`, `ended` or `denied`.
    pub state: &'static str,
    /// TCP payload bytes each way, by the server's numbers: of an open flow behind, up to 64 KiB of a download, more of an
    /// upload that is acknowledged in large steps.
    pub bytes: BothWays,
    /// More bytes passed than were counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
    /// Since its first SYN.
    pub age_seconds: f64,
    /// Its control connection, `client:port-server:port`.
    pub control: String,
}

/// One interface that is to be guarded.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct InterfaceRow {
    /// Its name.
    pub name: String,
    /// Its index; 0 before it was there.
    pub index: u32,
    /// Where servers are, seen from it.
    pub side: SideName,
    /// How the programs hang on it.
    pub hook: Hook,
    /// Whether both programs are active.
    pub attached: bool,
    /// `attached`, `unprotected` (it is there and not guarded) or `missing`.
    pub state: &'static str,
    /// Version of the ftptrack that attached to it last.
    pub version: String,
}

/// What `status` shows.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Status {
    /// This program's version.
    pub version: &'static str,
    /// Version of the maps' shapes.
    pub abi: u32,
    /// The pin directory.
    pub pin_dir: String,
    /// What the kernel has, as it was found when something was attached.
    pub kernel: Option<Features>,
    /// Interfaces that are to be guarded.
    pub interfaces: Vec<InterfaceRow>,
    /// Addresses of the host that are not yet servers', though the policy goes by them.
    pub unprotected_addresses: Vec<String>,
    /// The active policy.
    pub policy: PolicyRow,
    /// Whether encrypted sessions are learned from, if the policy says so.
    pub learning: Option<Learning>,
    /// Number of sessions.
    pub sessions: usize,
    /// Number of expectations that stand.
    pub expectations: usize,
    /// Number of flows.
    pub flows: usize,
}

/// All counters, in their order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stats(pub Vec<(Counter, u64)>);

/// As an object: counts by the counters' names.
impl Serialize for Stats {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(counter, count)| (counter.name(), count)))
    }
}

/// What is known of an encrypted session beside its own entry.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Encrypted {
    /// Its client may use the whole passive range.
    pub opens_range: bool,
    /// A process serves it and no other one.
    pub is_owned: bool,
}

impl SessionRow {
    /// The row of an entry of the SESSIONS map, at a time of the kernel's.
    #[must_use]
    pub fn new(key: &ConnectionKey, session: &Session, encrypted: Encrypted, now: u64) -> Self {
        let user = session.client.parser.user();
        let waits_for: Vec<_> = session.pending_commands().map(|command| kind_name(command.asked())).collect();
        let state = if session.server.opaque != 0 {
            "opaque"
        } else if session.is_in_sync() {
            "in sync"
        } else {
            "resyncing"
        };
        Self {
            client: endpoint(key.client, key.client_port),
            server: endpoint(key.server, key.server_port),
            state,
            user: (!user.is_empty()).then(|| String::from_utf8_lossy(user).into_owned()),
            evidence: (session.server.opaque == opaque::ENCRYPTED).then_some(if encrypted.is_owned {
                "owner"
            } else {
                "none"
            }),
            mode: match session.server.standing.mode {
                _ if encrypted.opens_range => Some("range"),
                0 => None,
                mode => Some(Mode::from_number(mode).name()),
            },
            age_seconds: clock::seconds_since(session.since, now),
            waiting: session.pending(),
            waits_for,
        }
    }
}

impl SessionRow {
    /// Its state for people; of an encrypted session what its data connections are known by.
    #[must_use]
    pub fn shown_state(&self) -> String {
        self.evidence.map_or_else(|| self.state.to_owned(), |evidence| format!("FTPS, {evidence}"))
    }
}

/// What a waiting command is.
const fn kind_name(asked: u8) -> &'static str {
    match asked {
        kind::PASV => "PASV",
        kind::EPSV => "EPSV",
        kind::PORT => "PORT",
        kind::TRANSFER => "transfer",
        kind::REIN => "REIN",
        kind::ABOR => "ABOR",
        _ => "other",
    }
}

impl ExpectationRow {
    /// The row of an entry of the EXPECTATIONS map, at a time of the kernel's.
    #[must_use]
    pub fn new(key: &ExpectationKey, expectation: &Expectation, now: u64) -> Self {
        let session = &expectation.session;
        Self {
            client: (key.client != Address::ANY).then(|| key.client.into()),
            server: key.server.into(),
            port: key.port,
            mode: Mode::from_number(key.mode).name(),
            expires_in_seconds: clock::seconds(expectation.expires.saturating_sub(now)),
            evidence: if expectation.serial == LEARNED { "owner" } else { "reply" },
            session: pair(session.client, session.client_port, session.server, session.server_port),
        }
    }
}

impl ExpectationRow {
    /// How `ftptrack flush` knows it: `MODE:CLIENT-SERVER:PORT`, the client `any` if any may connect.
    #[must_use]
    pub fn name(&self) -> String {
        let client = self.client.map_or_else(|| "any".to_owned(), |address| address.to_string());
        let Self { mode, server, port, .. } = self;
        format!("{mode}:{client}-{server}:{port}")
    }
}

impl FlowRow {
    /// The row of an entry of the FLOWS map, at a time of the kernel's.
    #[must_use]
    pub fn new(key: &ConnectionKey, flow: &Flow, now: u64) -> Self {
        Self {
            client: endpoint(key.client, key.client_port),
            server: endpoint(key.server, key.server_port),
            mode: Mode::from_number(flow.mode).name(),
            state: match flow.state {
                state::SYN_SENT => "syn_sent",
                state::SYN_RECV => "syn_recv",
                state::ESTABLISHED | state::UNCONFIRMED => "established",
                state::ENDED => "ended",
                _ => "denied",
            },
            bytes: flow.bytes.into(),
            at_least: flow.marks & AT_LEAST != 0,
            age_seconds: clock::seconds_since(flow.since, now),
            control: pair(key.client, flow.control_client_port, key.server, flow.control_server_port),
        }
    }
}

#[cfg(test)]
#[path = "rows_tests.rs"]
mod tests;
