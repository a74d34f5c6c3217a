//! What becomes of a packet in a chain.

use super::model::{Action, Chain, Condition, Holds, Packet, Rule, Ruleset};

/// Chains within chains that are followed, at most: nft allows sixteen.
const DEPTH: usize = 16;

/// What a base chain does with a packet.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Fate<'a> {
    /// The rule that decides, and its chain; none: the chain's policy.
    pub(super) by: Option<(&'a Chain, &'a Rule)>,
    /// Whether it ends here.
    pub(super) is_dropped: bool,
    /// Rules before it that accept some such packets: by sender, or by what can't be judged from here.
    pub(super) accepting_some: Vec<&'a Rule>,
    /// Rules before it that drop some.
    pub(super) dropping_some: Vec<&'a Rule>,
    /// Other chains that it certainly came to, in this order.
    pub(super) through: Vec<&'a Chain>,
}

/// What a chain of the kernel's does with a packet.
pub(super) fn walk<'a>(ruleset: &'a Ruleset, chain: &'a Chain, packet: &Packet<'_>) -> Fate<'a> {
    let mut walker = Walker { ruleset, packet, fate: Fate::default() };
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

struct Walker<'a, 'p> {
    ruleset: &'a Ruleset,
    packet: &'p Packet<'p>,
    fate: Fate<'a>,
}

impl<'a> Walker<'a, '_> {
    fn chain(&mut self, chain: &'a Chain, depth: usize) -> End<'a> {
        for rule in &chain.rules {
            let holds = self.all_hold(&rule.conditions);
            match self.action(chain, rule, &rule.action, holds, depth) {
                Some(end) => return end,
                None => continue,
            }
        }
        End::Returned
    }

    fn all_hold(&self, conditions: &[Condition]) -> Holds {
        conditions.iter().fold(Holds::Yes, |all, condition| all.and(condition.holds(self.packet)))
    }

    /// None: the next rule is asked.
    fn action(
        &mut self,
        chain: &'a Chain,
        rule: &'a Rule,
        action: &'a Action,
        holds: Holds,
        depth: usize,
    ) -> Option<End<'a>> {
        match (action, holds) {
            (_, Holds::No) | (Action::GoOn, _) => None,
            (Action::Accept, Holds::Yes) => Some(End::Decided { is_dropped: false, chain, rule }),
            (Action::Drop, Holds::Yes) => Some(End::Decided { is_dropped: true, chain, rule }),
            (Action::Accept, Holds::Perhaps) => {
                self.fate.accepting_some.push(rule);
                None
            }
            (Action::Drop, Holds::Perhaps) => {
                self.fate.dropping_some.push(rule);
                None
            }
            (Action::Return, Holds::Yes) => Some(End::Returned),
            (Action::Return, Holds::Perhaps) => None,
            (Action::Unknown, _) => {
                self.fate.accepting_some.push(rule);
                self.fate.dropping_some.push(rule);
                None
            }
            (Action::Map(entries), _) => entries.iter().find_map(|(condition, action)| {
                let holds = holds.and(condition.holds(self.packet));
                self.action(chain, rule, action, holds, depth)
            }),
            (Action::Jump(target) | Action::Goto(target), holds) => {
                let ends = matches!(action, Action::Goto(_)) && holds == Holds::Yes;
                match self.jump(chain, rule, target, holds, depth.checked_sub(1)?) {
                    // What comes back from there goes on where this chain was come from.
                    None if ends => Some(End::Returned),
                    other => other,
                }
            }
        }
    }

    fn jump(&mut self, from: &'a Chain, rule: &'a Rule, target: &str, holds: Holds, depth: usize) -> Option<End<'a>> {
        let is_it = |chain: &&Chain| chain.name == target && chain.table == from.table && chain.tool == from.tool;
        let Some(target) = self.ruleset.chains.iter().find(is_it) else {
            // A kernel module's, or one that was not listed.
            return self.action(from, rule, &Action::Unknown, holds, depth);
        };
        if holds == Holds::Yes {
            self.fate.through.push(target);
        }
        match self.chain(target, depth) {
            End::Decided { is_dropped, rule, .. } if holds == Holds::Perhaps => {
                if is_dropped {
                    self.fate.dropping_some.push(rule)
                } else {
                    self.fate.accepting_some.push(rule)
                }
                None
            }
            decided @ End::Decided { .. } => Some(decided),
            End::Returned => None,
        }
    }
}
