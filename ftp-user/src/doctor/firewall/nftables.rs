//! `nft -j list ruleset` (libnftables-json(5)).

use std::collections::HashMap;

use serde_json::Value;

use super::firewalld;
use super::model::{Action, Base, Chain, Condition, Family, Rule, Ruleset, Tool};

/// Tables that `iptables-nft` keeps; it shows them better itself.
const IPTABLES: [&str; 5] = ["filter", "mangle", "nat", "raw", "security"];

/// Reads the output of `nft -j list ruleset`. Tables of `iptables-nft` are left out if `without_iptables`, but for those
/// that it doesn't list, by family and name.
///
/// # Errors
///
/// It is no such output.
pub(super) fn read(text: &str, without_iptables: bool, unlisted: &[(&str, &str)]) -> Result<Ruleset, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let objects = value["nftables"].as_array().ok_or("there is no list of objects")?;
    let mut reader = Reader { sets: HashMap::new(), helpers: Vec::new(), ruleset: Ruleset::default() };
    for object in objects {
        for kind in ["set", "map"] {
            if let Some(set) = object.get(kind) {
                reader.sets.insert(key(set, "name"), set["elem"].clone());
            }
        }
        if let Some(helper) = object.get("ct helper").filter(|helper| helper["type"] == "ftp") {
            reader.helpers.push(key(helper, "name"));
        }
    }
    let is_base = |chain: &Value, name: &str| chain["hook"].is_string() && chain["name"] == name;
    let of_iptables = |chain: &Value| {
        ["INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"].iter().any(|name| is_base(chain, name))
            && ["ip", "ip6"].iter().any(|family| chain["family"] == *family)
            && IPTABLES.iter().any(|table| chain["table"] == *table)
            && !unlisted.iter().any(|(family, table)| chain["family"] == **family && chain["table"] == **table)
    };
    let chains = || objects.iter().filter_map(|object| object.get("chain"));
    let foreign: Vec<_> = chains().filter(|chain| without_iptables && of_iptables(chain)).map(table).collect();
    for chain in chains().filter(|chain| !foreign.contains(&table(chain))) {
        reader.chain(chain);
    }
    for rule in objects.iter().filter_map(|object| object.get("rule")).filter(|rule| !foreign.contains(&table(rule))) {
        reader.rule(rule);
    }
    Ok(reader.ruleset)
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn table(value: &Value) -> (String, String) {
    (text(value, "family").to_owned(), text(value, "table").to_owned())
}

/// What an object is known by within all tables.
fn key(value: &Value, name: &str) -> (String, String, String) {
    let (family, table) = table(value);
    (family, table, text(value, name).to_owned())
}

struct Reader {
    /// Elements by set.
    sets: HashMap<(String, String, String), Value>,
    /// Names of FTP helpers.
    helpers: Vec<(String, String, String)>,
    ruleset: Ruleset,
}

impl Reader {
    fn chain(&mut self, chain: &Value) {
        let family = text(chain, "family");
        let families = match family {
            "ip" => vec![Family::V4],
            "ip6" => vec![Family::V6],
            "inet" => vec![Family::V4, Family::V6],
            // arp, bridge, netdev: other ways than a connection's to this host.
            _ => return,
        };
        let hook = chain["hook"].as_str().filter(|_| text(chain, "type") == "filter");
        self.ruleset.chains.push(Chain {
            tool: Tool::Nft(family.to_owned()),
            table: text(chain, "table").to_owned(),
            name: text(chain, "name").to_owned(),
            families,
            base: hook.map(|hook| Base { hook: hook.to_owned(), drops: chain["policy"] == "drop" }),
            rules: Vec::new(),
        });
    }

    fn rule(&mut self, rule: &Value) {
        let (family, table, chain) = key(rule, "chain");
        let number = rule["handle"].as_u64().unwrap_or(0);
        let mut read = Rule { number, conditions: Vec::new(), action: Action::GoOn };
        let Some(expressions) = rule["expr"].as_array() else {
            read.action = Action::Unknown;
            return self.add((family, table, chain), read);
        };
        for expression in expressions {
            let Some((name, value)) = expression.as_object().and_then(|object| object.iter().next()) else {
                read.conditions.push(Condition::Unknown);
                continue;
            };
            match name.as_str() {
                "match" => {
                    // What is asked of an IPv6 header isn't true of IPv4.
                    read.conditions.extend(match value["left"]["payload"]["protocol"].as_str() {
                        Some("ip") => Some(Condition::Family(Family::V4)),
                        Some("ip6") => Some(Condition::Family(Family::V6)),
                        _ => None,
                    });
                    read.conditions.push(self.condition(rule, value));
                }
                "vmap" => read.action = self.map(rule, value),
                // They go on, whatever they do.
                "counter" | "log" | "mangle" | "notrack" | "flow" | "ct timeout" | "ct expectation" | "meter" => {}
                "ct helper" => self.helper(rule, value),
                "dnat" | "redirect" => self.ruleset.translates = true,
                _ => match action(name, value) {
                    Some(action) => read.action = action,
                    None => read.conditions.push(Condition::Unknown),
                },
            }
        }
        self.add((family, table, chain), read);
    }

    fn add(&mut self, (family, table, chain): (String, String, String), rule: Rule) {
        let is_its = |of: &&mut Chain| of.tool == Tool::Nft(family.clone()) && of.table == table && of.name == chain;
        if let Some(chain) = self.ruleset.chains.iter_mut().find(is_its) {
            chain.rules.push(rule);
        }
    }

    fn helper(&mut self, rule: &Value, name: &Value) {
        let (family, table, chain) = key(rule, "chain");
        if self.helpers.contains(&(family.clone(), table.clone(), name.as_str().unwrap_or_default().to_owned())) {
            let handle = rule["handle"].as_u64().unwrap_or(0);
            let what = format!("a rule of nft's {family} {table} {chain}");
            let fix = if firewalld::owns(&table) {
                firewalld::without_helper(&chain)
            } else {
                format!("nft delete rule {family} {table} {chain} handle {handle}")
            };
            self.ruleset.helpers.push((what, fix));
        }
    }

    fn condition(&self, rule: &Value, value: &Value) -> Condition {
        let (left, op) = (&value["left"], text(value, "op"));
        if let Some(payload) = left.get("payload") {
            match (text(payload, "protocol"), text(payload, "field")) {
                ("tcp" | "th", "dport") => {
                    return self.elements(rule, &value["right"]).map_or(Condition::Unknown, |right| port(op, &right));
                }
                ("udp" | "icmp" | "icmpv6" | "sctp" | "dccp" | "udplite" | "esp" | "ah", _) => {
                    return Condition::Tcp(false);
                }
                ("ip" | "ip6" | "ether", "saddr") => return Condition::Source,
                _ => {}
            }
        }
        // What a route is looked up for differs by sender.
        if left["fib"]["result"] != "type"
            && left["fib"]["flags"].as_array().is_some_and(|flags| flags.iter().any(|flag| flag == "saddr"))
        {
            return Condition::Source;
        }
        let is = match op {
            "==" | "in" => true,
            "!=" => false,
            _ => return Condition::Unknown,
        };
        self.elements(rule, &value["right"]).and_then(|right| equal(left, is, &right)).unwrap_or(Condition::Unknown)
    }

    /// The values on the right of a match: one, several, or those of a set by name, if that is there.
    fn elements(&self, rule: &Value, right: &Value) -> Option<Vec<Value>> {
        if let Some(set) = right.as_str().and_then(|name| name.strip_prefix('@')) {
            let (family, table) = table(rule);
            return match self.sets.get(&(family, table, set.to_owned()))? {
                Value::Null => Some(Vec::new()),
                elements => Some(elements.as_array()?.iter().map(plain).collect()),
            };
        }
        let several = right.get("set").unwrap_or(right);
        Some(several.as_array().map_or_else(|| vec![several.clone()], |values| values.iter().map(plain).collect()))
    }

    fn map(&self, rule: &Value, value: &Value) -> Action {
        let data = &value["data"];
        let named = data.as_str().and_then(|name| name.strip_prefix('@'));
        let entries = match named {
            Some(name) => {
                let (family, table) = table(rule);
                self.sets.get(&(family, table, name.to_owned())).cloned().unwrap_or_default()
            }
            None => data["set"].clone(),
        };
        let Some(entries) = entries.as_array() else { return Action::Unknown };
        let entry = |entry: &Value| {
            let condition = serde_json::json!({ "op": "==", "left": value["key"], "right": entry[0] });
            let (name, what) = entry[1].as_object()?.iter().next()?;
            Some((self.condition(rule, &condition), action(name, what)?))
        };
        entries.iter().map(entry).collect::<Option<_>>().map_or(Action::Unknown, Action::Map)
    }
}

/// What a match asks, if all of it is understood; `is` is false for what must not be equal.
fn equal<'a>(left: &'a Value, is: bool, right: &'a [Value]) -> Option<Condition> {
    let has = |word: &str| right.iter().any(|value| *value == *word);
    let protocol = || {
        right.iter().all(|value| value.is_string() || value.is_u64()).then_some(())?;
        Some(Condition::Tcp((has("tcp") || right.iter().any(|value| *value == 6)) == is))
    };
    let payload = &left["payload"];
    if matches!((text(payload, "protocol"), text(payload, "field")), ("ip", "protocol") | ("ip6", "nexthdr")) {
        return protocol();
    }
    if let Some(meta) = left.get("meta") {
        return match text(meta, "key") {
            "l4proto" => protocol(),
            "nfproto" => match (has("ipv4"), has("ipv6"), is) {
                (true, false, true) | (false, true, false) => Some(Condition::Family(Family::V4)),
                (false, true, true) | (true, false, false) => Some(Condition::Family(Family::V6)),
                _ => None,
            },
            "iif" | "iifname" => {
                let names: Option<_> = right.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                Some(Condition::Interface { is, names: names? })
            }
            "mark" => Some(mark(is, right, u32::MAX)),
            _ => None,
        };
    }
    if let Some([of, mask]) = left.get("&").and_then(Value::as_array).map(Vec::as_slice) {
        if of["meta"]["key"] == "mark" {
            return Some(mark(is, right, u32::try_from(mask.as_u64()?).ok()?));
        }
        if of["payload"]["protocol"] != "tcp" || of["payload"]["field"] != "flags" {
            return None;
        }
        let listed =
            |values: &mut dyn Iterator<Item = &'a Value>| values.map(Value::as_str).collect::<Option<Vec<_>>>();
        let of = match mask.as_array() {
            Some(flags) => listed(&mut flags.iter())?,
            None => vec![mask.as_str()?],
        };
        return Some(Condition::flags(is, &of, &listed(&mut right.iter())?));
    }
    match left["ct"]["key"].as_str()? {
        "status" if has("dnat") => Some(Condition::Translated(is)),
        "state" => {
            right.iter().all(|value| value.is_string() || *value == 8).then_some(())?;
            Some(Condition::New((has("new") || right.iter().any(|value| *value == 8)) == is))
        }
        _ => None,
    }
}

/// An element with a comment or a timeout is an object.
fn plain(value: &Value) -> Value {
    value.get("elem").map_or(value, |elem| &elem["val"]).clone()
}

fn action(name: &str, value: &Value) -> Option<Action> {
    Some(match name {
        "accept" => Action::Accept,
        "drop" | "reject" => Action::Drop,
        "jump" => Action::Jump(text(value, "target").to_owned()),
        "goto" => Action::Goto(text(value, "target").to_owned()),
        "return" => Action::Return,
        "continue" => Action::GoOn,
        "queue" => Action::Unknown,
        _ => return None,
    })
}

fn port(op: &str, values: &[Value]) -> Condition {
    let number = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok());
    let range = |value: &Value| match (number(value), &value["range"]) {
        (Some(port), _) => match op {
            "<" => port.checked_sub(1).map(|last| (0, last)),
            "<=" => Some((0, port)),
            ">" => port.checked_add(1).map(|first| (first, u16::MAX)),
            ">=" => Some((port, u16::MAX)),
            _ => Some((port, port)),
        },
        (None, range) => Some((number(&range[0])?, number(&range[1])?)),
    };
    values
        .iter()
        .map(range)
        .collect::<Option<Vec<_>>>()
        .map_or(Condition::Unknown, |ranges| Condition::Port { is: op != "!=", ranges })
}

fn mark(is: bool, values: &[Value], mask: u32) -> Condition {
    match values {
        [value] => value
            .as_u64()
            .and_then(|value| u32::try_from(value).ok())
            .map_or(Condition::Unknown, |value| Condition::Mark { is, value, mask }),
        _ => Condition::Unknown,
    }
}

#[cfg(test)]
#[path = "nftables_tests.rs"]
mod tests;
