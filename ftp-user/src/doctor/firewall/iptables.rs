//! `iptables-save` and its variants.

use super::model::{Action, Base, Chain, Condition, Family, Rule, Ruleset, Tool};

/// Reads what `TOOL-save` prints.
pub(super) fn read(text: &str, tool: &str) -> Ruleset {
    let family = if tool.starts_with("ip6") { Family::V6 } else { Family::V4 };
    let mut ruleset = Ruleset::default();
    let mut table = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_ascii_whitespace();
            let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            // Of translation and marking nothing is decided in them.
            let filters = policy != "-" && !matches!(table.as_str(), "nat" | "mangle");
            ruleset.chains.push(Chain {
                tool: Tool::Iptables(tool.to_owned()),
                table: table.clone(),
                name: name.to_owned(),
                families: vec![family],
                base: filters.then(|| Base { hook: name.to_ascii_lowercase(), drops: policy == "DROP" }),
                rules: Vec::new(),
            });
        } else if line.starts_with("-A ") {
            rule(&words(line), line, tool, &table, &mut ruleset);
        }
    }
    ruleset
}

fn rule(words: &[String], line: &str, tool: &str, table: &str, ruleset: &mut Ruleset) {
    let mut words = words.iter().map(String::as_str);
    let chain = words.nth(1).unwrap_or_default();
    let mut read = Rule { number: 0, conditions: Vec::new(), action: Action::GoOn };
    let mut is = true;
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        let condition = match word {
            "!" => {
                is = false;
                continue;
            }
            // Their options follow.
            "-m" | "--match" => match value() {
                "tcp" | "udp" | "multiport" | "comment" | "conntrack" | "state" | "mark" => continue,
                _ => Condition::Unknown,
            },
            "--comment" => {
                value();
                continue;
            }
            "-p" | "--protocol" => Condition::Tcp(matches!(value(), "tcp" | "6" | "all") == is),
            "--dport" | "--dports" => port(is, value()),
            "-i" => Condition::Interface { is, names: vec![value().to_owned()] },
            "-s" => {
                value();
                Condition::Source
            }
            "--ctstate" | "--state" => {
                let states = value();
                let has = |wanted: &str| states.split(',').any(|state| state == wanted);
                if has("DNAT") && !has("NEW") { Condition::Translated(is) } else { Condition::New(has("NEW") == is) }
            }
            "--mark" => mark(is, value()),
            "--syn" => Condition::Syn,
            "--tcp-flags" => {
                value();
                if value() == "SYN" && is { Condition::Syn } else { Condition::Unknown }
            }
            "-j" | "-g" => {
                let target = value().to_owned();
                read.action = match target.as_str() {
                    "ACCEPT" => Action::Accept,
                    "DROP" | "REJECT" => Action::Drop,
                    "RETURN" => Action::Return,
                    "LOG" | "NFLOG" | "MARK" | "CONNMARK" | "CT" | "NOTRACK" | "TRACE" => Action::GoOn,
                    "NFQUEUE" | "TPROXY" | "SYNPROXY" => Action::Unknown,
                    _ if word == "-g" => Action::Goto(target.clone()),
                    _ => Action::Jump(target.clone()),
                };
                ruleset.translates |= matches!(target.as_str(), "DNAT" | "REDIRECT" | "NETMAP");
                if target == "CT" && line.contains("--helper ftp") {
                    let what = format!("a rule of {tool}'s {table} {chain}");
                    ruleset.helpers.push((what, format!("{tool} -t {table} {}", line.replacen("-A", "-D", 1))));
                }
                // What follows is the target's.
                break;
            }
            _ => Condition::Unknown,
        };
        read.conditions.push(condition);
        is = true;
    }
    let is_its = |of: &&mut Chain| of.table == table && of.name == chain;
    if let Some(chain) = ruleset.chains.iter_mut().find(is_its) {
        read.number = chain.rules.len() as u64 + 1;
        chain.rules.push(read);
    }
}

/// `21`, `10240:20480`, `21,10240:20480`.
fn port(is: bool, text: &str) -> Condition {
    let range = |text: &str| {
        let (first, last) = text.split_once(':').unwrap_or((text, text));
        Some((first.parse().ok()?, last.parse().ok()?))
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    ranges.map_or(Condition::Unknown, |ranges| Condition::Port { is, ranges })
}

/// `0x1`, `0x1/0xff`.
fn mark(is: bool, text: &str) -> Condition {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    match (number(value), number(mask)) {
        (Some(value), Some(mask)) => Condition::Mark { is, value, mask },
        _ => Condition::Unknown,
    }
}

/// Words, of which those in quotes may hold blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().unwrap_or(&mut String::new()).push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
