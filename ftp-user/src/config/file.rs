//! The configuration file, in TOML. All of its errors are found in one go.

use std::collections::BTreeSet;

use ftp_common::policy::Side;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::draft::{Draft, InterfaceDraft, ServerDraft};
use super::fields::{Fields, Source, boolean, kind, number, string};
use super::origin::{Complaints, Given, Origin};
use super::value::{self, Problem};
use crate::policy::ActivePort;
use crate::policy::attachment::Hook;

/// Reads the text of the file with this name.
pub fn read(name: &str, text: &str, complaints: &mut Complaints) -> Draft {
    let source = &Source::new(name, text);
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut no_toml = BTreeSet::new();
    for error in &errors {
        let place = source.place(error.span().map_or(0, |span| span.start));
        no_toml.insert(place.0);
        let problem = Problem::new(error.message(), "fix it: a line is KEY = VALUE, and text stands in quotes");
        complaints.add(&Origin::file(name, place, "TOML"), problem);
    }
    let mut found = Complaints::default();
    let mut draft = document_of(source, document.get_ref(), &mut found);
    // What is left of a line that is no TOML says nothing.
    complaints.take(found, |line| no_toml.contains(&line));
    // What such a file lacks may be in them.
    draft.file = no_toml.is_empty().then(|| Origin::file(name, (1, 1), "configuration"));
    draft.servers.iter_mut().for_each(|server| server.broken |= !no_toml.is_empty());
    draft
}

fn document_of<'a>(source: &'a Source<'a>, document: &'a DeTable<'a>, complaints: &mut Complaints) -> Draft {
    let mut fields = Fields::new(source, document, complaints);
    fields.elsewhere = "; settings of a server stand below [[server]]";
    let mut draft = Draft::default();
    if let Some(list) = fields.raw("interfaces") {
        draft.interfaces = interfaces(source, list, fields.complaints);
    }
    draft.monitor = fields.one("mode", string(value::monitor));
    draft.accounting = fields.one("accounting", boolean);
    draft.max_sessions = fields.one("max-sessions", number(value::entries));
    draft.max_flows = fields.one("max-flows", number(value::entries));
    if let Some(list) = fields.raw("server") {
        draft.servers = servers_of(source, list, fields.complaints);
    }
    fields.finish();
    draft
}

fn interfaces<'a>(
    source: &'a Source<'a>,
    list: &'a Spanned<DeValue<'a>>,
    complaints: &mut Complaints,
) -> Vec<InterfaceDraft> {
    let Some(values) = list.as_ref().as_array() else {
        let problem = Problem::new(kind(list.as_ref()), "write a list: interfaces = [\"eth0\"]");
        complaints.add(&source.origin("interfaces", list.span()), problem);
        return Vec::new();
    };
    values.iter().filter_map(|value| interface(source, value, complaints)).collect()
}

/// `"eth0"`, or a table with name, side and hook.
fn interface<'a>(
    source: &'a Source<'a>,
    value: &'a Spanned<DeValue<'a>>,
    complaints: &mut Complaints,
) -> Option<InterfaceDraft> {
    let origin = source.origin("interfaces", value.span());
    let table = match value.as_ref() {
        DeValue::String(name) => {
            return Some(InterfaceDraft { name: Given { value: name.to_string(), origin }, side: None, hook: None });
        }
        DeValue::Table(table) => table,
        other => {
            let hint = "write \"NAME\", or { name = \"NAME\", side = \"servers-beyond\" }";
            complaints.add(&origin, Problem::new(kind(other), hint));
            return None;
        }
    };
    let mut fields = Fields::new(source, table, complaints);
    let name = fields.one("name", string(|name| Ok(name.to_owned())));
    let side = fields.one("side", string(side));
    let hook = fields.one("hook", string(hook));
    fields.finish();
    if !table.contains_key("name") {
        complaints.add(&origin, Problem::new("it has no name", "write { name = \"NAME\", … }"));
    }
    Some(InterfaceDraft { name: name?, side, hook })
}

fn servers_of<'a>(
    source: &'a Source<'a>,
    list: &'a Spanned<DeValue<'a>>,
    complaints: &mut Complaints,
) -> Vec<ServerDraft> {
    let hint = "write [[server]], in two brackets, and its settings below";
    let Some(tables) = list.as_ref().as_array() else {
        let origin = source.origin("server", list.span());
        complaints.add(&origin, Problem::new(kind(list.as_ref()), hint));
        return Vec::new();
    };
    let mut servers = Vec::new();
    for value in tables.iter() {
        let origin = Origin::file(source.name, source.place(value.span().start), "[[server]]");
        match value.as_ref().as_table() {
            Some(table) => servers.push(server(source, table, origin, complaints)),
            None => complaints.add(&origin, Problem::new(kind(value.as_ref()), hint)),
        }
    }
    servers
}

fn server<'a>(
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    origin: Origin,
    complaints: &mut Complaints,
) -> ServerDraft {
    let before = complaints.len();
    let mut fields = Fields::new(source, table, complaints);
    let mut server = ServerDraft {
        origin: Some(origin),
        broken: false,
        addresses: fields.each("address", string(value::prefix)),
        control_ports: fields.each("control-ports", number(value::port)),
        passive_range: fields.one("passive-range", string(value::passive_range)),
        passive: fields.one("passive", boolean),
        active_port: fields.one("active-port", active_port),
        active: fields.one("active", boolean),
        pasv_promiscuous: fields.one("pasv-promiscuous", boolean),
        port_promiscuous: fields.one("port-promiscuous", boolean),
        announced_strict: fields.one("announced-address", string(value::announced_strict)),
        expectation_timeout: fields.one("expectation-timeout", number(value::expectation_timeout)),
        sessions_per_client: fields.one("sessions-per-client", number(value::sessions_per_client)),
        ftps: fields.one("ftps", string(value::ftps)),
        monitor: fields.one("mode", string(value::monitor)),
        mark: fields.one("mark", string(value::mark)),
    };
    fields.finish();
    server.broken = complaints.len() != before;
    server
}

fn active_port(given: &DeValue<'_>) -> Result<ActivePort, Problem> {
    match given {
        DeValue::Integer(port) => value::port(&port.to_string()).map(ActivePort::Port),
        DeValue::String(word) if value::number(word).is_none() => value::active_port(word),
        other => Err(Problem::new(kind(other), "write a number without quotes, \"any\" or \"none\"")),
    }
}

fn side(text: &str) -> Result<Side, Problem> {
    match text {
        "servers-behind" => Ok(Side::ServersBehind),
        "servers-beyond" => Ok(Side::ServersBeyond),
        _ => Err(Problem::new("there is no such choice", "give servers-behind or servers-beyond")),
    }
}

fn hook(text: &str) -> Result<Hook, Problem> {
    match text {
        "tcx" => Ok(Hook::Tcx),
        "clsact" => Ok(Hook::Clsact),
        _ => Err(Problem::new("there is no such choice", "give tcx or clsact")),
    }
}
