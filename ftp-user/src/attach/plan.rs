//! Everything that is resolved and checked before anything is made.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;

use crate::attach::addresses::OwnAddresses;
use crate::attach::listeners::Listeners;
use crate::attach::observe::Seen;
use crate::attach::setup::Asked;
use crate::ebpf::features::Features;
use crate::ebpf::interface::{Interface, SideName};
use crate::ebpf::server_keys;
use crate::error::Failure;
use crate::pins::{Hook, Pins, Record, network_namespace};
use crate::policy::{Policy, Rules};
use crate::sys::capability;
use crate::sys::netlink::{Link, Netlink};

/// What is to be attached, and with which policy.
#[derive(Debug)]
pub struct Plan {
    /// The policy.
    pub policy: Policy,
    /// Interfaces to attach to.
    pub attachments: Vec<Attachment>,
    /// Interfaces that are to be attached to once they are there.
    pub awaited: Vec<Record>,
    /// Interfaces whose addresses are servers': these, and those that are guarded already.
    pub own: OwnAddresses,
    /// Where servers are, seen from any of them.
    sides: Vec<SideName>,
    /// To look at interfaces and addresses again.
    pub netlink: Netlink,
}

/// An interface that is to be attached to.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its name in records and pins.
    pub name: String,
    /// The interface.
    pub interface: Interface,
    /// Where servers are, seen from it.
    pub side: SideName,
    /// How to attach to it.
    pub hook: Hook,
    /// What is remembered under its name.
    pub before: Option<Record>,
}

impl Attachment {
    /// One that was remembered, where it is now.
    ///
    /// # Errors
    ///
    /// Packets of the interface can't be read.
    pub fn again(record: Record, link: &Link) -> Result<Self, Failure> {
        let interface = Interface::of(link)?;
        let side = interface.side(record.side.into());
        Ok(Self { name: record.name.clone(), side, hook: record.hook, interface, before: Some(record) })
    }

    /// What is to be remembered of it.
    ///
    /// # Errors
    ///
    /// `/proc` isn't there.
    pub fn record(&self) -> Result<Record, Failure> {
        Ok(Record {
            name: self.name.clone(),
            index: self.interface.index,
            side: self.side,
            hook: self.hook,
            made_qdisc: false,
            namespace: network_namespace()?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }
}

/// What to do with an interface that isn't there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Absent {
    /// It is an error.
    Refuse,
    /// It may come.
    Await,
}

impl Plan {
    /// Finds the interfaces that are named, or else all that are guarded already. What is in force has the
    /// policy `present`, which holds on unless another is asked for.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub async fn make(
        asked: &Asked,
        seen: &[Seen],
        present: Option<Policy>,
        netlink: Netlink,
        absent: Absent,
    ) -> Result<Self, Failure> {
        let here = network_namespace()?;
        if let Some(other) = seen.iter().find(|each| each.record.namespace != here) {
            let remedy = "attach there, or give another --pin-dir";
            return Err(Failure::failed(&other.record.name, "it is guarded in another network namespace", remedy));
        }
        let policy = present.filter(|_| !asked.policy_is_given).unwrap_or_else(|| asked.configuration.policy.clone());
        let mut plan = Self {
            policy,
            attachments: Vec::new(),
            awaited: Vec::new(),
            own: OwnAddresses::default(),
            sides: Vec::new(),
            netlink,
        };
        if asked.configuration.interfaces.is_empty() {
            if seen.is_empty() {
                let remedy = "name one with -i IFACE, or with interfaces = [\"IFACE\"] in the configuration file";
                return Err(Failure::usage("-i", "no interface is named", remedy));
            }
            // Those that are there; of the others watch says what becomes of them.
            for each in seen {
                let link = each.link.as_ref().map(|link| Attachment::again(each.record.clone(), link));
                plan.attachments.extend(link.transpose()?);
            }
        } else {
            plan.find(asked, seen, absent).await?;
        }
        let named = plan.attachments.iter().map(|each| (each.interface.index, each.side));
        let is_named = |record: &&Record| plan.attachments.iter().any(|each| each.name == record.name);
        let others = seen.iter().map(|each| &each.record).filter(|record| !is_named(record));
        let all: Vec<_> = named.chain(others.map(|record| (record.index, record.side))).collect();
        plan.sides = all.iter().map(|(_, side)| *side).collect();
        plan.own = OwnAddresses::of(all);
        Ok(plan)
    }

    async fn find(&mut self, asked: &Asked, seen: &[Seen], absent: Absent) -> Result<(), Failure> {
        let choices = &asked.configuration.interfaces;
        let names: Vec<_> = choices.iter().map(|choice| choice.name.clone()).collect();
        let links = self.netlink.links().await?;
        let is_there = |name: &String| absent == Absent::Refuse || links.iter().any(|link| link.name == *name);
        let (there, missing): (Vec<_>, Vec<_>) = names.into_iter().partition(is_there);
        let mut found = Interface::find(&there, &self.netlink).await?.into_iter();
        for choice in choices {
            if missing.contains(&choice.name) {
                let name = choice.name.clone();
                let remembered = seen.iter().any(|each| each.record.name == name);
                let hook = Features::now()?.hook(choice.hook)?;
                let record = Record {
                    name,
                    index: 0,
                    side: choice.side.into(),
                    hook,
                    made_qdisc: false,
                    namespace: network_namespace()?,
                    version: String::new(),
                };
                self.awaited.extend((!remembered).then_some(record));
                continue;
            }
            let Some(interface) = found.next() else { continue };
            // It may be guarded under a name that it had before.
            let guarded = |each: &&Seen| each.link.as_ref().is_some_and(|link| link.index == interface.index);
            let before = seen.iter().find(guarded).or_else(|| seen.iter().find(|each| each.record.name == choice.name));
            let before = before.map(|each| each.record.clone());
            let hook = match (&before, choice.hook) {
                (Some(before), None) => before.hook,
                (_, asked) => Features::now()?.hook(asked)?,
            };
            let is_other = |before: &Record| before.hook != hook && before.index == interface.index;
            if before.as_ref().is_some_and(is_other) && !asked.replace {
                let wrong = "it is attached by another hook";
                return Err(Failure::failed(
                    format_args!("-i {}", choice.name),
                    wrong,
                    "give --replace to change that",
                ));
            }
            let name = before.as_ref().map_or_else(|| choice.name.clone(), |before| before.name.clone());
            self.attachments.push(Attachment { name, side: interface.side(choice.side), hook, interface, before });
        }
        Ok(())
    }

    /// Whether other programs would be cut off.
    ///
    /// # Errors
    ///
    /// The list of them.
    pub async fn check_listeners(&self, own: &BTreeSet<IpNet>) -> Result<(), Failure> {
        check_listeners(&self.policy, own, self.sides.iter().copied(), &self.netlink).await
    }

    /// `attached: eth0 (tcx, servers-behind): servers 10.0.0.1; control 21; passive 10240-20480; active 20`,
    /// and for several servers a line for each behind it.
    #[must_use]
    pub fn attached_lines(&self, own: &BTreeSet<IpNet>) -> Vec<String> {
        let servers = server_lines(&self.policy, Some(own));
        let attached = |attachment: &Attachment, what: &str| {
            let Attachment { interface, side, hook, .. } = attachment;
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
            // A listener of the FTP server's own can't be told from others then: a service that restarts in the middle
            // of a transfer must not fail for it.
            Err(failure) if !capability::sees_processes() => {
                eprintln!("note: {}; whose they are can't be seen without CAP_SYS_PTRACE", failure.complaint());
            }
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
    let names: Vec<_> = nets.iter().take(SHOWN).map(server_keys::shown).collect();
    match nets.len().saturating_sub(SHOWN) {
        0 if names.is_empty() => "none".to_owned(),
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

/// Refuses a directory where something is in force: it would be taken away at the end.
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
        format_args!("a filter of ftptrack's is in force{on} already"),
        format_args!(
            "go on with ftptrack attach or watch, which keep it, or remove it with ftptrack --pin-dir {} detach --all",
            pin_dir.display()
        ),
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
