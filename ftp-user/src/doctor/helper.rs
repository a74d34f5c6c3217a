//! The kernel's own FTP helper, which is not needed beside ftptrack.

use std::fs;

use super::firewall::Rulesets;
use super::{Finding, Level};

const CHECK: &str = "helper";
/// Gives all connections to port 21 to the helper; gone since Linux 6.0.
const AUTOMATIC: &str = "/proc/sys/net/netfilter/nf_conntrack_helper";
const WHY: &str = "it expects data connections by rules of its own (on a PORT at once, and by a 227 that nobody asked \
                   for), and `ct state related accept` lets them in; ftptrack doesn't need it";

/// Rules that give connections to it.
pub(super) fn assigned(rulesets: &Rulesets) -> impl Iterator<Item = Finding> {
    rulesets.all.iter().flat_map(|ruleset| &ruleset.helpers).map(|(what, command)| {
        let what = format!("{what} gives connections to the kernel's FTP helper (nf_conntrack_ftp)");
        Finding::new(Level::Warning, CHECK, what).because(WHY).fix(command)
    })
}

/// Whether connections are given to it.
pub(super) fn check(rulesets: &Rulesets) -> Vec<Finding> {
    let mut findings: Vec<_> = assigned(rulesets).collect();
    if fs::read_to_string(AUTOMATIC).is_ok_and(|value| value.trim() == "1") {
        let what =
            "every connection to port 21 is given to the kernel's FTP helper (net.netfilter.nf_conntrack_helper)";
        let fix = "sysctl -w net.netfilter.nf_conntrack_helper=0";
        findings.push(Finding::new(Level::Warning, CHECK, what).because(WHY).fix(fix));
    }
    let is_loaded = fs::read_to_string("/proc/modules")
        .is_ok_and(|modules| modules.lines().any(|line| line.starts_with("nf_conntrack_ftp ")));
    if is_loaded && findings.is_empty() {
        let what = "the kernel's FTP helper is loaded (nf_conntrack_ftp), and nothing is given to it";
        let why = "a rule that gives it connections would work at once";
        let finding = Finding::new(Level::Note, CHECK, what).because(why);
        findings.push(finding.fix("modprobe -r nf_nat_ftp nf_conntrack_ftp"));
    }
    if findings.is_empty() {
        findings.push(match rulesets.whole() {
            Some(tools) => {
                Finding::ok(CHECK, format!("no rule of {tools} gives connections to the kernel's FTP helper"))
            }
            None => Finding::not_checked(CHECK, "not all rules could be read: one may use the kernel's FTP helper"),
        });
    }
    findings
}
