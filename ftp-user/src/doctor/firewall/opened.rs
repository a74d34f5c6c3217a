//! What is open where nobody guards.

use std::net::IpAddr;

use super::judge::{Question, joined, parts, place};
use super::model::{Action, Chain, Condition, Family, Packet, Rule, Ruleset};
use super::walk::{Fate, walk};
use super::{CHECK, Finding, Level, firewalld, fix};
use crate::doctor::host::Unprotected;
use crate::policy::{Mark, PortRange};

impl<'a> Question<'a> {
    /// Rules that let anybody in, where ftptrack doesn't see who comes.
    pub(super) fn opened(&self, ruleset: &Ruleset, chain: &Chain, range: PortRange) -> Vec<Finding> {
        let mut opening: Vec<(&Chain, &Rule, Vec<PortRange>)> = Vec::new();
        let unguarded = self.unguarded();
        for part in parts(range, [ruleset]) {
            for family in self.families.iter().filter(|family| chain.families.contains(family)) {
                for interface in &unguarded {
                    let packet = self.unguarded_packet(*family, part.first, interface);
                    let Fate { by: Some((by, rule)), is_dropped: false, .. } = walk(ruleset, chain, &packet) else {
                        continue;
                    };
                    if self.is_dropped_anywhere(&packet) {
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

    /// The beginning of a connection that no ftptrack has seen.
    fn unguarded_packet<'p>(&self, family: Family, port: u16, interface: &'p str) -> Packet<'p> {
        Packet {
            family,
            port,
            interface: Some(interface),
            mark: Some(Mark { value: 0, mask: u32::MAX }),
            may_be_translated: self.rulesets.translate(),
        }
    }

    /// Every chain must let it pass.
    fn is_dropped_anywhere(&self, packet: &Packet<'_>) -> bool {
        self.fates(packet).any(|fate| fate.is_dropped)
    }

    /// What all chains on its way do with it.
    fn fates(&self, packet: &Packet<'_>) -> impl Iterator<Item = Fate<'a>> {
        self.rulesets.all.iter().flat_map(move |ruleset| {
            let sees = |chain: &&Chain| self.concerns(chain) && chain.families.contains(&packet.family);
            ruleset.chains.iter().filter(sees).map(move |chain| walk(ruleset, chain, packet))
        })
    }

    fn opening(&self, chain: &Chain, rule: &Rule, parts: &[PortRange], unguarded: &[&str]) -> Finding {
        let (ports, on) = (joined(parts.iter().copied()), unguarded.join(", "));
        let what = format!("rule {} of {} lets anybody in to port {ports} by {on}", rule.number, place(chain));
        let finding = Finding::new(Level::Warning, CHECK, what);
        let places = &self.host.places;
        let guarded: Vec<_> =
            places.iter().filter(|place| place.is_guarded()).map(|place| place.name.as_str()).collect();
        if guarded.is_empty() || places.iter().any(|place| unguarded.contains(&place.name.as_str())) {
            return finding
                .because(
                    "whoever scans the host reaches what listens there; with ftptrack in front only those connections \
                          come as far that were negotiated",
                )
                .fix(self.host.attach_command(""));
        }
        let (only, attach) = (guarded.join(", "), self.host.attach_command_also_at(unguarded));
        let why = format!("only {only} is guarded: whoever comes by {on} reaches what listens there");
        // A zone of firewalld's is of interfaces already.
        if firewalld::has(chain) {
            return finding.because(format!("{why}; or put {on} into a zone that shuts it")).fix(attach);
        }
        let range = self.rules.passive_range;
        let is_of_range = |condition: &Condition| match (condition, range) {
            (Condition::Port { is: true, ranges }, Some(range)) => {
                ranges.iter().all(|(first, last)| range.contains(*first) && range.contains(*last))
            }
            _ => false,
        };
        // A rule that lets in more than that has to stay.
        let command = if rule.action == Action::Accept && rule.conditions.iter().any(is_of_range) {
            fix::replace(chain, rule.number, &ports, self.rules.mark, &guarded)
        } else {
            fix::shut_before(chain, rule.number, &ports, unguarded)
        };
        finding.because(format!("{why}; if it is to serve them too, guard it instead: {attach}")).fix(command)
    }

    fn unguarded(&self) -> Vec<&'a str> {
        let asked = self.host.places.iter().filter(|place| !place.is_guarded() && place.link.is_some());
        let asked: Vec<_> = asked.map(|place| place.name.as_str()).collect();
        if asked.is_empty() {
            self.unprotected.iter().map(|unprotected| unprotected.name.as_str()).collect()
        } else {
            asked
        }
    }

    /// Interfaces beside the ones in question by which the range is open because no rule says anything of it.
    pub(super) fn open_without_rules(&self) -> Vec<Finding> {
        let Some(range) = self.rules.passive_range.filter(|_| self.is_of_this_host()) else { return Vec::new() };
        let is_in_question =
            |unprotected: &&Unprotected| self.host.places.iter().any(|place| place.name == unprotected.name);
        // Rules that couldn't be read may shut it.
        if self.host.places.is_empty() || self.rulesets.whole().is_none() {
            return Vec::new();
        }
        let others = self.unprotected.iter().copied().filter(|unprotected| !is_in_question(unprotected));
        others.filter_map(|unprotected| self.open_without_rule(unprotected, range)).collect()
    }

    fn open_without_rule(&self, unprotected: &Unprotected, range: PortRange) -> Option<Finding> {
        let is_open = |part: &PortRange| {
            self.families.iter().any(|family| {
                let packet = self.unguarded_packet(*family, part.first, &unprotected.name);
                self.fates(&packet).all(|fate| !fate.is_dropped && fate.by.is_none())
            })
        };
        let open: Vec<_> = parts(range, &self.rulesets.all).into_iter().filter(is_open).collect();
        if open.is_empty() {
            return None;
        }
        let (name, ports) = (&unprotected.name, joined(open.into_iter()));
        // In a network of one's own there may be nobody who matters.
        let level =
            if unprotected.addresses.iter().any(|net| is_public(net.addr())) { Level::Warning } else { Level::Note };
        let why = format!(
            "whoever can come by {name} reaches what listens there; guard it too, or shut the range there by a rule of the \
             firewall"
        );
        let finding =
            Finding::new(level, CHECK, format!("{name} is not guarded, and no rule shuts port {ports} there"));
        Some(finding.because(why).fix(self.host.attach_command_also_at(&[name])))
    }
}

/// Whether an address is not of those that are given out for networks of one's own.
fn is_public(address: IpAddr) -> bool {
    match address {
        // 100.64.0.0/10 is for networks behind a provider's translation, and of VPNs.
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            !(address.is_private() || address.is_link_local() || first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(address) => !address.is_unique_local() && !address.is_unicast_link_local(),
    }
}
