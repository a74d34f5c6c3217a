//! What the checks go by: the policy, the interfaces, and which of them are guarded.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::{Asked, Finding, Level};
use crate::attach::addresses::OwnAddresses;
use crate::attach::observe::{Observed, State, observe};
use crate::config::{Configuration, InterfaceChoice, USUAL};
use crate::ebpf::policy_maps;
use crate::error::Failure;
use crate::pins::{Pins, Record};
use crate::policy::attachment::{Hook, SideName};
use crate::policy::{Policy, Rules};
use crate::sys::bpffs::usual_pin_dir;
use crate::sys::netlink::{Link, Netlink};

/// Where the policy comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum From {
    /// The command line.
    Options,
    /// A configuration file.
    File(PathBuf),
    /// The kernel's maps.
    ActivePolicy,
}

/// An interface that is to be guarded, or is asked about.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: String,
    /// None if there is no such interface here.
    pub(super) link: Option<Link>,
    pub(super) side: SideName,
    /// As it was asked for, or is.
    pub(super) hook: Option<Hook>,
    /// What is remembered of it, and how it stands.
    pub(super) observed: Option<(Record, State)>,
}

impl Place {
    pub(super) fn is_guarded(&self) -> bool {
        self.observed.as_ref().is_some_and(|(_, state)| *state == State::Attached)
    }
}

/// An interface that is up, has an address that others can reach, and is not guarded.
#[derive(Clone, Debug)]
pub(super) struct Unprotected {
    pub(super) name: String,
    pub(super) addresses: Vec<IpNet>,
}

/// All of it.
pub(super) struct Host {
    pub(super) pins: Pins,
    pub(super) netlink: Option<Netlink>,
    pub(super) policy: Option<(Policy, From)>,
    /// The options that it was asked for by.
    options: Vec<String>,
    pub(super) places: Vec<Place>,
    /// Interfaces that nobody guards and that others can reach.
    pub(super) unprotected: Vec<Unprotected>,
    /// All that there are.
    pub(super) names: Vec<String>,
    /// Addresses of this host, other than those of loopback interfaces.
    pub(super) local: BTreeSet<IpAddr>,
    /// Addresses of the interfaces in question.
    pub(super) own: BTreeSet<IpNet>,
}

impl Host {
    /// Looks around. What is in the way is a finding.
    pub(super) async fn observe(asked: &Asked, pin_dir: &Path, findings: &mut Vec<Finding>) -> Result<Self, Failure> {
        let says = asked.flags.set_policy();
        let configuration = asked.flags.resolve()?;
        let pins = Pins::new(pin_dir);
        let netlink = match Netlink::open() {
            Ok(netlink) => Some(netlink),
            Err(failure) => {
                findings.push(Finding::not_checked("interface", failure.complaint()));
                None
            }
        };
        let active = active(pin_dir, &pins, findings);
        let file = asked.flags.config.clone().or_else(|| Path::new(USUAL).exists().then(|| USUAL.into()));
        let policy = match (says, file) {
            (true, Some(file)) => Some((configuration.policy, From::File(file))),
            (true, None) => Some((configuration.policy, From::Options)),
            (false, _) => active.map(|policy| (policy, From::ActivePolicy)),
        };
        let mut host = Self {
            pins,
            netlink,
            policy,
            options: asked.flags.to_arguments(),
            places: Vec::new(),
            unprotected: Vec::new(),
            names: Vec::new(),
            local: BTreeSet::new(),
            own: BTreeSet::new(),
        };
        if let Err(failure) = host.look(&configuration.interfaces).await {
            findings.push(Finding::not_checked("interface", failure.complaint()));
        }
        if host.policy.is_none() {
            let what = "there is no policy to compare with: give --passive-range or --config, or attach first";
            findings.push(Finding::not_checked("policy", what));
        }
        Ok(host)
    }

    /// One that nobody has looked at: it is as the configuration says.
    pub(super) fn unseen(configuration: Configuration) -> Self {
        let place = |InterfaceChoice { name, side, hook }: InterfaceChoice| Place {
            name,
            link: None,
            side: side.into(),
            hook,
            observed: None,
        };
        Self {
            pins: Pins::new(&usual_pin_dir()),
            netlink: None,
            policy: Some((configuration.policy, From::Options)),
            options: Vec::new(),
            places: configuration.interfaces.into_iter().map(place).collect(),
            unprotected: Vec::new(),
            names: Vec::new(),
            local: BTreeSet::new(),
            own: BTreeSet::new(),
        }
    }

    async fn look(&mut self, choices: &[InterfaceChoice]) -> Result<(), Failure> {
        let Some(netlink) = self.netlink.clone() else { return Ok(()) };
        let observed = if self.pins.exists() { observe(&self.pins, &netlink).await? } else { Vec::new() };
        let links = netlink.links().await?;
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        for Observed { record, link, state } in observed {
            let name = link.as_ref().map_or_else(|| record.name.clone(), |link| link.name.clone());
            let (side, hook) = (record.side, Some(record.hook));
            places.insert(name.clone(), Place { name, link, side, hook, observed: Some((record, state)) });
        }
        for choice in choices.iter().filter(|choice| !places.contains_key(&choice.name)).collect::<Vec<_>>() {
            let InterfaceChoice { name, side, hook } = choice.clone();
            let link = links.iter().find(|link| link.name == name).cloned();
            places.insert(name.clone(), Place { name, link, side: side.into(), hook, observed: None });
        }
        self.places = places.into_values().collect();
        let is_loopback = |link: &&Link| link.kind == LOOPBACK;
        let loopback: Vec<_> = links.iter().filter(is_loopback).map(|link| link.index).collect();
        let all = netlink.addresses().await?;
        let on =
            |indices: &[u32]| all.iter().filter(|(index, _)| indices.contains(index)).map(|(_, net)| *net).collect();
        let of_loopback: Vec<IpNet> = on(&loopback);
        self.local = all.iter().map(|(_, net)| net.addr()).collect();
        self.local.retain(|address| !of_loopback.iter().any(|net| net.addr() == *address));
        self.names = links.iter().map(|link| link.name.clone()).collect();
        for link in links.iter().filter(|link| link.kind != LOOPBACK && link.is_up) {
            let is_guarded =
                |place: &&Place| place.is_guarded() && place.link.as_ref().is_some_and(|of| of.index == link.index);
            let mut addresses: Vec<IpNet> = on(&[link.index]);
            addresses.sort();
            addresses.retain(|net| !is_link_local(net.addr()));
            if self.places.iter().find(is_guarded).is_none() && !addresses.is_empty() {
                self.unprotected.push(Unprotected { name: link.name.clone(), addresses });
            }
        }
        let sides = self.places.iter().filter_map(|place| Some((place.link.as_ref()?.index, place.side)));
        self.own = OwnAddresses::of(sides).among(&all);
        Ok(())
    }

    /// The rules of each server: for this host's own addresses, and for those that are named.
    pub(super) fn rules(&self) -> Vec<(&Rules, Vec<IpNet>)> {
        let Some((policy, _)) = &self.policy else { return Vec::new() };
        let own = policy.own.iter().map(|rules| (rules, self.own.iter().copied().collect()));
        own.chain(policy.named.iter().map(|named| (&named.rules, named.prefixes.clone()))).collect()
    }

    /// Whether all servers are beyond the interfaces: nothing on this host is theirs.
    pub(super) fn servers_are_beyond(&self) -> bool {
        SideName::are_beyond(self.places.iter().map(|place| place.side))
    }

    /// `-i eth0 -i eth1`, or `-i IFACE`.
    pub(super) fn interface_options(&self) -> String {
        let names: Vec<_> = self.places.iter().map(|place| format!("-i {}", place.name)).collect();
        if names.is_empty() { "-i IFACE".to_owned() } else { names.join(" ") }
    }

    /// The command that makes a policy like the one in question active, with more options.
    pub(super) fn attach_command(&self, more: &str) -> String {
        self.attach_command_at(&self.interface_options(), more)
    }

    /// The same for other interfaces too.
    pub(super) fn attach_command_also_at(&self, others: &[&str]) -> String {
        let others = others.iter().filter(|name| self.places.iter().all(|place| place.name != **name));
        let others = others.map(|name| format!("-i {name}"));
        let all: Vec<_> = self.places.iter().map(|place| format!("-i {}", place.name)).chain(others).collect();
        self.attach_command_at(&all.join(" "), "")
    }

    fn attach_command_at(&self, interfaces: &str, more: &str) -> String {
        let range = self.rules().first().and_then(|(rules, _)| rules.passive_range);
        let mut words = vec![self.program(), "attach".to_owned(), interfaces.to_owned()];
        match &self.policy {
            Some((_, From::File(_) | From::Options)) => {
                // Said once more it would be said twice.
                let is_replaced = |word: &&String| more.starts_with("--ftps ") && word.starts_with("--ftps ");
                words.extend(self.options.iter().filter(|word| !is_replaced(word)).cloned());
            }
            Some((_, From::ActivePolicy)) if more.is_empty() => {}
            _ => words.extend(range.map(|range| format!("--passive-range {range}"))),
        }
        words.extend((!more.is_empty()).then(|| more.to_owned()));
        words.join(" ")
    }

    /// `ftptrack`, with the pin directory where that isn't the usual one.
    pub(super) fn program(&self) -> String {
        program(&self.pins)
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

/// `ARPHRD_LOOPBACK`.
const LOOPBACK: u16 = 772;

fn program(pins: &Pins) -> String {
    let pin_dir = pins.maps().ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default();
    if pin_dir == usual_pin_dir() {
        return "ftptrack".to_owned();
    }
    format!("ftptrack --pin-dir {}", pin_dir.display())
}

/// The active policy; none if nothing is attached.
fn active(pin_dir: &Path, pins: &Pins, findings: &mut Vec<Finding>) -> Option<Policy> {
    if Pins::all(pin_dir).is_empty() {
        return None;
    }
    match Pins::attached(pin_dir).and_then(|pins| policy_maps::active(&pins)) {
        Ok(active) => Some(active.policy),
        Err(failure) if Pins::all(pin_dir).iter().all(|other| other == pins) => {
            findings.push(Finding::not_checked("policy", failure.complaint()));
            None
        }
        Err(failure) => {
            let why = "this ftptrack can neither read nor change the policy that the other one has set";
            let fix = format!("{} attach --replace -i IFACE --passive-range FIRST-LAST", program(pins));
            findings.push(Finding::new(Level::Warning, "policy", failure.complaint()).because(why).fix(fix));
            None
        }
    }
}
