//! The baseline: nf_conntrack_ftp behind a stateful nftables ruleset.

use std::fs;

use crate::hosts::network::Host;
use crate::support::process;

/// A firewall that gives connections to port 21 the helper, where their first packet passes (`first`), and has these
/// chains besides.
fn ruleset(first: &str, chains: &str) -> String {
    format!(
        r#"
table inet guard {{
    ct helper ftp {{ type "ftp" protocol tcp; }}
    chain assign {{
        type filter hook {first} priority 0; policy accept;
        tcp dport 21 ct helper set "ftp"
    }}
    {chains}
}}
"#
    )
}

/// What a host lets in: what belongs to a connection that was let in, or that the helper expects; new ones to these
/// ports only. Pings and neighbour discovery pass, and port 9 answers for [`crate::suites::dialogues`].
fn input(ports: &str) -> String {
    format!(
        r#"
    chain input {{
        type filter hook input priority 0; policy drop;
        iif "lo" accept
        meta l4proto {{ icmp, icmpv6 }} accept
        ct state established,related accept
        tcp dport {{ {ports} }} accept
    }}
"#
    )
}

/// From port 20 nothing goes out that isn't expected.
const OUTPUT: &str = "
    chain output {
        type filter hook output priority 0; policy accept;
        ct state established,related accept
        tcp sport 20 drop
    }
";

/// No connection begins to a passive range unless it is expected.
const CLIENT_OUTPUT: &str = "
    chain output {
        type filter hook output priority 1; policy accept;
        ct state established,related accept
        tcp dport 10240-20480 drop
    }
";

const FORWARD: &str = "
    chain forward {
        type filter hook forward priority 0; policy drop;
        meta l4proto icmp accept
        ct state established,related accept
        tcp dport { 9, 21 } accept
    }
";

/// Puts the usual firewall of an FTP server in place, whose connections are followed from now on.
#[track_caller]
pub fn guard(host: &Host) {
    guard_by(host, &ruleset("prerouting", &(input("9, 21") + OUTPUT)));
}

/// Puts one in place on a client's host, whose servers are elsewhere.
#[track_caller]
pub fn guard_client(host: &Host) {
    guard_by(host, &ruleset("output", &(input("9") + CLIENT_OUTPUT)));
}

/// Puts one in place on a gateway in front of servers.
#[track_caller]
pub fn guard_gateway(host: &Host) {
    guard_by(host, &ruleset("prerouting", FORWARD));
}

#[track_caller]
fn guard_by(host: &Host, rules: &str) {
    load(host, rules);
    // The kernel's defaults, on which its outcomes depend.
    for (setting, wanted) in [("nf_conntrack_tcp_loose", "1"), ("nf_conntrack_tcp_be_liberal", "0")] {
        let file = format!("/proc/sys/net/netfilter/{setting}");
        host.namespace.run(|| fs::write(file, wanted)).expect("connections are tracked");
    }
}

/// Makes it forget all connections, and what it expects.
#[track_caller]
pub fn forget(host: &Host) {
    let output = process::finish(host.namespace.command("conntrack").arg("--flush"));
    assert!(output.status.success(), "conntrack: {}", output.stderr);
}

/// Connections that it keeps an entry for.
#[track_caller]
#[must_use]
pub fn count(host: &Host) -> u64 {
    let read = || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
    let text = host.namespace.run(read).expect("connections are tracked");
    text.trim().parse().expect("a number")
}

/// Connections that it has room for.
#[track_caller]
#[must_use]
pub fn room(host: &Host) -> u32 {
    let read = || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max");
    let text = host.namespace.run(read).expect("connections are tracked");
    text.trim().parse().expect("a number")
}

/// Control connections that it takes for open.
#[track_caller]
#[must_use]
pub fn established(host: &Host) -> usize {
    let mut command = host.namespace.command("conntrack");
    let output = process::finish(command.args(["--dump", "--proto", "tcp", "--dport", "21", "--state", "ESTABLISHED"]));
    assert!(output.status.success(), "conntrack: {}", output.stderr);
    output.stdout.lines().count()
}

/// What the kernel sets aside for an entry; what a helper adds to it comes on top.
#[track_caller]
#[must_use]
pub fn bytes_of_an_entry() -> u64 {
    let slabs = fs::read_to_string("/proc/slabinfo").expect("root may");
    let line = slabs.lines().find(|line| line.starts_with("nf_conntrack ")).expect("connections are tracked");
    // Name, objects in use, objects, bytes of one.
    line.split_whitespace().nth(3).and_then(|bytes| bytes.parse().ok()).expect("a number")
}

/// Puts nftables rules in place on a host.
#[track_caller]
pub fn load(host: &Host, rules: &str) {
    let output = process::finish(host.namespace.command("nft").arg(rules));
    assert!(output.status.success(), "nft: {}", output.stderr);
}
