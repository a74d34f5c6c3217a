//! Options of the command line, as they were written.

use std::fmt;
use std::path::{Path, PathBuf};

use ftp_common::policy::Side;

use super::USUAL;
use super::draft::{Draft, InterfaceDraft, ServerDraft};
use super::origin::{Complaints, Given, Origin};
use super::value::{self, Problem};
use crate::policy::attachment::Hook;

/// Options that make up a policy, or override that of a file.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--interface`, each time it was given.
    pub interfaces: Vec<String>,
    /// `--side`.
    pub side: Option<Side>,
    /// `--hook`.
    pub hook: Option<Hook>,
    /// `--server`, each time it was given: addresses and prefixes.
    pub servers: Vec<String>,
    /// `--control-port`, each time it was given.
    pub control_ports: Vec<String>,
    /// `--passive-range`: `A-B` or `A:B`.
    pub passive_range: Option<String>,
    /// `--no-passive`.
    pub no_passive: bool,
    /// `--active-port`: a port, `any` or `none`.
    pub active_port: Option<String>,
    /// `--no-active`.
    pub no_active: bool,
    /// `--pasv-promiscuous`.
    pub pasv_promiscuous: bool,
    /// `--port-promiscuous`.
    pub port_promiscuous: bool,
    /// `--announced-address`: `any` or `strict`.
    pub announced_address: Option<String>,
    /// `--expectation-timeout`: seconds.
    pub expectation_timeout: Option<String>,
    /// `--sessions-per-client`.
    pub sessions_per_client: Option<String>,
    /// `--ftps`: `deny`, `learn` or `client-range`.
    pub ftps: Option<String>,
    /// `--mark`: `VALUE/MASK`.
    pub mark: Option<String>,
    /// `--monitor`.
    pub monitor: bool,
    /// `--no-accounting`.
    pub no_accounting: bool,
}

impl Flags {
    /// Whether they set a policy, or the configuration file does; and not only interfaces.
    #[must_use]
    pub fn set_policy(&self) -> bool {
        let Self { interfaces, side, hook, .. } = self.clone();
        *self != Self { interfaces, side, hook, ..Self::default() } || Path::new(USUAL).exists()
    }

    /// They as they are written on a command line, but for the interfaces.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        // Taken apart: no option is forgotten.
        let Self {
            config,
            interfaces: _,
            side,
            hook,
            servers,
            control_ports,
            passive_range,
            no_passive,
            active_port,
            no_active,
            pasv_promiscuous,
            port_promiscuous,
            announced_address,
            expectation_timeout,
            sessions_per_client,
            ftps,
            mark,
            monitor,
            no_accounting,
        } = self;
        let one = |name: &str, value: Option<&str>| value.map(|value| option(name, value));
        let switch = |name: &str, is_given: bool| is_given.then(|| name.to_owned());
        let config = config.as_ref().map(|path| option("--config", path.display()));
        let where_to = [config, one("--side", side.map(side_name)), one("--hook", hook.map(Hook::as_str))];
        let servers = servers.iter().map(|server| option("--server", server));
        let control_ports = control_ports.iter().map(|port| option("--control-port", port));
        let rules = [
            one("--passive-range", passive_range.as_deref()),
            switch("--no-passive", *no_passive),
            one("--active-port", active_port.as_deref()),
            switch("--no-active", *no_active),
            switch("--pasv-promiscuous", *pasv_promiscuous),
            switch("--port-promiscuous", *port_promiscuous),
            one("--announced-address", announced_address.as_deref()),
            one("--expectation-timeout", expectation_timeout.as_deref()),
            one("--sessions-per-client", sessions_per_client.as_deref()),
            one("--ftps", ftps.as_deref()),
            one("--mark", mark.as_deref()),
            switch("--monitor", *monitor),
            switch("--no-accounting", *no_accounting),
        ];
        where_to.into_iter().flatten().chain(servers).chain(control_ports).chain(rules.into_iter().flatten()).collect()
    }

    /// What they ask for.
    pub fn draft(&self, complaints: &mut Complaints) -> Draft {
        let server = self.server(complaints);
        let interfaces = self.interfaces.iter().map(|name| InterfaceDraft {
            name: Given { value: name.clone(), origin: Origin::option(format_args!("-i {name}")) },
            side: None,
            hook: None,
        });
        Draft {
            file: None,
            interfaces: interfaces.collect(),
            monitor: switch("--monitor", self.monitor, true),
            accounting: switch("--no-accounting", self.no_accounting, false),
            servers: server.origin.is_some().then_some(server).into_iter().collect(),
            ..Draft::default()
        }
    }

    /// Puts `--side` and `--hook` in the place of what is said of each interface.
    pub fn overlay_interfaces(&self, interfaces: &mut [InterfaceDraft]) {
        for interface in interfaces {
            if let Some(side) = self.side {
                interface.side = Some(Given { value: side, origin: Origin::option(option("--side", side_name(side))) });
            }
            if let Some(hook) = self.hook {
                interface.hook = Some(Given { value: hook, origin: Origin::option(option("--hook", hook.as_str())) });
            }
        }
    }

    fn server(&self, complaints: &mut Complaints) -> ServerDraft {
        let before = complaints.len();
        let mut reader = Reader { complaints, first: None };
        let mut server = ServerDraft {
            addresses: reader.each("--server", &self.servers, value::prefix),
            control_ports: reader.each("--control-port", &self.control_ports, value::port),
            passive_range: reader.one("--passive-range", self.passive_range.as_deref(), value::passive_range),
            passive: reader.switch("--no-passive", self.no_passive, false),
            active_port: reader.one("--active-port", self.active_port.as_deref(), value::active_port),
            active: reader.switch("--no-active", self.no_active, false),
            pasv_promiscuous: reader.switch("--pasv-promiscuous", self.pasv_promiscuous, true),
            port_promiscuous: reader.switch("--port-promiscuous", self.port_promiscuous, true),
            announced_strict: reader.one(
                "--announced-address",
                self.announced_address.as_deref(),
                value::announced_strict,
            ),
            expectation_timeout: reader.one(
                "--expectation-timeout",
                self.expectation_timeout.as_deref(),
                value::expectation_timeout,
            ),
            sessions_per_client: reader.one(
                "--sessions-per-client",
                self.sessions_per_client.as_deref(),
                value::sessions_per_client,
            ),
            ftps: reader.one("--ftps", self.ftps.as_deref(), value::ftps),
            mark: reader.one("--mark", self.mark.as_deref(), value::mark),
            ..ServerDraft::default()
        };
        server.origin = reader.first;
        server.broken = complaints.len() != before;
        server
    }
}

struct Reader<'a> {
    complaints: &'a mut Complaints,
    first: Option<Origin>,
}

impl Reader<'_> {
    fn one<T>(&mut self, name: &str, text: Option<&str>, read: fn(&str) -> Result<T, Problem>) -> Option<Given<T>> {
        let text = text?;
        let origin = Origin::option(option(name, text));
        self.first.get_or_insert_with(|| origin.clone());
        self.complaints.unless(origin, read(text))
    }

    fn each<T>(&mut self, name: &str, texts: &[String], read: fn(&str) -> Result<T, Problem>) -> Vec<Given<T>> {
        texts.iter().filter_map(|text| self.one(name, Some(text), read)).collect()
    }

    fn switch(&mut self, name: &str, is_given: bool, value: bool) -> Option<Given<bool>> {
        let given = switch(name, is_given, value)?;
        self.first.get_or_insert_with(|| given.origin.clone());
        Some(given)
    }
}

fn switch(name: &str, is_given: bool, value: bool) -> Option<Given<bool>> {
    is_given.then(|| Given { value, origin: Origin::option(name) })
}

fn option(name: &str, text: impl fmt::Display) -> String {
    format!("{name} {text}")
}

const fn side_name(side: Side) -> &'static str {
    match side {
        Side::ServersBehind => "servers-behind",
        Side::ServersBeyond => "servers-beyond",
        Side::Both => "both",
    }
}
