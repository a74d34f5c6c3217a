use serde_json::json;

use super::*;

fn read_rule(expressions: &Value) -> Rule {
    let place = |more: Value| {
        let mut object = json!({ "family": "inet", "table": "t", "handle": 5 });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let objects = json!({ "nftables": [
        { "set": place(json!({ "name": "empty" })) },
        { "chain": place(json!({ "name": "input", "type": "filter", "hook": "input", "policy": "accept" })) },
        { "rule": place(json!({ "chain": "input", "expr": expressions })) },
    ] });
    read(&objects.to_string(), false, &[]).unwrap().chains[0].rules[0].clone()
}

fn condition(op: &str, left: &Value, right: &Value) -> Condition {
    let rule = read_rule(&json!([{ "match": { "op": op, "left": left, "right": right } }, { "drop": null }]));
    assert_eq!((rule.action, rule.conditions.len()), (Action::Drop, 1));
    rule.conditions[0].clone()
}

#[test]
fn what_is_only_half_understood_is_unknown() {
    let (mark, iif, state) = (
        json!({ "meta": { "key": "mark" } }),
        json!({ "meta": { "key": "iif" } }),
        json!({ "ct": { "key": "state" } }),
    );
    let (dport, l4proto) =
        (json!({ "payload": { "protocol": "tcp", "field": "dport" } }), json!({ "meta": { "key": "l4proto" } }));
    for (op, left, right) in [
        ("<", &mark, json!(5)),
        ("<", &state, json!("new")),
        ("==", &iif, json!(7)),
        ("!=", &iif, json!({ "set": ["eth0", 7] })),
        ("in", &state, json!({ "|": ["new", "related"] })),
        ("==", &state, json!("@gone")),
        ("==", &dport, json!("@gone")),
        ("==", &dport, json!("ftp")),
        ("==", &l4proto, json!({ "range": [1, 17] })),
        ("==", &l4proto, json!("@gone")),
    ] {
        assert_eq!(condition(op, left, &right), Condition::Unknown, "{left} {op} {right}");
    }
    assert_eq!(condition("==", &dport, &json!("@empty")), Condition::Port { is: true, ranges: Vec::new() });
    for expressions in [json!(null), json!("drop"), json!(["drop"]), json!([{ "xt": null }, { "drop": null }])] {
        let rule = read_rule(&expressions);
        assert!(rule.action == Action::Unknown || rule.conditions.contains(&Condition::Unknown), "{expressions}");
    }
}

#[test]
fn flags_are_those_of_a_first_packet_or_not() {
    let masked = |mask: Value| json!({ "&": [{ "payload": { "protocol": "tcp", "field": "flags" } }, mask] });
    let all = masked(json!(["fin", "syn", "rst", "ack"]));
    assert_eq!(condition("==", &all, &json!("syn")), Condition::Syn);
    assert_eq!(condition("!=", &all, &json!("syn")), Condition::New(false));
    assert_eq!(condition("==", &masked(json!(["fin", "syn"])), &json!(["fin", "syn"])), Condition::New(false));
    assert_eq!(condition("==", &masked(json!(["ecn", "syn"])), &json!("syn")), Condition::Unknown);
}

#[test]
fn reverse_paths_are_of_senders() {
    let reverse = json!({ "fib": { "result": "oif", "flags": ["saddr", "iif"] } });
    assert_eq!(condition("==", &reverse, &json!(false)), Condition::Source);
}

#[test]
fn a_table_that_iptables_does_not_list_is_read_here() {
    let chain = json!({ "family": "ip", "table": "filter", "name": "INPUT", "type": "filter", "hook": "input" });
    let text = json!({ "nftables": [{ "chain": chain }] }).to_string();
    assert_eq!(read(&text, true, &[]).unwrap().chains.len(), 0);
    for (unlisted, chains) in [(("ip", "filter"), 1), (("ip6", "filter"), 0), (("ip", "nat"), 0)] {
        assert_eq!(read(&text, true, &[unlisted]).unwrap().chains.len(), chains, "{unlisted:?}");
    }
}
