use super::*;
use crate::ebpf::policy_maps::ActivePolicy;
use crate::policy::{Policy, Rules};
use ftp_common::SECOND;
use serde_json::{Value, json, to_value};

fn address(text: &str) -> Address {
    text.parse::<IpAddr>().unwrap().into()
}

fn connection(client: &str, client_port: u16, server: &str, server_port: u16) -> ConnectionKey {
    ConnectionKey { client: address(client), server: address(server), client_port, server_port, scope: 0 }
}

fn json_of(row: &impl Serialize) -> Value {
    to_value(row).unwrap()
}

#[test]
fn a_flow_in_json() {
    let flow = Flow {
        since: 5 * SECOND,
        bytes: [0, 4096],
        control_client_port: 39999,
        control_server_port: 21,
        state: state::ESTABLISHED,
        mode: 1,
        ..Flow::default()
    };
    let key = connection("10.0.0.2", 40000, "10.0.0.1", 10241);
    assert_eq!(
        json_of(&FlowRow::new(&key, &flow, 7 * SECOND)),
        json!({
            "client": "10.0.0.2:40000", "server": "10.0.0.1:10241", "mode": "passive", "state": "established",
            "bytes": {"client": 0, "server": 4096},
            "age_seconds": 2.0, "control": "10.0.0.2:39999-10.0.0.1:21",
        })
    );
}

#[test]
fn ipv6_addresses_stand_in_brackets_where_a_port_follows() {
    let flow = Flow { mode: 2, control_client_port: 5, control_server_port: 21, ..Flow::default() };
    let row = json_of(&FlowRow::new(&connection("2001:db8::2", 1, "2001:db8::1", 20), &flow, 0));
    assert_eq!(row["client"], "[2001:db8::2]:1");
    assert_eq!(row["mode"], "active");
    assert_eq!(row["state"], "syn_sent");
    assert_eq!(row["control"], "[2001:db8::2]:5-[2001:db8::1]:21");
}

#[test]
fn an_expectation_in_json() {
    let session = connection("10.0.0.2", 39999, "10.0.0.1", 21);
    let expectation = Expectation { expires: 301 * SECOND, session, ..Expectation::default() };
    let key = ExpectationKey {
        client: address("10.0.0.2"),
        server: address("10.0.0.1"),
        port: 10241,
        mode: 1,
        ..ExpectationKey::default()
    };
    let row = json_of(&ExpectationRow::new(&key, &expectation, SECOND));
    assert_eq!(
        row,
        json!({
            "client": "10.0.0.2", "server": "10.0.0.1", "port": 10241, "mode": "passive",
            "expires_in_seconds": 300.0, "evidence": "reply", "session": "10.0.0.2:39999-10.0.0.1:21",
        })
    );
    let promiscuous = ExpectationKey { client: Address::ANY, ..key };
    assert_eq!(json_of(&ExpectationRow::new(&promiscuous, &expectation, SECOND))["client"], Value::Null);
}

#[test]
fn a_session_in_json() {
    let key = connection("10.0.0.2", 39999, "10.0.0.1", 21);
    let mut session = Session { since: SECOND, ..Session::default() };
    session.client.head = 3;
    session.server.tail = 1;
    session.client.ring[1].kind = kind::PASV | kind::OUT_OF_SYNC;
    session.client.ring[2].kind = kind::TRANSFER;
    session.server.standing.mode = Mode::Passive.number();
    let row = json_of(&SessionRow::new(&key, &session, Encrypted::default(), 2 * SECOND));
    assert_eq!(
        row,
        json!({
            "client": "10.0.0.2:39999", "server": "10.0.0.1:21", "state": "resyncing", "user": null, "evidence": null,
            "mode": "passive", "age_seconds": 1.0, "waiting": 2, "waits_for": ["PASV", "transfer"],
        })
    );
    session.server.opaque = 1;
    let [range, owner] = [(true, false), (false, true)]
        .map(|(opens_range, is_owned)| SessionRow::new(&key, &session, Encrypted { opens_range, is_owned }, 0));
    assert_eq!((range.state, range.mode, range.evidence), ("opaque", Some("range"), Some("none")));
    assert_eq!((owner.state, owner.mode, owner.evidence), ("opaque", Some("passive"), Some("owner")));
}

#[test]
fn status_in_json_has_no_value_for_what_is_refused() {
    let status = Status {
        version: "0.1.0",
        abi: 1,
        pin_dir: "/pins".to_owned(),
        kernel: Some(Features {
            release: "5.10.0".to_owned(),
            tcx: false,
            classifier: true,
            lpm_trie: true,
            global_functions: true,
            batch_lookup: true,
            ring_buffer: true,
        }),
        interfaces: vec![InterfaceRow {
            name: "eth0".to_owned(),
            index: 2,
            side: SideName::ServersBehind,
            hook: Hook::Tcx,
            attached: true,
            state: "attached",
            version: "0.1.0".to_owned(),
        }],
        unprotected_addresses: vec!["10.0.0.9".to_owned()],
        policy: PolicyRow::from(&ActivePolicy {
            generation: 1,
            policy: Policy { own: Some(Rules::default()), ..Policy::default() },
            own: ["10.0.0.1/32".parse().unwrap()].into(),
        }),
        learning: Some(Learning { problem: Some("no BTF".to_owned()) }),
        sessions: 1,
        expectations: 2,
        flows: 3,
    };
    assert_eq!(
        json_of(&status),
        json!({
            "version": "0.1.0", "abi": 1, "pin_dir": "/pins",
            "kernel": {
                "release": "5.10.0", "tcx": false, "classifier": true, "lpm_trie": true, "global_functions": true,
                "batch_lookup": true, "ring_buffer": true,
            },
            "interfaces": [{
                "name": "eth0", "index": 2, "side": "servers-behind", "hook": "tcx", "attached": true,
                "state": "attached", "version": "0.1.0",
            }],
            "unprotected_addresses": ["10.0.0.9"],
            "policy": {
                "generation": 1, "accounting": true,
                "servers": [{
                    "addresses": ["10.0.0.1/32"], "follows_interfaces": true, "control_ports": [21],
                    "passive_range": null, "passive": true, "active_port": 20, "active": true,
                    "pasv_promiscuous": false, "port_promiscuous": false, "announced_address": "any",
                    "expectation_timeout": 300, "sessions_per_client": 128, "ftps": "deny", "mode": "enforce",
                    "mark": null,
                }],
            },
            "learning": { "problem": "no BTF" },
            "sessions": 1, "expectations": 2, "flows": 3,
        })
    );
}

#[test]
fn every_counter_is_in_the_stats_object() {
    let stats = Stats(Counter::ALL.iter().map(|counter| (*counter, u64::from(counter.index()))).collect());
    let object = json_of(&stats);
    assert_eq!(object.as_object().unwrap().len(), Counter::ALL.len());
    assert_eq!(object["denied_passive"], Counter::DeniedPassive.index());
}
