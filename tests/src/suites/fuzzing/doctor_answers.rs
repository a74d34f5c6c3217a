//! What `ftptrack doctor` is told by nft, by iptables and by the configurations of FTP servers: what can't be read is
//! never taken for fine, and whatever it says, the terminal shows it as it is.
//!
//! An input is answers one after the other, with a line `====` between. The first line of each says whose it is: `nft`,
//! `iptables-nft` or another variant, `vsftpd`, `proftpd` or `pure-ftpd`.

use std::fs;
use std::io;

use ftp_user::config::Configuration;
use ftp_user::doctor::{Finding, Level, text, told};
use ftp_user::escape::{self, is_hidden};
use ftp_user::import::{self, Server};
use serde_json::{Value, json};

use super::config_file;

const FIREWALLS: [&str; 5] = ["nft", "iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"];
const SERVERS: [Server; 3] = [Server::Vsftpd, Server::Proftpd, Server::PureFtpd];
/// What the doctor is asked by.
const ASKED: &str = "interfaces = [\"eth0\"]\n[[server]]\npassive-range = \"10240-20480\"\n";
/// Rules that nobody can judge who doesn't know what stands in them; each may drop.
const OF_IPTABLES: [&str; 8] = [
    "-m unheard-of -j DROP",
    "-m unheard-of --dport 1 -j DROP",
    "-m connmark --mark 0x1 -j DROP",
    "-p tcp -m tcp --dport ftp -j DROP",
    "-p tcp --unheard-of x -j REJECT",
    "-m comment --comment \"a\\\" -j ACCEPT\" -m unheard-of -j DROP",
    "-j UNLISTED-BY-ANYONE",
    "-g UNLISTED-BY-ANYONE",
];

/// Any bytes as answers.
pub fn doctor_answers(bytes: &[u8]) {
    let all = String::from_utf8_lossy(bytes);
    let answers: Vec<_> = all.split("\n====\n").filter_map(|answer| answer.split_once('\n')).collect();
    let of_firewalls: Vec<_> = answers.iter().copied().filter(|(tool, _)| FIREWALLS.contains(tool)).collect();
    if !of_firewalls.is_empty() {
        firewalls(&of_firewalls);
    }
    for server in SERVERS {
        let its = answers.iter().filter(|(name, _)| *name == server.name());
        its.for_each(|(_, configuration)| of_server(server, configuration));
    }
}

/// What the doctor finds by these answers.
#[must_use]
pub fn findings(answers: &[(&str, &str)]) -> Vec<Finding> {
    let answers = answers.iter().map(|(tool, text)| ((*tool).to_owned(), io::Result::Ok((*text).to_owned())));
    told(configuration(), &answers.collect::<Vec<_>>())
}

/// Whether it finds the firewall as it should be.
#[must_use]
pub fn is_fine(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.check == "firewall" && finding.level == Level::Ok)
}

fn configuration() -> Configuration {
    config_file::read(ASKED).expect("it is right")
}

fn firewalls(answers: &[(&str, &str)]) {
    let found = findings(answers);
    is_shown_as_it_is(&found);
    let is_read = |text: &str| serde_json::from_str::<Value>(text).is_ok_and(|value| value["nftables"].is_array());
    if answers.iter().any(|(tool, text)| *tool == "nft" && !is_read(text)) {
        assert!(!is_fine(&found), "{found:#?}");
    }
    for (index, (tool, text)) in answers.iter().enumerate() {
        for rule in 0..UNKNOWN {
            let unknown = if *tool == "nft" { with_rule_of_nft(rule, text) } else { with_rule_of_iptables(rule, text) };
            let mut answers = answers.to_vec();
            answers[index] = (tool, &unknown);
            let found = findings(&answers);
            assert!(!is_fine(&found), "{unknown}: {found:#?}");
        }
    }
}

/// As many as there are of each.
const UNKNOWN: usize = OF_IPTABLES.len();

fn with_rule_of_iptables(rule: usize, text: &str) -> String {
    format!("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT {}\n{text}", OF_IPTABLES[rule])
}

fn with_rule_of_nft(rule: usize, text: &str) -> String {
    let matching =
        |op: &str, left: Value, right: &Value| json!({ "match": { "op": op, "left": left, "right": right } });
    let dport = json!({ "payload": { "protocol": "tcp", "field": "dport" } });
    let mut expressions = match rule {
        0 => json!([{ "unheard-of": null }]),
        1 => json!([{ "xt": null }]),
        2 => json!(["unheard-of"]),
        3 => json!([matching("==", dport, &json!("@listed-by-nobody"))]),
        4 => json!([matching("<", json!({ "meta": { "key": "mark" } }), &json!(5))]),
        5 => json!([matching("==", json!({ "meta": { "key": "iif" } }), &json!(7))]),
        6 => json!([matching("in", json!({ "ct": { "key": "state" } }), &json!({ "|": ["established"] }))]),
        _ => json!([{ "jump": { "target": "unlisted-by-anyone" } }]),
    };
    if rule < UNKNOWN - 1 {
        expressions.as_array_mut().expect("it is a list").push(json!({ "drop": null }));
    }
    let rest = serde_json::from_str::<Value>(text).unwrap_or_default();
    let chain = json!({ "family": "inet", "table": "first", "name": "input", "type": "filter", "hook": "input", "prio": 0,
        "policy": "accept" });
    let rule = json!({ "family": "inet", "table": "first", "chain": "input", "handle": 9, "expr": expressions });
    let mut objects = vec![json!({ "chain": chain }), json!({ "rule": rule })];
    objects.extend(rest["nftables"].as_array().cloned().unwrap_or_default());
    json!({ "nftables": objects }).to_string()
}

/// On a terminal, and as JSON.
fn is_shown_as_it_is(findings: &[Finding]) {
    let shown = text::findings(findings);
    assert!(shown.chars().all(|character| character == '\n' || !is_hidden(character)), "{shown:?}");
    let lines = findings.iter().map(|of| 1 + usize::from(of.why.is_some()) + usize::from(of.fix.is_some()));
    assert_eq!(shown.lines().count(), lines.sum::<usize>() + 1, "{shown:?}");
    let json = escape::json(serde_json::to_string(findings).expect("it is JSON"));
    assert!(!json.chars().any(is_hidden), "{json:?}");
    let again: Value = serde_json::from_str(&json).expect("it is JSON still");
    assert_eq!(again.as_array().map(Vec::len), Some(findings.len()));
}

/// A server's configuration comes to a policy that can be read, or it is said that it can't.
fn of_server(server: Server, configuration: &str) {
    // Other files than this would be read.
    if configuration.to_ascii_lowercase().contains("include") && configuration.contains(['/', '~']) {
        return;
    }
    let directory = tempfile::tempdir().expect("there is room");
    let path = directory.path().join("a.conf");
    fs::write(&path, configuration).expect("there is room");
    let Ok(imported) = import::import(server, &path) else { return };
    for line in &imported.warnings {
        assert!(!line.is_empty() && !line.chars().any(is_hidden), "{line:?}");
    }
    let is_shown = |character: char| character == '\n' || !is_hidden(character);
    assert!(imported.text.chars().all(is_shown), "{:?}", imported.text);
    if let Err(failure) = config_file::read(&imported.text) {
        assert!(!failure.report().contains(": TOML: "), "{failure}\nof\n{}", imported.text);
        let is_said = imported.warnings.iter().any(|line| line.starts_with("the policy will be refused: "));
        assert!(is_said || imported.warnings.iter().any(|line| line.contains("no server is left")), "{failure}");
    }
}
