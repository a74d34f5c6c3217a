//! proftpd.conf, as proftpd 1.3.8 reads it: of a directive the first in its own section counts, else
//! that of the last `<Global>` that has one. The main server's are not a virtual host's.

use std::collections::BTreeMap;
use std::path::Path;

use super::proftpd_lines::{Directive, directives};
use super::{Findings, Found, Place, bound_address};
use crate::error::Failure;
use crate::policy::{ActivePort, CONTROL_PORT, FIRST_PASSIVE, Ftps, PortRange};

/// Directives of a section, each as it counts.
type Section = BTreeMap<String, Directive>;

/// What a section's addresses are, and its directives.
struct Host {
    place: Place,
    /// As written; none: the host's own.
    addresses: Vec<String>,
    section: Section,
}

/// Reads the file and what it includes.
pub(super) fn read(path: &Path, findings: &mut Findings) -> Result<(), Failure> {
    let main_place = Place { file: path.display().to_string(), line: 0 };
    let (hosts, global) = sections(main_place, directives(path, findings)?);
    let mut servers: Vec<Found> = Vec::new();
    for host in &hosts {
        let Some(found) = server(host, &global, findings) else {
            continue;
        };
        match servers.iter_mut().find(|other| other.prefixes == found.prefixes) {
            Some(other) => join(other, found, findings),
            None => servers.push(found),
        }
    }
    // It serves the addresses of the others too, where they don't.
    let is_default = hosts[0].section.get("defaultserver").is_some_and(|directive| boolean(directive) == Some(true));
    if let Some(main) = servers.iter().find(|found| found.prefixes.is_empty() && is_default).cloned() {
        for found in servers.iter_mut().filter(|found| !found.prefixes.is_empty()) {
            if found.rules.control_ports != main.rules.control_ports {
                join(found, main.clone(), findings);
            }
        }
    }
    if servers.is_empty() {
        let place = &hosts[0].place;
        findings.warn(place, "no server is left (Port 0)", "give a configuration with one");
    }
    findings.servers = servers;
    let started = hosts[0].section.get("servertype").and_then(|directive| directive.arguments.first());
    findings.is_started_by_another = started.is_some_and(|by| by.eq_ignore_ascii_case("inetd"));
    Ok(())
}

/// The main server first, then virtual hosts; and what is global.
fn sections(main_place: Place, directives: Vec<Directive>) -> (Vec<Host>, Section) {
    let mut hosts = vec![Host { place: main_place, addresses: Vec::new(), section: Section::new() }];
    let mut global = Section::new();
    let mut block = Section::new();
    // The names of open sections; only of the outermost two kinds anything counts.
    let mut open: Vec<String> = Vec::new();
    for directive in directives {
        if let Some(name) = directive.name.strip_prefix("</") {
            if name == "global" && open.len() == 1 {
                global.append(&mut block);
            }
            open.pop();
        } else if let Some(name) = directive.name.strip_prefix('<') {
            if name == "virtualhost" && open.is_empty() {
                let Directive { place, arguments, .. } = &directive;
                hosts.push(Host { place: place.clone(), addresses: arguments.clone(), section: Section::new() });
            }
            open.push(name.to_owned());
        } else {
            let section = match open.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] => hosts.first_mut().map(|host| &mut host.section),
                ["virtualhost"] => hosts.last_mut().map(|host| &mut host.section),
                ["global"] => Some(&mut block),
                _ => None,
            };
            if let Some(section) = section {
                section.entry(directive.name.clone()).or_insert(directive);
            }
        }
    }
    (hosts, global)
}

/// A section with what is global below it.
struct Settings<'a>(&'a Section, &'a Section);

impl<'a> Settings<'a> {
    fn get(&self, name: &str) -> Option<&'a Directive> {
        self.0.get(name).or_else(|| self.1.get(name))
    }

    fn is_on(&self, name: &str) -> Option<&'a Directive> {
        self.get(name).filter(|directive| boolean(directive) == Some(true))
    }
}

fn boolean(directive: &Directive) -> Option<bool> {
    match directive.arguments.first()?.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" | "1" => Some(true),
        "off" | "no" | "false" | "0" => Some(false),
        _ => None,
    }
}

/// `None` if it is switched off, or its addresses are not known.
fn server(host: &Host, global: &Section, findings: &mut Findings) -> Option<Found> {
    let settings = Settings(&host.section, global);
    let range = settings.get("passiveports");
    let mut found = Found::at(range.map_or(&host.place, |directive| &directive.place).clone());
    found.prefixes = addresses(host, findings)?;
    let port = match settings.get("port") {
        Some(directive) => port(directive, findings)?,
        None => CONTROL_PORT,
    };
    found.rules.control_ports = vec![port];
    found.rules.passive_range = match range {
        Some(directive) => passive_range(directive, &mut found.reversed, findings),
        None => {
            let problem =
                "there is no passive range: proftpd takes what the kernel gives (net.ipv4.ip_local_port_range)";
            findings.warn_of_range(&host.place, problem, "set PassivePorts, and import it again");
            found.comments.push("no passive-range: PassivePorts is not set".to_owned());
            None
        }
    };
    active(&settings, port, &mut found, findings);
    foreign_addresses(&settings, &mut found, findings);
    encryption(&settings, &mut found);
    if let Some(directive) = settings.get("masqueradeaddress") {
        let address = directive.arguments.join(" ");
        found.comments.push(format!("a 227 names MasqueradeAddress {address}: announced-address stays any"));
    }
    Some(found)
}

fn addresses(host: &Host, findings: &mut Findings) -> Option<Vec<ipnet::IpNet>> {
    // Only there does the main server listen on less than all addresses.
    let bound = host.section.get("defaultaddress").map(|directive| &directive.arguments);
    let mut prefixes = Vec::new();
    for address in bound.unwrap_or(&host.addresses) {
        match bound_address(address) {
            Ok(prefix) => prefixes.extend(prefix),
            Err(()) => {
                let problem =
                    format!("{address} is a name: its addresses are not looked up, and the server is left out");
                findings.warn(&host.place, problem, "write its addresses, and import it again");
                return None;
            }
        }
    }
    Some(prefixes)
}

fn port(directive: &Directive, findings: &mut Findings) -> Option<u16> {
    match directive.arguments.first().and_then(|text| text.parse().ok()) {
        // It switches the server off.
        Some(0) => None,
        Some(port) => Some(port),
        None => {
            findings.warn(&directive.place, "Port is no port: proftpd refuses to start", "write one from 1 to 65535");
            Some(CONTROL_PORT)
        }
    }
}

fn passive_range(
    directive: &Directive,
    reversed: &mut Option<PortRange>,
    findings: &mut Findings,
) -> Option<PortRange> {
    let ports: Vec<u16> = directive.arguments.iter().filter_map(|text| text.parse().ok()).collect();
    let [first, last] = ports[..] else {
        findings.warn_of_range(
            &directive.place,
            "PassivePorts has no two ports: proftpd refuses to start",
            "write PassivePorts FIRST LAST, and import it again",
        );
        return None;
    };
    if first > last {
        *reversed = Some(PortRange { first: last, last: first });
        findings.warn_of_range(
            &directive.place,
            format_args!("the range {first} {last} is reversed: proftpd refuses to start"),
            format_args!("write PassivePorts {last} {first}, and import it again"),
        );
        return None;
    }
    if first < FIRST_PASSIVE || first == last {
        findings.warn_of_range(
            &directive.place,
            format_args!("PassivePorts {first} {last}: proftpd refuses ports below 1024 and ranges of one"),
            "choose others from 1024 up, and import it again",
        );
        return None;
    }
    Some(PortRange { first, last })
}

/// Without RootRevoke the source port is any, since 1.3.6; with it, it is the one below the control port's.
fn active(settings: &Settings<'_>, port: u16, found: &mut Found, findings: &mut Findings) {
    let below = port - 1;
    let revoke = settings.get("rootrevoke");
    found.rules.active_port = match revoke.map(boolean) {
        Some(Some(false)) if below != 0 => ActivePort::Port(below),
        Some(Some(true)) if below >= FIRST_PASSIVE => ActivePort::Port(below),
        Some(Some(true)) => {
            found.rules.active = false;
            found.comments.push(format!("RootRevoke on: proftpd can't use port {below}, and refuses PORT"));
            ActivePort::Any
        }
        _ => {
            findings.warn_of_setting(
                revoke.map_or(&found.place, |directive| &directive.place),
                "without RootRevoke off active data connections come from any port: none can be guarded",
                "write RootRevoke off, and import it again; or active = false, and deny PORT and EPRT in proftpd.conf",
                ("RootRevoke", "off"),
            );
            ActivePort::Any
        }
    };
}

fn foreign_addresses(settings: &Settings<'_>, found: &mut Found, findings: &mut Findings) {
    let Some(directive) = settings.get("allowforeignaddress") else {
        return;
    };
    let allowed = boolean(directive);
    if allowed.is_none() {
        findings.warn(
            &directive.place,
            "AllowForeignAddress names a class: port-promiscuous can't be limited to it, and allows everyone",
            "leave port-promiscuous out if that is too much",
        );
    }
    found.rules.port_promiscuous = allowed.unwrap_or(true);
}

fn encryption(settings: &Settings<'_>, found: &mut Found) {
    let Some(engine) = settings.is_on("tlsengine") else {
        return;
    };
    if found.rules.passive_range.is_some() {
        found.rules.ftps = Ftps::Learn;
    }
    let wants_no_reuse = |word: &String| word.eq_ignore_ascii_case("NoSessionReuseRequired");
    if !settings.get("tlsoptions").is_some_and(|options| options.arguments.iter().any(wants_no_reuse)) {
        found.wants_reuse = Some("TLSOptions without NoSessionReuseRequired");
    }
    found.comments.push(format!("TLSEngine on ({})", engine.place));
}

/// Two servers on the same addresses: a policy knows them by address alone.
fn join(server: &mut Found, other: Found, findings: &mut Findings) {
    let (ours, theirs) = (&mut server.rules, other.rules);
    if ours.passive_range != theirs.passive_range || ours.active_port != theirs.active_port {
        findings.warn(
            &other.place,
            "it has the addresses of another server but other data ports: a policy can't tell them apart by control \
             port, and the other's hold",
            "give both the same PassivePorts, or addresses of their own",
        );
    }
    if !theirs.control_ports.iter().all(|port| ours.control_ports.contains(port)) {
        ours.control_ports.extend(theirs.control_ports);
    }
    ours.port_promiscuous |= theirs.port_promiscuous;
    ours.active |= theirs.active;
    if theirs.ftps == Ftps::Learn && ours.passive_range.is_some() {
        ours.ftps = Ftps::Learn;
    }
    server.comments.extend(other.comments);
}
