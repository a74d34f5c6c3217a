//! What was asked for becomes a policy that is valid as a whole, or every error is reported.

use std::collections::HashMap;

use ftp_common::policy::{CONTROL_PORTS, MAX_POLICIES, Side};
use ipnet::IpNet;

use super::draft::{Draft, InterfaceDraft, ServerDraft};
use super::origin::{Complaints, Given};
use super::value::Problem;
use super::{Configuration, InterfaceChoice};
use crate::policy::attachment::Sizes;
use crate::policy::summary::shown;
use crate::policy::{ActivePort, Ftps, MAX_NAMED, Named, Policy, PortRange, Rules};

const APART: &str = "choose a passive range without it, here and in the server's configuration";

impl Draft {
    /// Checks every part against the others. The result is valid only if nothing was added to `complaints`.
    #[must_use]
    pub fn resolve(mut self, complaints: &mut Complaints) -> Configuration {
        if self.servers.is_empty() {
            match &self.file {
                None => self.servers.push(ServerDraft::default()),
                Some(file) => complaints.add(
                    file,
                    Problem::new("it names no server", "add [[server]] with passive-range = \"FIRST-LAST\" below it"),
                ),
            }
        }
        self.check_interfaces(complaints);
        self.check_servers(complaints);
        let (monitor, accounting) = (value(&self.monitor), value(&self.accounting));
        let mut policy = Policy { accounting: accounting.unwrap_or(true), ..Policy::default() };
        for server in &self.servers {
            server.check(complaints);
            let rules = server.rules(monitor.unwrap_or(false));
            if server.addresses.is_empty() {
                policy.own = Some(rules);
            } else {
                let prefixes = server.addresses.iter().map(|given| given.value).collect();
                policy.named.push(Named { prefixes, rules });
            }
        }
        let sizes = Sizes { sessions: value(&self.max_sessions), flows: value(&self.max_flows) };
        let interfaces = self.interfaces.into_iter().map(InterfaceChoice::from).collect();
        Configuration { interfaces, policy, sizes }
    }

    fn check_interfaces(&self, complaints: &mut Complaints) {
        for (index, interface) in self.interfaces.iter().enumerate() {
            let name = &interface.name;
            if self.interfaces[..index].iter().any(|other| other.name.value == name.value) {
                complaints.add(&name.origin, Problem::new("it is given twice", "name each interface once"));
            }
        }
        let Some(own) = self.servers.iter().find(|server| server.addresses.is_empty() && !server.broken) else {
            return;
        };
        let sides: Vec<_> = self.interfaces.iter().map(|interface| interface.side.as_ref()).collect();
        let is_beyond = |side: &Option<&Given<Side>>| side.is_some_and(|side| side.value == Side::ServersBeyond);
        if let Some(Some(side)) = sides.first()
            && sides.iter().all(is_beyond)
        {
            complaints.add(
                own.origin.as_ref().filter(|origin| origin.is_in_file()).unwrap_or(&side.origin),
                Problem::new(
                    "the servers are not on this host, and none is named",
                    "name them with --server PREFIX or address, all of them as 0.0.0.0/0 and ::/0",
                ),
            );
        }
    }

    fn check_servers(&self, complaints: &mut Complaints) {
        let mut seen: HashMap<IpNet, &Given<IpNet>> = HashMap::new();
        for address in self.servers.iter().flat_map(|server| &server.addresses) {
            if seen.insert(address.value, address).is_some() {
                let problem = format!("{} is named twice", shown(&address.value));
                complaints.add(&address.origin, Problem::new(problem, "name each address and network once"));
            }
            if seen.len() == MAX_NAMED + 1 {
                let problem = format!("more than {MAX_NAMED} addresses are named");
                complaints.add(&address.origin, Problem::new(problem, "name networks instead of single addresses"));
            }
        }
        let origins = |servers: Vec<&ServerDraft>| servers.iter().filter_map(|s| s.origin.clone()).collect::<Vec<_>>();
        let own = self.servers.iter().filter(|server| server.addresses.is_empty() && !server.broken).collect();
        for origin in origins(own).iter().skip(1) {
            complaints.add(
                origin,
                Problem::new(
                    "it is the second without an address",
                    "give it an address; only one can be this host's own",
                ),
            );
        }
        let named = self.servers.iter().filter(|server| !server.addresses.is_empty()).collect();
        if let Some(origin) = origins(named).get(MAX_POLICIES as usize - 1) {
            let problem = format!("more than {} servers are named", MAX_POLICIES - 1);
            complaints
                .add(origin, Problem::new(problem, "list the addresses of servers that are alike in one [[server]]"));
        }
    }
}

impl ServerDraft {
    fn rules(&self, monitor: bool) -> Rules {
        let usual = Rules::default();
        let control_ports: Vec<_> = self.control_ports.iter().map(|port| port.value).collect();
        Rules {
            control_ports: if control_ports.is_empty() { usual.control_ports } else { control_ports },
            passive_range: value(&self.passive_range),
            passive: value(&self.passive).unwrap_or(usual.passive),
            active_port: value(&self.active_port).unwrap_or(usual.active_port),
            active: value(&self.active).unwrap_or(usual.active),
            pasv_promiscuous: value(&self.pasv_promiscuous).unwrap_or(usual.pasv_promiscuous),
            port_promiscuous: value(&self.port_promiscuous).unwrap_or(usual.port_promiscuous),
            announced_strict: value(&self.announced_strict).unwrap_or(usual.announced_strict),
            expectation_timeout: value(&self.expectation_timeout).unwrap_or(usual.expectation_timeout),
            sessions_per_client: value(&self.sessions_per_client).unwrap_or(usual.sessions_per_client),
            ftps: value(&self.ftps).unwrap_or(usual.ftps),
            monitor: value(&self.monitor).unwrap_or(monitor),
            mark: value(&self.mark),
        }
    }

    fn check(&self, complaints: &mut Complaints) {
        self.check_control_ports(complaints);
        self.check_active_port(complaints);
        // What is wrong by itself is missing here: nothing more can be said of what it needs.
        if !self.broken {
            self.check_what_is_missing(complaints);
        }
    }

    fn check_control_ports(&self, complaints: &mut Complaints) {
        for (index, port) in self.control_ports.iter().enumerate() {
            if self.control_ports[..index].iter().any(|other| other.value == port.value) {
                complaints.add(&port.origin, Problem::new("it is given twice", "give each control port once"));
            }
            if let Some(range) = self.range_around(port.value) {
                complaints.add(&port.origin, Problem::new(format_args!("it lies in the passive range {range}"), APART));
            }
        }
        if let Some(port) = self.control_ports.get(CONTROL_PORTS) {
            let problem = format!("it is one too many: at most {CONTROL_PORTS} are possible");
            complaints.add(&port.origin, Problem::new(problem, "name only the ports that FTP servers listen on"));
        }
    }

    fn check_active_port(&self, complaints: &mut Complaints) {
        let rules = self.rules(false);
        let ActivePort::Port(active) = rules.active_port else {
            return;
        };
        let origin = self.active_port.as_ref().map(|given| &given.origin);
        if let (Some(range), Some(origin)) = (self.range_around(active), origin) {
            complaints.add(origin, Problem::new(format_args!("it lies in the passive range {range}"), APART));
        }
        if rules.control_ports.contains(&active) {
            let problem = "it is a control port too";
            // One of both at least isn't a default.
            let control = self.control_ports.iter().find(|port| port.value == active);
            let origin = origin.or(control.map(|port| &port.origin));
            let hint = "name the port that the server's active data connections come from, 20 as a rule";
            origin.into_iter().for_each(|origin| complaints.add(origin, Problem::new(problem, hint)));
        }
    }

    fn check_what_is_missing(&self, complaints: &mut Complaints) {
        let rules = self.rules(false);
        let hint = "give the server's own range: passive-range = \"FIRST-LAST\", or --passive-range FIRST-LAST";
        if rules.passive_range.is_some() {
            // Nothing is missing.
        } else if let Some(passive) = self.passive.as_ref().filter(|passive| passive.value) {
            complaints.add(&passive.origin, Problem::new("there is no passive range", hint));
        } else if let Some(ftps) = self.ftps.as_ref().filter(|ftps| ftps.value != Ftps::Deny) {
            complaints.add(&ftps.origin, Problem::new("there is no passive range to open", hint));
        } else if rules.active_port == ActivePort::None {
            let origin = self.active_port.as_ref().map(|given| &given.origin);
            let problem = "without a passive range too, no data connection could be allowed";
            origin.into_iter().for_each(|origin| complaints.add(origin, Problem::new(problem, hint)));
        }
        if let (Some(active), ActivePort::None) =
            (self.active.as_ref().filter(|active| active.value), rules.active_port)
        {
            let hint = "give the port that active data connections come from, or any";
            complaints.add(&active.origin, Problem::new("active-port is none", hint));
        }
    }

    fn range_around(&self, port: u16) -> Option<PortRange> {
        value(&self.passive_range).filter(|range| range.contains(port))
    }
}

impl From<InterfaceDraft> for InterfaceChoice {
    fn from(draft: InterfaceDraft) -> Self {
        Self { name: draft.name.value, side: value(&draft.side).unwrap_or_default(), hook: value(&draft.hook) }
    }
}

fn value<T: Clone>(given: &Option<Given<T>>) -> Option<T> {
    given.as_ref().map(|given| given.value.clone())
}
