//! A policy as the text of a configuration file, which [`crate::config`] reads back to the same.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use super::summary::shown;
use super::{ActivePort, Policy, Rules};

/// How much is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Detail {
    /// Everything.
    All,
    /// What is not as it is by default, and the ports.
    Unusual,
}

/// `accounting`, and a `[[server]]` for each of the policy's; `own` are this host's own addresses.
#[must_use]
pub fn policy(policy: &Policy, own: &BTreeSet<IpNet>, detail: Detail) -> String {
    let accounting = match (policy.accounting, detail) {
        (true, Detail::Unusual) => String::new(),
        (accounting, _) => format!("accounting = {accounting}\n\n"),
    };
    let own = policy.own.iter().map(|rules| {
        let addresses: Vec<_> = own.iter().map(shown).collect();
        let comment = format!("this host's own addresses, now {}", addresses.join(", "));
        server(&[], rules, &[comment], detail)
    });
    let named = policy.named.iter().map(|named| server(&named.prefixes, &named.rules, &[], detail));
    accounting + &own.chain(named).collect::<Vec<_>>().join("\n")
}

/// One `[[server]]` with comments; without addresses for this host's own.
#[must_use]
pub fn server(prefixes: &[IpNet], rules: &Rules, comments: &[String], detail: Detail) -> String {
    let usual = Rules::default();
    let mut text = "[[server]]\n".to_owned();
    for comment in comments {
        let _ = writeln!(text, "# {comment}");
    }
    let mut line = |key: &str, value: &str, is_usual: bool| {
        if detail == Detail::All || !is_usual {
            let _ = writeln!(text, "{key} = {value}");
        }
    };
    let shown: Vec<_> = prefixes.iter().map(|net| quoted(&shown(net))).collect();
    if !shown.is_empty() {
        line("address", &list(&shown), false);
    }
    let ports: Vec<_> = rules.control_ports.iter().map(ToString::to_string).collect();
    line("control-ports", &format!("[{}]", ports.join(", ")), false);
    if let Some(range) = rules.passive_range {
        line("passive-range", &quoted(&range.to_string()), false);
        line("passive", &rules.passive.to_string(), rules.passive);
    } else if !rules.passive {
        line("passive", "false", false);
    }
    let active_port = match rules.active_port {
        ActivePort::Port(port) => port.to_string(),
        other => quoted(&other.to_string()),
    };
    line("active-port", &active_port, false);
    if rules.active_port != ActivePort::None || !rules.active {
        line("active", &rules.active.to_string(), rules.active);
    }
    line("pasv-promiscuous", &rules.pasv_promiscuous.to_string(), !rules.pasv_promiscuous);
    line("port-promiscuous", &rules.port_promiscuous.to_string(), !rules.port_promiscuous);
    let announced = if rules.announced_strict { "strict" } else { "any" };
    line("announced-address", &quoted(announced), !rules.announced_strict);
    let timeout = rules.expectation_timeout;
    line("expectation-timeout", &timeout.to_string(), timeout == usual.expectation_timeout);
    let sessions = rules.sessions_per_client;
    line("sessions-per-client", &sessions.to_string(), sessions == usual.sessions_per_client);
    line("ftps", &quoted(rules.ftps.as_str()), rules.ftps == usual.ftps);
    line("mode", &quoted(rules.mode()), !rules.monitor);
    if let Some(mark) = rules.mark {
        line("mark", &quoted(&mark.to_string()), false);
    }
    text
}

/// A string of TOML.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("{text:?}")
}

/// One value by itself, several in a list; long ones a line each.
fn list(values: &[String]) -> String {
    match values {
        [one] => one.clone(),
        few if few.len() <= 4 => format!("[{}]", few.join(", ")),
        many => format!("[\n{}]", many.iter().fold(String::new(), |text, value| text + "    " + value + ",\n")),
    }
}
