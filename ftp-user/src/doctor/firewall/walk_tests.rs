use super::super::model::{Base, Condition, Family, Tool};
use super::*;

fn rule(number: u64, conditions: Vec<Condition>, action: Action) -> Rule {
    Rule { number, conditions, action }
}

/// A base chain that accepts what no rule decides, and others that it may jump to.
fn ruleset(chains: Vec<(&str, Vec<Rule>)>) -> Ruleset {
    let chain = |(name, rules): (&str, Vec<Rule>)| Chain {
        tool: Tool::Nft("inet".to_owned()),
        table: "t".to_owned(),
        name: name.to_owned(),
        families: vec![Family::V4],
        base: (name == "input").then(|| Base { hook: "input".to_owned(), drops: false }),
        rules,
    };
    Ruleset { chains: chains.into_iter().map(chain).collect(), ..Ruleset::default() }
}

fn fate(ruleset: &Ruleset) -> Fate<'_> {
    let packet = Packet { family: Family::V4, port: 21, interface: None, mark: None, may_be_translated: false };
    walk(ruleset, &ruleset.chains[0], &packet)
}

#[test]
fn what_a_rule_may_drop_that_cannot_be_judged_is_not_let_in_for_certain() {
    let unknown = || vec![Condition::Unknown];
    let jump = || Action::Jump("other".to_owned());
    let drop = |number| rule(number, Vec::new(), Action::Drop);
    for chains in [
        vec![("input", vec![rule(1, unknown(), Action::Drop), rule(2, Vec::new(), Action::Accept)])],
        vec![("input", vec![rule(1, Vec::new(), Action::Unknown)])],
        vec![("input", vec![rule(1, Vec::new(), jump())])],
        vec![("input", vec![rule(1, unknown(), jump())]), ("other", vec![drop(2)])],
        vec![
            ("input", vec![rule(1, Vec::new(), jump())]),
            ("other", vec![rule(1, unknown(), Action::Return), drop(2)]),
        ],
    ] {
        let ruleset = ruleset(chains);
        let fate = fate(&ruleset);
        assert!(!fate.is_dropped && fate.may_end(), "{ruleset:#?}");
        assert!(fate.may_drop.iter().all(|rule| rule.number == 1), "{fate:#?}");
    }
    let by_sender = ruleset(vec![("input", vec![rule(1, vec![Condition::Source], Action::Drop)])]);
    assert!(!fate(&by_sender).may_end(), "a list of senders is what it is meant to be");
    let back = ruleset(vec![
        ("input", vec![rule(1, Vec::new(), jump()), rule(2, Vec::new(), Action::Accept)]),
        ("other", vec![rule(1, vec![Condition::Source], Action::Return), drop(2)]),
    ]);
    let back = fate(&back);
    assert!(!back.is_dropped && !back.may_end(), "those come back: {back:#?}");
}

#[test]
fn chains_that_are_walked_by_ever_more_ways_end() {
    let jumps = |to: &str| (1..=20).map(|number| rule(number, Vec::new(), Action::Jump(to.to_owned()))).collect();
    for chains in [
        vec![("input", jumps("input"))],
        vec![("input", jumps("a")), ("a", jumps("b")), ("b", jumps("c")), ("c", jumps("d")), ("d", jumps("a"))],
    ] {
        assert!(fate(&ruleset(chains)).may_end());
    }
}

#[test]
fn what_comes_back_from_a_goto_is_not_here_any_more() {
    for (condition, by) in [
        (Condition::Syn, None),
        (Condition::Source, Some(2)),
        (Condition::Port { is: true, ranges: vec![(22, 22)] }, Some(2)),
    ] {
        let goto = rule(1, vec![condition.clone()], Action::Goto("other".to_owned()));
        let ruleset = ruleset(vec![("input", vec![goto, rule(2, Vec::new(), Action::Drop)]), ("other", Vec::new())]);
        let fate = fate(&ruleset);
        let expected = by.filter(|_| condition != Condition::Source);
        assert_eq!(fate.by.map(|(_, rule)| rule.number), expected, "{condition:?}");
    }
}
