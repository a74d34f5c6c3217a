//! What was asked for, in a file, by options, or both: each setting with the place where it stands.

use ftp_common::policy::Side;
use ipnet::IpNet;

use super::origin::{Complaints, Given, Origin};
use super::value::Problem;
use crate::policy::attachment::Hook;
use crate::policy::{ActivePort, Ftps, Mark, PortRange};

/// What was asked for. Each value is right by itself.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The file that it is of, for what is missing in it.
    pub file: Option<Origin>,
    /// Interfaces.
    pub interfaces: Vec<InterfaceDraft>,
    /// Whether to monitor only, where a server says nothing else.
    pub monitor: Option<Given<bool>>,
    /// Whether flows carry counts.
    pub accounting: Option<Given<bool>>,
    /// How many sessions there is room for.
    pub max_sessions: Option<Given<u32>>,
    /// How many flows there is room for.
    pub max_flows: Option<Given<u32>>,
    /// Servers.
    pub servers: Vec<ServerDraft>,
}

/// An interface.
#[derive(Clone, Debug)]
pub struct InterfaceDraft {
    /// Its name.
    pub name: Given<String>,
    /// Where servers are, seen from it.
    pub side: Option<Given<Side>>,
    /// How to attach to it.
    pub hook: Option<Given<Hook>>,
}

/// A server, or several with the same rules.
#[derive(Clone, Debug, Default)]
pub struct ServerDraft {
    /// Where it begins in a file, or its first option; none for one that nothing is said of.
    pub origin: Option<Origin>,
    /// Whether one of its values is wrong, and so is missing here.
    pub broken: bool,
    /// Addresses and prefixes; none: this host's own.
    pub addresses: Vec<Given<IpNet>>,
    /// Control ports; none: the usual one.
    pub control_ports: Vec<Given<u16>>,
    /// The passive range.
    pub passive_range: Option<Given<PortRange>>,
    /// Whether passive mode is allowed.
    pub passive: Option<Given<bool>>,
    /// The active port.
    pub active_port: Option<Given<ActivePort>>,
    /// Whether active mode is allowed.
    pub active: Option<Given<bool>>,
    /// Whether others may use passive expectations.
    pub pasv_promiscuous: Option<Given<bool>>,
    /// Whether PORT may name others.
    pub port_promiscuous: Option<Given<bool>>,
    /// Whether a 227 must name the server itself.
    pub announced_strict: Option<Given<bool>>,
    /// Seconds.
    pub expectation_timeout: Option<Given<u32>>,
    /// Sessions of one client.
    pub sessions_per_client: Option<Given<u32>>,
    /// What FTPS may open.
    pub ftps: Option<Given<Ftps>>,
    /// Whether to monitor only.
    pub monitor: Option<Given<bool>>,
    /// The skb mark.
    pub mark: Option<Given<Mark>>,
}

impl Draft {
    /// Puts what options ask for in the place of what the file says. Settings of a server are those
    /// of the only one: which of several were meant can't be known.
    pub fn overlay(&mut self, options: Self, complaints: &mut Complaints) {
        if !options.interfaces.is_empty() {
            self.interfaces = options.interfaces;
        }
        replace(&mut self.accounting, options.accounting);
        if let Some(monitor) = options.monitor {
            // Whatever the file says of each.
            self.servers.iter_mut().for_each(|server| server.monitor = Some(monitor.clone()));
            self.monitor = Some(monitor);
        }
        for options in options.servers {
            match (&mut self.servers[..], &options.origin) {
                ([], _) => self.servers.push(options),
                ([only], _) => only.overlay(options),
                (several, Some(origin)) => complaints.add(
                    origin,
                    Problem::new(
                        format_args!("the configuration has {} servers, and which is meant is not said", several.len()),
                        "write it into the configuration file",
                    ),
                ),
                (_, None) => {}
            }
        }
    }
}

impl ServerDraft {
    fn overlay(&mut self, options: Self) {
        self.broken |= options.broken;
        if !options.addresses.is_empty() {
            self.addresses = options.addresses;
        }
        if !options.control_ports.is_empty() {
            self.control_ports = options.control_ports;
        }
        replace(&mut self.passive_range, options.passive_range);
        replace(&mut self.passive, options.passive);
        replace(&mut self.active_port, options.active_port);
        replace(&mut self.active, options.active);
        replace(&mut self.pasv_promiscuous, options.pasv_promiscuous);
        replace(&mut self.port_promiscuous, options.port_promiscuous);
        replace(&mut self.announced_strict, options.announced_strict);
        replace(&mut self.expectation_timeout, options.expectation_timeout);
        replace(&mut self.sessions_per_client, options.sessions_per_client);
        replace(&mut self.ftps, options.ftps);
        replace(&mut self.monitor, options.monitor);
        replace(&mut self.mark, options.mark);
    }
}

fn replace<T>(present: &mut Option<T>, by: Option<T>) {
    if by.is_some() {
        *present = by;
    }
}
