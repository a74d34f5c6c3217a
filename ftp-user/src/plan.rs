//! Everything that `run` resolves and checks before it makes anything.

use std::collections::BTreeSet;
use std::path::Path;

use ftp_common::policy::Side;
use ipnet::IpNet;

use crate::attach::choose_hook;
use crate::failure::Failure;
use crate::interface::{Interface, SideName};
use crate::netlink::Netlink;
use crate::pins::{Hook, Pins};
use crate::policy::{Policy, Servers};
use crate::run::Options;
use crate::{check, listeners};

/// What is to be attached, and with which policy.
#[derive(Debug)]
pub struct Plan {
    /// The policy.
    pub policy: Policy,
    /// The interfaces, one at least.
    pub interfaces: Vec<Interface>,
    /// How to attach to them.
    pub hook: Hook,
    /// To look at interfaces and addresses again.
    pub netlink: Netlink,
    side: Side,
}

impl Plan {
    /// Checks the arguments, then this process, the kernel, and the interfaces.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub async fn make(options: &Options) -> Result<Self, Failure> {
        let policy = options.request.resolve()?;
        check::privileges()?;
        check::kernel()?;
        let netlink = Netlink::open()?;
        let interfaces = Interface::find(&options.interfaces, &netlink).await?;
        let hook = choose_hook(options.hook, &interfaces)?;
        Ok(Self { policy, interfaces, hook, netlink, side: options.request.side })
    }

    /// The servers' prefixes, now. On loopback all of an address's prefix is the host's own.
    ///
    /// # Errors
    ///
    /// The kernel's refusal.
    pub async fn servers(&self) -> Result<BTreeSet<IpNet>, Failure> {
        if let Servers::Named(named) = &self.policy.servers {
            return Ok(named.iter().copied().collect());
        }
        let ordinary = self.netlink.addresses(&self.indices(false)).await?;
        let loopback = self.netlink.addresses(&self.indices(true)).await?;
        Ok(ordinary.iter().map(|net| net.addr().into()).chain(loopback.iter().map(IpNet::trunc)).collect())
    }

    fn indices(&self, loopback: bool) -> Vec<u32> {
        self.interfaces.iter().filter(|i| i.loopback == loopback).map(|i| i.index).collect()
    }

    /// Whether other programs would be cut off. Only servers on this host can have such neighbours,
    /// and in monitor mode nobody is cut off: then it is only said.
    ///
    /// # Errors
    ///
    /// The list of them.
    pub fn check_listeners(&self, servers: &BTreeSet<IpNet>) -> Result<(), Failure> {
        if self.side == Side::ServersBeyond {
            return Ok(());
        }
        match listeners::check(&self.policy, servers) {
            Err(failure) if self.policy.monitor => {
                eprintln!("note: {}", failure.complaint());
                Ok(())
            }
            other => other,
        }
    }

    /// Where servers are, seen from one of the interfaces.
    #[must_use]
    pub const fn side(&self, interface: &Interface) -> SideName {
        interface.side(self.side)
    }

    /// `attached: eth0 (tcx, servers-behind): servers 10.0.0.1; control 21; passive 10240-20480; active 20`
    #[must_use]
    pub fn attached_line(&self, interface: &Interface, servers: &BTreeSet<IpNet>) -> String {
        let policy = &self.policy;
        let refused = || "refused".to_owned();
        let control: Vec<_> = policy.control_ports.iter().map(ToString::to_string).collect();
        format!(
            "attached: {} ({}, {}): servers {}; control {}; passive {}; active {}",
            interface.name,
            self.hook.as_str(),
            self.side(interface).as_str(),
            listed(servers),
            control.join(", "),
            policy.passive_range.map_or_else(refused, |range| range.to_string()),
            policy.active_port.map_or_else(refused, |port| port.to_string()),
        )
    }
}

/// Servers on one line: the first few, as a gateway's list is long.
#[must_use]
pub fn listed(servers: &BTreeSet<IpNet>) -> String {
    const SHOWN: usize = 8;
    let is_host = |net: &IpNet| net.prefix_len() == net.max_prefix_len();
    let name = |net: &IpNet| {
        if is_host(net) { net.addr().to_string() } else { net.to_string() }
    };
    let names: Vec<_> = servers.iter().take(SHOWN).map(name).collect();
    match servers.len().saturating_sub(SHOWN) {
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
