//! What the rules mean for a policy.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::model::{Action, Chain, Condition, Family, Packet, Rule, Ruleset, Tool};
use super::walk::{Fate, walk};
use super::{CHECK, Finding, Level, Rulesets};
use crate::doctor::ground::Ground;
use crate::policy::{Mark, PortRange, Rules};

/// Asks every base chain on the way to the servers about every control port and every passive port.
pub(in crate::doctor) fn check(ground: &Ground, rulesets: &Rulesets) -> Vec<Finding> {
    if ground.policy.is_none() {
        return Vec::new();
    }
    if ground.servers_are_beyond() {
        return vec![Finding::not_checked(
            CHECK,
            "the servers are beyond the interface: other hosts' rules let them in",
        )];
    }
    let mut findings = Vec::new();
    for (rules, servers) in ground.rules() {
        let question = Question::new(ground, rules, &servers);
        for ruleset in &rulesets.all {
            for chain in ruleset.chains.iter().filter(|chain| question.concerns(chain)) {
                findings.extend(question.ask(rulesets, ruleset, chain));
            }
        }
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
struct Question<'a> {
    ground: &'a Ground,
    rules: &'a Rules,
    families: Vec<Family>,
    /// The servers are on this host, or behind it.
    hooks: [&'static str; 2],
}

impl<'a> Question<'a> {
    fn new(ground: &'a Ground, rules: &'a Rules, servers: &[IpNet]) -> Self {
        let is_here = servers.iter().any(|net| ground.local.iter().any(|address| net.contains(address)));
        // Link-local ones are on every interface, whether anybody uses IPv6 or not.
        let counts = |net: &&IpNet| !matches!(net.addr(), IpAddr::V6(address) if address.is_unicast_link_local());
        let has = |v4: bool| servers.iter().filter(counts).any(|net| net.addr().is_ipv4() == v4);
        let all = [(Family::V4, has(true)), (Family::V6, has(false))];
        let families: Vec<_> = all.into_iter().filter(|(_, has)| *has).map(|(family, _)| family).collect();
        let families = if families.is_empty() { vec![Family::V4, Family::V6] } else { families };
        let hooks = ["prerouting", if is_here || servers.is_empty() { "input" } else { "forward" }];
        Self { ground, rules, families, hooks }
    }

    fn concerns(&self, chain: &Chain) -> bool {
        chain.base.as_ref().is_some_and(|base| self.hooks.contains(&base.hook.as_str()))
            && self.families.iter().any(|family| chain.families.contains(family))
    }

    fn ask(&self, rulesets: &Rulesets, ruleset: &Ruleset, chain: &Chain) -> Vec<Finding> {
        let mut blocked: Vec<Blocked<'_>> = Vec::new();
        let control = self.rules.control_ports.iter().map(|port| PortRange { first: *port, last: *port });
        for range in control.chain(self.rules.passive_range.filter(|_| self.rules.passive)) {
            for part in parts(range, ruleset) {
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
            findings.extend(self.opened(rulesets, ruleset, chain, range));
        }
        findings
    }

    /// What drops connections to a part of the ports, by family and interface.
    fn blocked_in<'r>(&self, ruleset: &'r Ruleset, chain: &'r Chain, part: PortRange) -> Vec<Blocked<'r>> {
        let names: Vec<_> = self.ground.places.iter().map(|place| Some(place.name.as_str())).collect();
        let names = if names.is_empty() { vec![None] } else { names };
        let mut blocked = Vec::new();
        for family in self.families.iter().copied().filter(|family| chain.families.contains(family)) {
            for interface in &names {
                let packet = Packet { family, port: part.first, interface: *interface, mark: self.rules.mark };
                let fate = walk(ruleset, chain, &packet);
                if fate.is_dropped {
                    blocked.push(Blocked { part, family, accepted: Accepted::before(&fate), fate });
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
        // Connections to control ports have no mark.
        let is_control = |part: &PortRange| self.rules.control_ports.contains(&part.first);
        let mark = self.rules.mark.filter(|_| !blocked.iter().any(|each| is_control(&each.part)));
        let mend = insert(chain, &ports, mark);
        match accepted {
            Accepted::None => Finding::new(Level::Error, CHECK, format!("port {ports} is dropped{over} by {by}"))
                .because("packets that ftptrack lets through come there next, and end there")
                .mend(mend),
            Accepted::Some => {
                let what = format!(
                    "port {ports} is let in{over} for some senders only (rule {some}), and dropped for others by {by}"
                );
                Finding::new(Level::Note, CHECK, what)
                    .because("clients whose data connections ftptrack lets through may still not reach the server")
                    .mend(mend)
            }
            Accepted::Unknown => Finding::not_checked(
                CHECK,
                format!("whether port {ports} passes {}{over}: the doctor can't judge rule {some}", place(chain)),
            ),
        }
    }

    /// Rules that let anybody in, where ftptrack doesn't see who comes.
    fn opened(&self, rulesets: &Rulesets, ruleset: &Ruleset, chain: &Chain, range: PortRange) -> Vec<Finding> {
        let mut opening: Vec<(&Chain, &Rule, Vec<PortRange>)> = Vec::new();
        let unguarded = self.unguarded();
        for part in parts(range, ruleset) {
            for family in self.families.iter().filter(|family| chain.families.contains(family)) {
                for interface in &unguarded {
                    let packet = Packet {
                        family: *family,
                        port: part.first,
                        interface: Some(interface),
                        mark: Some(Mark { value: 0, mask: u32::MAX }),
                    };
                    let Fate { by: Some((by, rule)), is_dropped: false, .. } = walk(ruleset, chain, &packet) else {
                        continue;
                    };
                    if self.is_dropped_anywhere(rulesets, &packet) {
                        continue;
                    }
                    match opening.iter_mut().find(|(_, other, _)| std::ptr::eq(*other, rule)) {
                        Some((.., parts)) => parts.push(part),
                        None => opening.push((by, rule, vec![part])),
                    }
                }
            }
        }
        opening.iter().map(|(chain, rule, parts)| self.opening(chain, rule, parts, &unguarded)).collect()
    }

    /// Every chain must let it pass.
    fn is_dropped_anywhere(&self, rulesets: &Rulesets, packet: &Packet<'_>) -> bool {
        rulesets.all.iter().any(|ruleset| {
            let sees = |chain: &&Chain| self.concerns(chain) && chain.families.contains(&packet.family);
            ruleset.chains.iter().filter(sees).any(|chain| walk(ruleset, chain, packet).is_dropped)
        })
    }

    fn opening(&self, chain: &Chain, rule: &Rule, parts: &[PortRange], unguarded: &[&str]) -> Finding {
        let (ports, on) = (joined(parts.iter().copied()), unguarded.join(", "));
        let what = format!("rule {} of {} lets anybody in to port {ports} by {on}", rule.number, place(chain));
        let guarded: Vec<_> =
            self.ground.places.iter().filter(|place| place.is_guarded()).map(|place| place.name.as_str()).collect();
        if guarded.is_empty() {
            return Finding::new(Level::Warning, CHECK, what)
                .because(
                    "whoever scans the host reaches what listens there; with ftptrack in front only those connections \
                          come as far that were negotiated",
                )
                .mend(self.ground.attach_command(""));
        }
        Finding::new(Level::Note, CHECK, what)
            .because(format!(
                "only {} is guarded: connections by other interfaces are nobody's business",
                guarded.join(", ")
            ))
            .mend(replace(chain, rule, &ports, &guarded, self.rules.mark))
    }

    fn unguarded(&self) -> Vec<&'a str> {
        let asked = self.ground.places.iter().filter(|place| !place.is_guarded() && place.link.is_some());
        let asked: Vec<_> = asked.map(|place| place.name.as_str()).collect();
        if asked.is_empty() { self.ground.bare.iter().map(String::as_str).collect() } else { asked }
    }
}

/// A part of the ports that a chain drops.
struct Blocked<'r> {
    part: PortRange,
    family: Family,
    accepted: Accepted,
    fate: Fate<'r>,
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
        let is_unknown = |rule: &&Rule| rule.action == Action::Unknown || rule.conditions.contains(&Condition::Unknown);
        match &fate.accepting_some[..] {
            [] => Self::None,
            rules if rules.iter().any(is_unknown) => Self::Unknown,
            _ => Self::Some,
        }
    }
}

/// Parts of a range for each of which any rule holds or doesn't, for all of its ports.
fn parts(range: PortRange, ruleset: &Ruleset) -> Vec<PortRange> {
    let mut starts = BTreeSet::from([range.first]);
    let mut add = |condition: &Condition| {
        if let Condition::Port { ranges, .. } = condition {
            starts.extend(ranges.iter().flat_map(|(first, last)| [Some(*first), last.checked_add(1)]).flatten());
        }
    };
    for rule in ruleset.chains.iter().flat_map(|chain| &chain.rules) {
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
fn joined(parts: impl Iterator<Item = PortRange>) -> String {
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
fn place(chain: &Chain) -> String {
    match &chain.tool {
        Tool::Nft(family) => format!("nft's {family} {} {}", chain.table, chain.name),
        Tool::Iptables(tool) => format!("{tool}'s {} {}", chain.table, chain.name),
    }
}

/// What a rule asks of packets that are to be let in: ports, and ftptrack's mark where it gives one.
fn wanted(chain: &Chain, ports: &str, mark: Option<Mark>) -> String {
    match (&chain.tool, mark) {
        (Tool::Nft(_), Some(Mark { value, mask })) => format!("meta mark and {mask:#x} == {value:#x} accept"),
        (Tool::Nft(_), None) if ports.contains(',') => format!("tcp dport '{{ {ports} }}' accept"),
        (Tool::Nft(_), None) => format!("tcp dport {ports} accept"),
        (Tool::Iptables(_), Some(mark)) => format!("-m mark --mark {mark} -j ACCEPT"),
        (Tool::Iptables(_), None) => {
            let ports = ports.replace('-', ":").replace(", ", ",");
            format!("-p tcp -m multiport --dports {ports} -j ACCEPT")
        }
    }
}

fn insert(chain: &Chain, ports: &str, mark: Option<Mark>) -> String {
    let wanted = wanted(chain, ports, mark);
    match &chain.tool {
        Tool::Nft(family) => format!("nft insert rule {family} {} {} {wanted}", chain.table, chain.name),
        Tool::Iptables(tool) => format!("{tool} -t {} -I {} {wanted}", chain.table, chain.name),
    }
}

fn replace(chain: &Chain, rule: &Rule, ports: &str, guarded: &[&str], mark: Option<Mark>) -> String {
    let wanted = wanted(chain, ports, mark);
    let number = rule.number;
    match &chain.tool {
        Tool::Nft(family) => {
            let names: Vec<_> = guarded.iter().map(|name| format!("\"{name}\"")).collect();
            let names =
                if names.len() == 1 { format!("'{}'", names[0]) } else { format!("'{{ {} }}'", names.join(", ")) };
            let of = format!("{family} {} {}", chain.table, chain.name);
            format!("nft replace rule {of} handle {number} iifname {names} {wanted}")
        }
        Tool::Iptables(tool) => {
            let of = format!("{tool} -t {} -R {} {number}", chain.table, chain.name);
            format!("{of} -i {} {wanted}", guarded.first().copied().unwrap_or("eth0"))
        }
    }
}
