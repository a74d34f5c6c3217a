//! What becomes of a packet in a chain.

use super::model::{Action, Chain, Holds, Packet, Rule, Ruleset};

/// Chains within chains that are followed, at most: nft allows sixteen.
const DEPTH: usize = 16;
/// Rules that are asked for one packet, at most: chains that jump to each other by many ways are walked by each of them.
const MOST_RULES: usize = 100_000;

/// What a base chain does with a packet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Fate<'a> {
    /// The rule that decides, and its chain; none: the chain's policy.
    pub(super) by: Option<(&'a Chain, &'a Rule)>,
    /// Whether it ends here.
    pub(super) is_dropped: bool,
    /// Rules before it that accept some such packets, by sender as a rule. That others drop some is what they are for.
    pub(super) accepting_some: Vec<&'a Rule>,
    /// Rules before it that can't be judged, of which such packets may be accepted.
    pub(super) may_accept: Vec<&'a Rule>,
    /// Those of which they may be dropped.
    pub(super) may_drop: Vec<&'a Rule>,
    /// Other chains that it certainly came to, in this order.
    pub(super) through: Vec<&'a Chain>,
    /// There were too many rules to ask them all.
    pub(super) is_cut_short: bool,
}

impl Fate<'_> {
    /// Whether it can't be said that it passes, though no rule drops it for certain.
    pub(super) fn may_end(&self) -> bool {
        self.is_cut_short || !self.is_dropped && !self.may_drop.is_empty()
    }
}

/// What a chain of the kernel's does with a packet.
pub(super) fn walk<'a>(ruleset: &'a Ruleset, chain: &'a Chain, packet: &Packet<'_>) -> Fate<'a> {
    let mut walker = Walker { ruleset, packet, fate: Fate::default(), asked: 0, returned: Holds::No };
    match walker.chain(chain, DEPTH) {
        End::Decided { is_dropped, chain, rule } => {
            (walker.fate.is_dropped, walker.fate.by) = (is_dropped, Some((chain, rule)));
        }
        End::Returned => walker.fate.is_dropped = chain.base.as_ref().is_some_and(|base| base.drops),
    }
    walker.fate
}

enum End<'a> {
    Decided {
        is_dropped: bool,
        chain: &'a Chain,
        rule: &'a Rule,
    },
    /// The chain before goes on; where there is none, the policy decides.
    Returned,
}

/// A rule as it is come to.
#[derive(Clone, Copy)]
struct At<'a> {
    chain: &'a Chain,
    rule: &'a Rule,
    holds: Holds,
    /// The rule to blame where it can't be judged: it, or one before that some packets have left the chain by.
    cause: &'a Rule,
    depth: usize,
}

struct Walker<'a, 'p> {
    ruleset: &'a Ruleset,
    packet: &'p Packet<'p>,
    fate: Fate<'a>,
    /// Rules so far.
    asked: usize,
    /// Whether the rule in question takes packets back to where its chain was come from, if that isn't certain.
    returned: Holds,
}

impl<'a> Walker<'a, '_> {
    fn chain(&mut self, chain: &'a Chain, depth: usize) -> End<'a> {
        // Whether such packets are still here, and the rule that some may have left by.
        let mut stays = (Holds::Yes, None);
        for rule in &chain.rules {
            self.asked += 1;
            if self.asked > MOST_RULES {
                self.fate.is_cut_short = true;
                return End::Returned;
            }
            let own = rule.conditions.iter().fold(Holds::Yes, |all, condition| all.and(condition.holds(self.packet)));
            let cause = if own == Holds::Unknown { rule } else { stays.1.unwrap_or(rule) };
            let at = At { chain, rule, holds: own.and(stays.0), cause, depth };
            if let Some(end) = self.action(at, &rule.action) {
                return end;
            }
            let returned = std::mem::replace(&mut self.returned, Holds::No);
            if returned != Holds::No && stays.0 != Holds::Unknown {
                stays = (stays.0.and(returned), Some(rule));
            }
        }
        End::Returned
    }

    /// None: the next rule is asked.
    fn action(&mut self, at: At<'a>, action: &'a Action) -> Option<End<'a>> {
        let At { chain, rule, holds, .. } = at;
        match (action, holds) {
            (_, Holds::No) | (Action::GoOn, _) => None,
            (Action::Accept | Action::Drop, Holds::Yes) => {
                Some(End::Decided { is_dropped: *action == Action::Drop, chain, rule })
            }
            (Action::Accept | Action::Drop, _) => {
                self.decided_for_some(at, rule, *action == Action::Drop);
                None
            }
            (Action::Return, Holds::Yes) => Some(End::Returned),
            (Action::Return, _) => {
                self.returned = holds;
                None
            }
            (Action::Unknown, _) => {
                self.fate.may_accept.push(rule);
                self.fate.may_drop.push(rule);
                None
            }
            (Action::Map(entries), _) => entries.iter().find_map(|(condition, action)| {
                let own = condition.holds(self.packet);
                let cause = if own == Holds::Unknown { rule } else { at.cause };
                self.action(At { holds: holds.and(own), cause, ..at }, action)
            }),
            (Action::Jump(target), _) => self.jump(at, target),
            (Action::Goto(target), _) => {
                let end = self.jump(at, target);
                match (&end, holds) {
                    // What comes back from there goes on where this chain was come from.
                    (None, Holds::Yes) => return Some(End::Returned),
                    (None, _) => self.returned = holds,
                    (Some(_), _) => {}
                }
                end
            }
        }
    }

    /// Some such packets come to a rule that decides.
    fn decided_for_some(&mut self, at: At<'a>, rule: &'a Rule, is_dropped: bool) {
        match (at.holds, is_dropped) {
            (Holds::Unknown, true) => self.fate.may_drop.push(at.cause),
            (Holds::Unknown, false) => self.fate.may_accept.push(at.cause),
            (_, true) => {}
            (_, false) => self.fate.accepting_some.push(rule),
        }
    }

    fn jump(&mut self, at: At<'a>, target: &str) -> Option<End<'a>> {
        let At { chain: from, holds, .. } = at;
        let is_it = |chain: &&Chain| chain.name == target && chain.table == from.table && chain.tool == from.tool;
        let Some(target) = self.ruleset.chains.iter().find(is_it) else {
            // A kernel module's, or one that was not listed.
            return self.action(at, &Action::Unknown);
        };
        let Some(depth) = at.depth.checked_sub(1) else {
            self.fate.is_cut_short = true;
            return None;
        };
        if holds == Holds::Yes {
            self.fate.through.push(target);
        }
        let returned = self.returned;
        let end = self.chain(target, depth);
        self.returned = returned;
        match end {
            End::Decided { is_dropped, rule, .. } if holds != Holds::Yes => {
                self.decided_for_some(at, rule, is_dropped);
                None
            }
            decided @ End::Decided { .. } => Some(decided),
            End::Returned => None,
        }
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
