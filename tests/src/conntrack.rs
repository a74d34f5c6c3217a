//! The peer to be better than: nf_conntrack_ftp, and a firewall that believes it.

use std::fs;

use crate::network::Host;
use crate::process;

/// The usual firewall of an FTP server: what belongs to a connection that was let in, or that the
/// helper expects, may pass; new ones only to the control port. From port 20 nothing goes out that
/// isn't expected. Pings and neighbour discovery pass, and port 9 answers for [`crate::dialogue`].
const RULES: &str = r#"
table inet guard {
    ct helper ftp { type "ftp" protocol tcp; }
    chain assign {
        type filter hook prerouting priority 0; policy accept;
        tcp dport 21 ct helper set "ftp"
    }
    chain input {
        type filter hook input priority 0; policy drop;
        iif "lo" accept
        meta l4proto { icmp, icmpv6 } accept
        ct state established,related accept
        tcp dport { 9, 21 } accept
    }
    chain output {
        type filter hook output priority 0; policy accept;
        ct state established,related accept
        tcp sport 20 drop
    }
}
"#;

/// Puts the firewall in place on a server, whose connections are followed from now on.
#[track_caller]
pub fn guard(host: &Host) {
    load(host, RULES);
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

/// Puts nftables rules in place on a host.
#[track_caller]
pub fn load(host: &Host, rules: &str) {
    let output = process::finish(host.namespace.command("nft").arg(rules));
    assert!(output.status.success(), "nft: {}", output.stderr);
}
