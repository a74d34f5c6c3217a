//! A policy on a line or two.

use std::collections::BTreeSet;

use ipnet::IpNet;

use super::{Policy, Rules};

/// The rules of each server, a line each. `own` are this host's own addresses, if they are known.
#[must_use]
pub fn server_lines(policy: &Policy, own: Option<&BTreeSet<IpNet>>) -> Vec<String> {
    let own_addresses = || own.map_or_else(|| "this host's own addresses".to_owned(), listed);
    let own = policy.own.iter().map(|rules| server_line(&own_addresses(), rules));
    let named =
        policy.named.iter().map(|named| server_line(&listed(&named.prefixes.iter().copied().collect()), &named.rules));
    own.chain(named).collect()
}

fn server_line(servers: &str, rules: &Rules) -> String {
    let refused = || "refused".to_owned();
    let control: Vec<_> = rules.control_ports.iter().map(ToString::to_string).collect();
    let passive = rules.passive_range.filter(|_| rules.passive).map_or_else(refused, |range| range.to_string());
    let active = if rules.allows_active() { rules.active_port.to_string() } else { refused() };
    let mode = if rules.monitor { "; monitor" } else { "" };
    format!("servers {servers}; control {}; passive {passive}; active {active}{mode}", control.join(", "))
}

/// Servers on one line: the first few, as a gateway's list is long.
#[must_use]
pub fn listed(nets: &BTreeSet<IpNet>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<_> = nets.iter().take(SHOWN).map(shown).collect();
    match nets.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "none".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// A prefix as people write it: an address goes without its length.
#[must_use]
pub fn shown(net: &IpNet) -> String {
    if net.prefix_len() == net.max_prefix_len() { net.addr().to_string() } else { net.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(count: u8) -> BTreeSet<IpNet> {
        (1..=count).map(|last| IpNet::new([10, 0, 0, last].into(), 32).unwrap()).collect()
    }

    #[test]
    fn single_addresses_go_without_their_length_and_long_lists_end() {
        assert_eq!(listed(&servers(0)), "none");
        assert_eq!(listed(&servers(2)), "10.0.0.1, 10.0.0.2");
        assert_eq!(listed(&BTreeSet::from(["10.0.0.0/8".parse().unwrap()])), "10.0.0.0/8");
        assert!(listed(&servers(8)).ends_with("10.0.0.8"));
        assert!(listed(&servers(11)).ends_with("10.0.0.8 and 3 more"));
    }
}
