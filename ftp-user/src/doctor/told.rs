//! What is found in answers that were kept, where nobody is asked.

use std::io;

use super::host::Host;
use super::{Finding, firewall, helper};
use crate::config::Configuration;

/// What `doctor` finds of a firewall for a configuration by what its tools print: `nft -j list ruleset` by `nft`,
/// `iptables-nft-save` by `iptables-nft` and so on. Of the host nothing is known but its interfaces' names.
#[must_use]
pub fn told(configuration: Configuration, answers: &[(String, io::Result<String>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let rulesets = firewall::read(answers, &mut findings);
    findings.extend(firewall::check(&Host::unseen(configuration), &rulesets));
    findings.extend(helper::assigned(&rulesets));
    findings
}
