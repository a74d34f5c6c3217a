//! The active policy, in the shape that `--json` prints.

use serde::Serialize;

use crate::ebpf::policy_maps::ActivePolicy;
use crate::policy::{ActivePort, Rules};

/// The active policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct PolicyRow {
    /// Raised by one whenever the policy or this host's own addresses change.
    pub generation: u32,
    /// Whether flows carry packet and byte counts.
    pub accounting: bool,
    /// The rules of each server.
    pub servers: Vec<ServerRow>,
}

/// The rules of some servers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ServerRow {
    /// Addresses and prefixes.
    pub addresses: Vec<String>,
    /// Whether they are this host's own, followed as they change.
    pub follows_interfaces: bool,
    /// Control ports.
    pub control_ports: Vec<u16>,
    /// `FIRST-LAST`; `None`: passive mode is refused, and no passive port is guarded.
    pub passive_range: Option<String>,
    /// Whether passive mode is allowed.
    pub passive: bool,
    /// `None`: active mode is refused, and no source port is guarded.
    pub active_port: Option<PortOrAny>,
    /// Whether active mode is allowed.
    pub active: bool,
    /// Whether another client address may use a passive expectation.
    pub pasv_promiscuous: bool,
    /// Whether PORT and EPRT may name another address.
    pub port_promiscuous: bool,
    /// `any` or `strict`.
    pub announced_address: &'static str,
    /// Seconds.
    pub expectation_timeout: u32,
    /// Control connections of one client that are followed at a time.
    pub sessions_per_client: u32,
    /// `deny` or `client-range`.
    pub ftps: &'static str,
    /// `enforce` or `monitor`.
    pub mode: &'static str,
    /// `0xVALUE/0xMASK`.
    pub mark: Option<String>,
}

/// A port as a number, or `"any"`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PortOrAny {
    /// This one.
    Port(u16),
    /// `"any"`.
    Any(&'static str),
}

impl From<&ActivePolicy> for PolicyRow {
    fn from(active: &ActivePolicy) -> Self {
        let own = active.policy.own.iter().map(|rules| {
            let addresses = active.own.iter().map(ToString::to_string).collect();
            ServerRow::new(addresses, true, rules)
        });
        let named = active.policy.named.iter().map(|named| {
            let addresses = named.prefixes.iter().map(ToString::to_string).collect();
            ServerRow::new(addresses, false, &named.rules)
        });
        Self {
            generation: active.generation,
            accounting: active.policy.accounting,
            servers: own.chain(named).collect(),
        }
    }
}

impl ServerRow {
    fn new(addresses: Vec<String>, follows_interfaces: bool, rules: &Rules) -> Self {
        Self {
            addresses,
            follows_interfaces,
            control_ports: rules.control_ports.clone(),
            passive_range: rules.passive_range.map(|range| range.to_string()),
            passive: rules.passive,
            active_port: match rules.active_port {
                ActivePort::Port(port) => Some(PortOrAny::Port(port)),
                ActivePort::Any => Some(PortOrAny::Any("any")),
                ActivePort::None => None,
            },
            active: rules.active,
            pasv_promiscuous: rules.pasv_promiscuous,
            port_promiscuous: rules.port_promiscuous,
            announced_address: if rules.announced_strict { "strict" } else { "any" },
            expectation_timeout: rules.expectation_timeout,
            sessions_per_client: rules.sessions_per_client,
            ftps: rules.ftps.as_str(),
            mode: rules.mode(),
            mark: rules.mark.map(|mark| mark.to_string()),
        }
    }
}
