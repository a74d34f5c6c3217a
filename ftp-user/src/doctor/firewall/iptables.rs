//! `iptables-save` and its variants.

use super::model::{Action, Base, Chain, Condition, Family, Rule, Ruleset, Tool};

/// What comes in front of a table's name where `iptables-nft-save` leaves out all of its rules.
const INCOMPATIBLE: &str = "# Table `";

/// Reads what `TOOL-save` prints.
///
/// # Errors
///
/// It is no such output.
pub(super) fn read(text: &str, tool: &str) -> Result<Ruleset, String> {
    let family = if tool.starts_with("ip6") { Family::V6 } else { Family::V4 };
    let mut ruleset = Ruleset::default();
    let mut table = String::new();
    for line in text.lines().map(str::trim_end) {
        if let Some(name) = line.strip_prefix('*') {
            name.clone_into(&mut table);
        } else if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split_ascii_whitespace();
            let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            if !matches!(policy, "ACCEPT" | "DROP" | "-") {
                return Err(unread(line));
            }
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
            let is_read = words(line).is_some_and(|words| rule(&words, line, tool, &table, &mut ruleset));
            if !is_read {
                return Err(unread(line));
            }
        } else if !line.is_empty() && line != "COMMIT" && !line.starts_with('#') {
            return Err(unread(line));
        }
    }
    Ok(ruleset)
}

/// Tables that nft has made and that are none to `iptables-nft-save`: it leaves them out.
pub(super) fn unlisted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| Some(line.strip_prefix(INCOMPATIBLE)?.split_once('\'')?.0))
}

fn unread(line: &str) -> String {
    format!("there is a line that can't be read: {line}")
}

/// False: it isn't of a chain that is there.
fn rule(words: &[String], line: &str, tool: &str, table: &str, ruleset: &mut Ruleset) -> bool {
    let mut words = words.iter().map(String::as_str);
    let chain = words.nth(1).unwrap_or_default();
    let mut read = Rule { number: 0, conditions: Vec::new(), action: Action::GoOn };
    let mut is = true;
    // Another match may have options of the same name.
    let mut is_known = true;
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_default();
        let condition = match word {
            "!" => {
                is = false;
                continue;
            }
            // Their options follow.
            "-m" | "--match" => {
                is_known = matches!(value(), "tcp" | "udp" | "multiport" | "comment" | "conntrack" | "state" | "mark");
                if is_known {
                    continue;
                }
                Condition::Unknown
            }
            option if option.starts_with("--") && !is_known => Condition::Unknown,
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
            "--tcp-flags" => {
                let (of, set) = (value(), value());
                flags(is, of, set)
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
    let Some(chain) = ruleset.chains.iter_mut().find(is_its) else { return false };
    read.number = chain.rules.len() as u64 + 1;
    chain.rules.push(read);
    true
}

/// `FIN,SYN,RST,ACK SYN`, `ALL NONE`.
fn flags(is: bool, of: &str, set: &str) -> Condition {
    let listed = |text: &str| match text {
        "ALL" => "fin,syn,rst,psh,ack,urg".to_owned(),
        "NONE" => String::new(),
        text => text.to_ascii_lowercase(),
    };
    let (of, set) = (listed(of), listed(set));
    let [of, set] = [&of, &set].map(|text| text.split(',').filter(|flag| !flag.is_empty()).collect::<Vec<_>>());
    Condition::flags(is, &of, &set)
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

/// Words, of which those in quotes may hold blanks, and behind a backslash quotes; none if a quote doesn't end.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        let letter = match letter {
            '"' => {
                is_quoted = !is_quoted;
                continue;
            }
            ' ' if !is_quoted => {
                words.push(String::new());
                continue;
            }
            '\\' if is_quoted => letters.next()?,
            letter => letter,
        };
        words.last_mut()?.push(letter);
    }
    words.retain(|word| !word.is_empty());
    (!is_quoted).then_some(words)
}

#[cfg(test)]
#[path = "iptables_tests.rs"]
mod tests;
