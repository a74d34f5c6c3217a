//! Who else listens in the passive range, or takes ports of it.

use super::host::Host;
use super::{Finding, Level};
use crate::attach::listeners::Listeners;
use crate::import::LocalPorts;

const CHECK: &str = "listeners";

/// Looks at this host's sockets, and at the ports that the kernel gives to its connections.
pub(super) fn check(host: &Host) -> Vec<Finding> {
    let rules = host.rules();
    let ranges: Vec<_> = rules.iter().filter_map(|(rules, _)| rules.passive_range).collect();
    if ranges.is_empty() {
        return vec![Finding::not_checked(CHECK, "no passive range is known")];
    }
    if host.servers_are_beyond() {
        return vec![Finding::not_checked(CHECK, "the servers are beyond the interface, on other hosts")];
    }
    let listeners = Listeners::now(host.local.clone());
    let mut findings = Vec::new();
    for (rules, servers) in &rules {
        for other in listeners.others(rules, servers) {
            let (Some(range), port) = (rules.passive_range, other.port) else { continue };
            let what = format!("another program listens in the passive range {range}: {other}");
            let why = "nobody negotiates a connection to it, so everybody is cut off from it; attach refuses without \
                       --force";
            let finding = Finding::new(Level::Error, CHECK, what);
            findings.push(match &other.process {
                Some((_, id)) => finding.because(why).fix(format!("kill {id}")),
                None => finding.because(format!("{why}. `ss -Hltnp 'sport = :{port}'` tells root whose it is")),
            });
        }
    }
    if findings.is_empty() {
        let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
        findings.push(Finding::ok(CHECK, format!("nobody else listens in {}", ranges.join(", "))));
    }
    match LocalPorts::of_this_host() {
        None => findings.push(Finding::not_checked(CHECK, "net.ipv4.ip_local_port_range can't be read")),
        Some(local) => findings.extend(ranges.iter().filter_map(|range| {
            let common = local.common(*range)?;
            let reserved: Vec<_> = local.reserved.iter().chain([&common]).map(ToString::to_string).collect();
            let what = format!("the kernel gives ports of {common} to this host's own connections");
            let finding = Finding::new(Level::Warning, CHECK, what)
                .because("one of them may hold a port that the FTP server wants to listen on")
                .fix(format!("sysctl -w net.ipv4.ip_local_reserved_ports={}", reserved.join(",")));
            Some(finding)
        })),
    }
    findings
}
