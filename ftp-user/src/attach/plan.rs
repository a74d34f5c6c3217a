//! Everything that is resolved and checked before anything is made.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;

use crate::attach::addresses::OwnAddresses;
use crate::attach::attachment::Attachment;
use crate::attach::listeners::check_listeners;
use crate::attach::observe::Observed;
use crate::config::{Configuration, Flags};
use crate::ebpf::features::Features;
use crate::ebpf::interface::Interface;
use crate::error::Failure;
use crate::pins::{Pins, Record};
use crate::policy::Policy;
use crate::policy::attachment::SideName;
use crate::policy::summary::server_lines;
use crate::sys::netlink::Netlink;
use crate::sys::netns::network_namespace;

/// What a command that attaches was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Interfaces and policy.
    pub configuration: Configuration,
    /// Whether a policy was asked for: else the active one stays.
    pub policy_is_given: bool,
    /// Go on in spite of listeners in the passive range.
    pub force: bool,
    /// Put it in the place of whatever is there, and keep nothing of that.
    pub replace: bool,
    /// Times that `-v` was given.
    pub verbose: u8,
}

impl Asked {
    /// What options ask for.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn resolve(flags: &Flags) -> Result<Self, Failure> {
        let policy_is_given = flags.set_policy();
        let configuration = flags.resolve()?;
        Ok(Self { configuration, policy_is_given, force: false, replace: false, verbose: 0 })
    }
}

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

/// What to do with an interface that isn't there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum IfMissing {
    /// It is an error.
    Refuse,
    /// It may come.
    Await,
}

impl Plan {
    /// Finds the interfaces that are named, or else all that are guarded already. The active policy is
    /// `present`, which stays unless another is asked for.
    ///
    /// # Errors
    ///
    /// The first check that fails.
    pub async fn make(
        asked: &Asked,
        observed: &[Observed],
        present: Option<Policy>,
        netlink: Netlink,
        if_missing: IfMissing,
    ) -> Result<Self, Failure> {
        let here = network_namespace()?;
        if let Some(other) = observed.iter().find(|each| each.record.namespace != here) {
            let hint = "attach there, or give another --pin-dir";
            return Err(Failure::failed(&other.record.name, "it is guarded in another network namespace", hint));
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
            if observed.is_empty() {
                let hint = "name one with -i IFACE, or with interfaces = [\"IFACE\"] in the configuration file";
                return Err(Failure::usage("-i", "no interface is named", hint));
            }
            // Those that are there; of the others watch says what becomes of them.
            for each in observed {
                let link = each.link.as_ref().map(|link| Attachment::again(each.record.clone(), link));
                plan.attachments.extend(link.transpose()?);
            }
        } else {
            plan.find(asked, observed, if_missing).await?;
        }
        let named = plan.attachments.iter().map(|each| (each.interface.index, each.side));
        let is_named = |record: &&Record| plan.attachments.iter().any(|each| each.name == record.name);
        let others = observed.iter().map(|each| &each.record).filter(|record| !is_named(record));
        let all: Vec<_> = named.chain(others.map(|record| (record.index, record.side))).collect();
        plan.sides = all.iter().map(|(_, side)| *side).collect();
        plan.own = OwnAddresses::of(all);
        Ok(plan)
    }

    async fn find(&mut self, asked: &Asked, observed: &[Observed], if_missing: IfMissing) -> Result<(), Failure> {
        let choices = &asked.configuration.interfaces;
        let names: Vec<_> = choices.iter().map(|choice| choice.name.clone()).collect();
        let links = self.netlink.links().await?;
        let is_there = |name: &String| if_missing == IfMissing::Refuse || links.iter().any(|link| link.name == *name);
        let (there, missing): (Vec<_>, Vec<_>) = names.into_iter().partition(is_there);
        let mut found = Interface::find(&there, &self.netlink).await?.into_iter();
        for choice in choices {
            if missing.contains(&choice.name) {
                let name = choice.name.clone();
                let remembered = observed.iter().any(|each| each.record.name == name);
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
            let guarded = |each: &&Observed| each.link.as_ref().is_some_and(|link| link.index == interface.index);
            let before =
                observed.iter().find(guarded).or_else(|| observed.iter().find(|each| each.record.name == choice.name));
            let before = before.map(|each| each.record.clone());
            let hook = match (&before, choice.hook) {
                (Some(before), None) => before.hook,
                (_, asked) => Features::now()?.hook(asked)?,
            };
            let is_other = |before: &Record| before.hook != hook && before.index == interface.index;
            if before.as_ref().is_some_and(is_other) && !asked.replace {
                let problem = "it is attached by another hook";
                return Err(Failure::failed(
                    format_args!("-i {}", choice.name),
                    problem,
                    "give --replace to change that",
                ));
            }
            let name = before.as_ref().map_or_else(|| choice.name.clone(), |before| before.name.clone());
            self.attachments.push(Attachment { name, side: interface.side(choice.side), hook, interface, before });
        }
        Ok(())
    }

    /// Where servers are, seen from each interface.
    #[must_use]
    pub fn sides(&self) -> &[SideName] {
        &self.sides
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

/// Refuses a directory where something is attached: it would be detached at the end.
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
        format_args!("a filter of ftptrack's is attached{on} already"),
        format_args!(
            "go on with ftptrack attach or watch, which keep it, or remove it with ftptrack --pin-dir {} detach --all",
            pin_dir.display()
        ),
    ))
}
