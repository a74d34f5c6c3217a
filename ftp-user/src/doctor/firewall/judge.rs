//! What the rules mean for a policy.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Action, Chain, Condition, Family, Packet, Ruleset, Tool};
use super::walk::{Fate, walk};
use super::{CHECK, Finding, Level, Rulesets, firewalld, fix};
use crate::doctor::host::{Host, Unprotected};
use crate::policy::{PortRange, Rules};

/// Asks every base chain on the way to the servers about every control port and every passive port.
pub(in crate::doctor) fn check(host: &Host, rulesets: &Rulesets) -> Vec<Finding> {
    if host.policy.is_none() {
        return Vec::new();
    }
    if host.servers_are_beyond() {
        return vec![Finding::not_checked(
            CHECK,
            "the servers are beyond the interface: other hosts' rules let them in",
        )];
    }
    let mut findings = Vec::new();
    for (rules, servers) in host.rules() {
        let question = Question::new(host, rulesets, rules, &servers);
        for ruleset in &rulesets.all {
            for chain in ruleset.chains.iter().filter(|chain| question.concerns(chain)) {
                findings.extend(question.ask(ruleset, chain));
            }
        }
        findings.extend(question.open_without_rules());
    }
    // Two servers of a policy may ask the same.
    let mut once: Vec<Finding> = Vec::new();
    for finding in findings {
        if !once.contains(&finding) {
            once.push(finding);
        }
    }
    let whole = rulesets.whole().filter(|_| once.is_empty());
    once.extend(
        whole.map(|tools| {
            Finding::ok(CHECK, format!("control connections and learned ports pass the rules of {tools}"))
        }),
    );
    once
}

/// What is asked of the chains on the way to some servers.
pub(super) struct Question<'a> {
    pub(super) host: &'a Host,
    pub(super) rulesets: &'a Rulesets,
    pub(super) rules: &'a Rules,
    pub(super) families: Vec<Family>,
    /// The servers are on this host, or behind it.
    hooks: [&'static str; 2],
    /// Interfaces that nobody guards, by which others than the servers come.
    pub(super) unprotected: Vec<&'a Unprotected>,
}

impl<'a> Question<'a> {
    fn new(host: &'a Host, rulesets: &'a Rulesets, rules: &'a Rules, servers: &[IpNet]) -> Self {
        let is_here = servers.iter().any(|net| host.local.iter().any(|address| net.contains(address)));
        // Link-local ones are on every interface, whether anybody uses IPv6 or not.
        let counts = |net: &&IpNet| !matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
        let has = |v4: bool| servers.iter().filter(counts).any(|net| net.addr().is_ipv4() == v4);
        let all = [(Family::V4, has(true)), (Family::V6, has(false))];
        let families: Vec<_> = all.into_iter().filter(|(_, has)| *has).map(|(family, _)| family).collect();
        let families = if families.is_empty() { vec![Family::V4, Family::V6] } else { families };
        let hooks = ["prerouting", if is_here || servers.is_empty() { "input" } else { "forward" }];
        let is_of_servers = |unprotected: &&Unprotected| {
            let common = |net: &IpNet| servers.iter().any(|server| net.contains(server) || server.contains(net));
            hooks[1] == "forward" && unprotected.addresses.iter().any(|net| common(&net.trunc()))
        };
        let unprotected = host.unprotected.iter().filter(|unprotected| !is_of_servers(unprotected)).collect();
        Self { host, rulesets, rules, families, hooks, unprotected }
    }

    /// Whether the servers are on this host.
    pub(super) fn is_of_this_host(&self) -> bool {
        self.hooks[1] == "input"
    }

    pub(super) fn concerns(&self, chain: &Chain) -> bool {
        chain.base.as_ref().is_some_and(|base| self.hooks.contains(&base.hook.as_str()))
            && self.families.iter().any(|family| chain.families.contains(family))
    }

    fn ask(&self, ruleset: &Ruleset, chain: &Chain) -> Vec<Finding> {
        let mut blocked: Vec<Blocked<'_>> = Vec::new();
        let control = self.rules.control_ports.iter().map(|port| PortRange { first: *port, last: *port });
        for range in control.chain(self.rules.passive_range.filter(|_| self.rules.passive)) {
            for part in parts(range, [ruleset]) {
                blocked.extend(self.blocked_in(ruleset, chain, part));
            }
        }
        // Ports that nobody is let in to, those that some are, and those of which that can't be said; and by family.
        let families = |of: &Blocked<'_>| {
            let same = |other: &&Blocked<'_>| other.part == of.part && other.accepted == of.accepted;
            let same: Vec<_> = blocked.iter().filter(same).map(|other| other.family).collect();
            [same.contains(&Family::V4), same.contains(&Family::V6)]
        };
        let mut findings = Vec::new();
        for accepted in [Accepted::None, Accepted::Some, Accepted::Unknown] {
            for over in [[true, true], [true, false], [false, true]] {
                let alike = blocked.iter().filter(|each| each.accepted == accepted && families(each) == over);
                let alike: Vec<_> = alike.collect();
                if !alike.is_empty() {
                    findings.push(self.blocked(chain, &alike, accepted, over));
                }
            }
        }
        if let Some(range) = self.rules.passive_range
            && chain.base.as_ref().is_some_and(|base| base.hook == self.hooks[1])
        {
            findings.extend(self.opened(ruleset, chain, range));
        }
        findings
    }

    /// What drops connections to a part of the ports, by family and interface.
    fn blocked_in<'r>(&self, ruleset: &'r Ruleset, chain: &'r Chain, part: PortRange) -> Vec<Blocked<'r>>
    where
        'a: 'r,
    {
        let names: Vec<_> = self.host.places.iter().map(|place| Some(place.name.as_str())).collect();
        let names = if names.is_empty() { vec![None] } else { names };
        let mut blocked = Vec::new();
        for family in self.families.iter().copied().filter(|family| chain.families.contains(family)) {
            for interface in &names {
                let packet = Packet {
                    family,
                    port: part.first,
                    interface: *interface,
                    mark: self.rules.mark,
                    may_be_translated: self.rulesets.translate(),
                };
                let fate = walk(ruleset, chain, &packet);
                if fate.is_dropped || fate.may_end() {
                    let accepted = Accepted::before(&fate);
                    blocked.push(Blocked { part, family, interface: *interface, accepted, fate });
                }
            }
        }
        blocked
    }

    fn blocked(&self, chain: &Chain, blocked: &[&Blocked<'_>], accepted: Accepted, over: [bool; 2]) -> Finding {
        let ports = joined(blocked.iter().map(|each| each.part));
        let by = match blocked.iter().find_map(|each| each.fate.by) {
            Some((chain, rule)) => format!("rule {} of {}", rule.number, place(chain)),
            None => format!("the policy of {}", place(chain)),
        };
        let is_one_of_two = chain.families.len() > 1 && self.families.len() > 1;
        let over = match over {
            [true, false] if is_one_of_two => " over IPv4",
            [false, true] if is_one_of_two => " over IPv6",
            _ => "",
        };
        let some: BTreeSet<_> =
            blocked.iter().flat_map(|each| each.fate.accepting_some.iter().map(|rule| rule.number)).collect();
        let some = some.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match accepted {
            Accepted::None => self.let_in(
                Finding::new(Level::Error, CHECK, format!("port {ports} is dropped{over} by {by}")),
                "packets that ftptrack lets through come there next, and end there",
                chain,
                blocked,
            ),
            Accepted::Some => self.let_in(
                Finding::new(
                    Level::Note,
                    CHECK,
                    format!(
                        "port {ports} is let in{over} for some senders only (rule {some}), and dropped for others by {by}"
                    ),
                ),
                "clients whose data connections ftptrack lets through may still not reach the server",
                chain,
                blocked,
            ),
            Accepted::Unknown => {
                let fates = blocked.iter().map(|each| &each.fate);
                let unknown: BTreeSet<_> =
                    fates.flat_map(|fate| fate.may_accept.iter().chain(&fate.may_drop)).map(|rule| rule.number).collect();
                let unknown = unknown.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let what = if unknown.is_empty() { "so many rules".to_owned() } else { format!("rule {unknown}") };
                Finding::not_checked(
                    CHECK,
                    format!("whether port {ports} passes {}{over}: the doctor can't judge {what}", place(chain)),
                )
            }
        }
    }

    /// Says what lets the packets in: by the interfaces in question alone, and not before ftptrack guards them.
    fn let_in(&self, finding: Finding, why: &str, chain: &Chain, blocked: &[&Blocked<'_>]) -> Finding {
        let ports = joined(blocked.iter().map(|each| each.part));
        // Connections to control ports have no mark, and need no guard.
        let is_control = |each: &&&Blocked<'_>| self.rules.control_ports.contains(&each.part.first);
        let mark = self.rules.mark.filter(|_| !blocked.iter().any(|each| is_control(&each)));
        let needs_guard = !blocked.iter().all(|each| is_control(&each));
        let interfaces: BTreeSet<_> = blocked.iter().filter_map(|each| each.interface).collect();
        let interfaces: Vec<_> = interfaces.into_iter().collect();
        let is_lasting = firewalld::has(chain);
        let command = if is_lasting {
            firewalld::let_in(blocked.iter().map(|each| each.zone()).collect::<BTreeSet<_>>(), &ports)
        } else {
            fix::insert(chain, &ports, mark, &interfaces)
        };
        // Only what has passed ftptrack has its mark.
        if !needs_guard || mark.is_some() && !is_lasting {
            return finding.because(why).fix(command);
        }
        if interfaces.is_empty() {
            return finding.because(format!("{why}; give -i IFACE: the rule that lets them in is to hold there alone"));
        }
        let is_guarded = |name: &&&str| self.host.places.iter().any(|of| of.name == **name && of.is_guarded());
        let unguarded: Vec<_> = interfaces.iter().filter(|name| !is_guarded(name)).copied().collect();
        if unguarded.is_empty() {
            return finding.because(why).fix(command);
        }
        let on = unguarded.join(", ");
        finding
            .because(format!("{why}. ftptrack comes first: as long as it doesn't guard {on}, the rule opens the range"))
            .fix(format!("{} && {command}", self.host.attach_command("")))
    }
}

/// A part of the ports that a chain drops.
struct Blocked<'r> {
    part: PortRange,
    family: Family,
    interface: Option<&'r str>,
    accepted: Accepted,
    fate: Fate<'r>,
}

impl<'r> Blocked<'r> {
    /// firewalld's zone that it came to.
    fn zone(&self) -> Option<&'r str> {
        self.fate.through.iter().rev().find_map(|chain| firewalld::zone(&chain.name))
    }
}

/// Whom a chain lets in to a port that it drops in the end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Accepted {
    None,
    Some,
    Unknown,
}

impl Accepted {
    fn before(fate: &Fate<'_>) -> Self {
        if fate.may_end() || !fate.may_accept.is_empty() {
            Self::Unknown
        } else if fate.accepting_some.is_empty() {
            Self::None
        } else {
            Self::Some
        }
    }
}

/// Parts of a range for each of which any rule holds or doesn't, for all of its ports.
pub(super) fn parts<'r>(range: PortRange, rulesets: impl IntoIterator<Item = &'r Ruleset>) -> Vec<PortRange> {
    let mut starts = BTreeSet::from([range.first]);
    let mut add = |condition: &Condition| {
        if let Condition::Port { ranges, .. } = condition {
            starts.extend(ranges.iter().flat_map(|(first, last)| [Some(*first), last.checked_add(1)]).flatten());
        }
    };
    let chains = rulesets.into_iter().flat_map(|ruleset| &ruleset.chains);
    for rule in chains.flat_map(|chain| &chain.rules) {
        rule.conditions.iter().for_each(&mut add);
        if let Action::Map(entries) = &rule.action {
            entries.iter().for_each(|(condition, _)| add(condition));
        }
    }
    let starts: Vec<_> = starts.into_iter().filter(|port| range.contains(*port)).collect();
    let ends = starts.iter().skip(1).map(|next| next - 1).chain([range.last]);
    starts.iter().zip(ends).map(|(first, last)| PortRange { first: *first, last }).collect()
}

/// Ports as people write them: `21, 10240-20480`.
pub(super) fn joined(parts: impl Iterator<Item = PortRange>) -> String {
    let parts: BTreeSet<_> = parts.map(|part| (part.first, part.last)).collect();
    let mut whole: Vec<PortRange> = Vec::new();
    for (first, last) in parts {
        match whole.last_mut() {
            Some(before) if before.last.checked_add(1) == Some(first) => before.last = last,
            _ => whole.push(PortRange { first, last }),
        }
    }
    let text = |range: &PortRange| if range.first == range.last { range.first.to_string() } else { range.to_string() };
    whole.iter().map(text).collect::<Vec<_>>().join(", ")
}

/// `nft's inet filter input`, `iptables-legacy's filter INPUT`.
pub(super) fn place(chain: &Chain) -> String {
    match &chain.tool {
        Tool::Nft(family) => format!("nft's {family} {} {}", chain.table, chain.name),
        Tool::Iptables(tool) => format!("{tool}'s {} {}", chain.table, chain.name),
    }
}
