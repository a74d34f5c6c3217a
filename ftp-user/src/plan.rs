//! Everything that `run` resolves and checks before it makes anything.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;

use crate::addresses::OwnAddresses;
use crate::attach::choose_hook;
use crate::config::Configuration;
use crate::failure::Failure;
use crate::interface::{Interface, SideName};
use crate::listeners::Listeners;
use crate::netlink::Netlink;
use crate::pins::{Hook, Pins};
use crate::policy::{Policy, Rules};
use crate::{check, servers};

/// What is to be attached, and with which policy.
#[derive(Debug)]
pub struct Plan {
    /// The policy.
    pub policy: Policy,
    /// The interfaces, one at least.
    pub attachments: Vec<Attachment>,
    /// Those whose addresses are servers'.
    pub own: OwnAddresses,
    /// To look at interfaces and addresses again.
    pub netlink: Netlink,
}

/// An interface that is to be attached to.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The interface.
    pub interface: Interface,
    /// Where servers are, seen from it.
    pub side: SideName,
    /// How to attach to it.
    pub hook: Hook,
}

impl Plan {
    /// Checks this process, the kernel, and the interfaces.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub async fn make(configuration: &Configuration) -> Result<Self, Failure> {
        if configuration.interfaces.is_empty() {
            let remedy = "name one with -i IFACE, or with interfaces = [\"IFACE\"] in the configuration file";
            return Err(Failure::usage("-i", "no interface is named", remedy));
        }
        check::privileges()?;
        check::kernel()?;
        let netlink = Netlink::open()?;
        let choices = &configuration.interfaces;
        let names: Vec<_> = choices.iter().map(|choice| choice.name.clone()).collect();
        let interfaces = Interface::find(&names, &netlink).await?;
        let mut attachments = Vec::new();
        for (choice, interface) in choices.iter().zip(interfaces) {
            let hook = choose_hook(choice.hook, &interface)?;
            attachments.push(Attachment { side: interface.side(choice.side), hook, interface });
        }
        let own = OwnAddresses::of(attachments.iter().map(|each| (each.interface.index, each.side)));
        Ok(Self { policy: configuration.policy.clone(), attachments, own, netlink })
    }

    /// Whether other programs would be cut off.
    ///
    /// # Errors
    ///
    /// The list of them.
    pub async fn check_listeners(&self, own: &BTreeSet<IpNet>) -> Result<(), Failure> {
        let sides = self.attachments.iter().map(|attachment| attachment.side);
        check_listeners(&self.policy, own, sides, &self.netlink).await
    }

    /// `attached: eth0 (tcx, servers-behind): servers 10.0.0.1; control 21; passive 10240-20480; active 20`,
    /// and for several servers a line for each behind it.
    #[must_use]
    pub fn attached_lines(&self, own: &BTreeSet<IpNet>) -> Vec<String> {
        let servers = server_lines(&self.policy, Some(own));
        let attached = |attachment: &Attachment, what: &str| {
            let Attachment { interface, side, hook } = attachment;
            format!("attached: {} ({}, {}): {what}", interface.name, hook.as_str(), side.as_str())
        };
        match &servers[..] {
            [only] => self.attachments.iter().map(|each| attached(each, only)).collect(),
            several => {
                let count = format!("{} policies", several.len());
                let attached = self.attachments.iter().map(|each| attached(each, &count));
                attached.chain(several.iter().map(|line| format!("policy: {line}"))).collect()
            }
        }
    }
}

/// Only servers on this host can have neighbours that would be cut off, and in monitor mode nobody is
/// cut off: then it is only said.
///
/// # Errors
///
/// The list of them.
pub async fn check_listeners(
    policy: &Policy,
    own: &BTreeSet<IpNet>,
    sides: impl IntoIterator<Item = SideName>,
    netlink: &Netlink,
) -> Result<(), Failure> {
    if sides.into_iter().all(|side| side == SideName::ServersBeyond) {
        return Ok(());
    }
    let listeners = Listeners::now(netlink.all_addresses().await?);
    let own_rules = policy.own.iter().map(|rules| (rules, own.iter().copied().collect::<Vec<_>>()));
    let named = policy.named.iter().map(|named| (&named.rules, named.prefixes.clone()));
    for (rules, servers) in own_rules.chain(named) {
        match listeners.check(rules, &servers) {
            Err(failure) if rules.monitor => eprintln!("note: {}", failure.complaint()),
            other => other?,
        }
    }
    Ok(())
}

/// What holds for which servers, a line for each. `own` are the interfaces' own addresses, if they are known.
#[must_use]
pub fn server_lines(policy: &Policy, own: Option<&BTreeSet<IpNet>>) -> Vec<String> {
    let own_addresses = || own.map_or_else(|| "the interfaces' own addresses".to_owned(), listed);
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
    let names: Vec<_> = nets.iter().take(SHOWN).map(servers::shown).collect();
    match nets.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "none".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Refuses a directory where a killed process left something.
///
/// # Errors
///
/// On which interfaces, and how to go on.
pub fn refuse_leftovers(pin_dir: &Path) -> Result<(), Failure> {
    let versions = Pins::all(pin_dir);
    if versions.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = versions.iter().flat_map(Pins::interface_names).collect();
    let on = if names.is_empty() { String::new() } else { format!(" on {}", names.join(", ")) };
    Err(Failure::failed(
        format_args!("--pin-dir {}", pin_dir.display()),
        format_args!("an ftptrack that was killed left its filter in force{on}"),
        format_args!("remove it with ftptrack --pin-dir {} detach --all, then start again", pin_dir.display()),
    ))
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
