//! Looking at the policy in force, and bringing another in its place while traffic goes on.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;

use crate::attach::addresses::OwnAddresses;
use crate::attach::plan::{check_listeners, server_lines};
use crate::config::Configuration;
use crate::ebpf::interface::SideName;
use crate::ebpf::maps::Tables;
use crate::ebpf::policy_change::Change;
use crate::ebpf::policy_maps::{InForce, PolicyMaps};
use crate::error::Failure;
use crate::pins::{Hook, Pins, Record, network_namespace};
use crate::policy::toml::{self, Detail, quoted};
use crate::sys::netlink::Netlink;

/// What is in force.
///
/// # Errors
///
/// A map can't be read, or no policy is in force yet.
pub fn in_force(pins: &Pins) -> Result<InForce, Failure> {
    let in_force = PolicyMaps::open(Tables::new(pins))?.in_force()?;
    if in_force.generation == 0 {
        let given = pins.maps().display().to_string();
        return Err(Failure::failed(given, "no policy is in force yet", "wait until ftptrack has started"));
    }
    Ok(in_force)
}

/// What is in force, as a configuration file that would bring the same.
#[must_use]
pub fn show(in_force: &InForce, records: &[Record]) -> String {
    let interfaces: Vec<_> = records.iter().map(interface).collect();
    format!(
        "# in force: generation {}\ninterfaces = [{}]\n{}",
        in_force.generation,
        interfaces.join(", "),
        toml::policy(&in_force.policy, &in_force.own, Detail::All)
    )
}

fn interface(record: &Record) -> String {
    let side = match record.side {
        SideName::ServersBeyond => format!(", side = {}", quoted(record.side.as_str())),
        SideName::ServersBehind | SideName::Both => String::new(),
    };
    let hook = match record.hook {
        Hook::Clsact => format!(", hook = {}", quoted(record.hook.as_str())),
        Hook::Tcx => String::new(),
    };
    let name = quoted(&record.name);
    if side.is_empty() && hook.is_empty() { name } else { format!("{{ name = {name}{side}{hook} }}") }
}

/// What is said of a file that is right: what it cannot guard, and what it says.
#[must_use]
pub fn checked(file: &Path, configuration: &Configuration) -> String {
    let nowhere =
        "no interface is named: attach, watch and the service need one, as in interfaces = [\"eth0\"]".to_owned();
    let nowhere = configuration.interfaces.is_empty().then_some(nowhere);
    let notes = configuration.policy.notes().into_iter().chain(nowhere).map(|note| format!("note: {note}\n"));
    let lines = server_lines(&configuration.policy, None).into_iter().map(|line| format!("policy: {line}\n"));
    let good = format!("{}: no errors\n", file.display());
    notes.chain(lines).chain([good]).collect()
}

/// What [`apply`] has done.
#[derive(Clone, Debug)]
pub struct Applied {
    /// What can't be guarded, and where the file and what is attached differ.
    pub notes: Vec<String>,
    /// What is in force now.
    pub lines: Vec<String>,
}

/// Brings a configuration's policy into force where ftptrack is attached.
///
/// # Errors
///
/// It can't be done; then what was in force still is.
pub async fn apply(configuration: &Configuration, pins: &Pins, force: bool) -> Result<Applied, Failure> {
    let policy = &configuration.policy;
    let records = pins.records()?;
    let here = network_namespace()?;
    if let Some(record) = records.iter().find(|record| record.namespace != here) {
        let wrong = "it is in another network namespace";
        return Err(Failure::failed(&record.name, wrong, "run ftptrack policy apply there"));
    }
    let sides = || records.iter().map(|record| record.side);
    if policy.own.is_some() && !records.is_empty() && sides().all(|side| side == SideName::ServersBeyond) {
        let remedy = "give each [[server]] its address";
        return Err(Failure::usage("[[server]]", "the servers are not on this host, and one is not named", remedy));
    }
    let netlink = Netlink::open()?;
    let own_addresses = own_addresses(&records);
    let mut notes = policy.notes();
    notes.extend(differences(configuration, &records));
    if !force {
        check_listeners(policy, &own_addresses.now(&netlink).await?, sides(), &netlink).await?;
    }
    let mut change = Change::begin(pins).await?;
    // Read while nobody else can change it: whoever follows them next reads later ones.
    let own = own_addresses.now(&netlink).await?;
    let generation = change.bring(policy, &own)?;
    let servers = server_lines(policy, Some(&own)).into_iter().map(|line| format!("policy: {line}"));
    Ok(Applied { notes, lines: servers.chain([format!("in force: generation {generation}")]).collect() })
}

/// Brings the addresses that the interfaces have now into force, if the policy goes by them and by others so
/// far. Returns them then.
///
/// # Errors
///
/// It can't be done; then what was in force still is.
pub async fn follow_addresses(pins: &Pins, netlink: &Netlink) -> Result<Option<BTreeSet<IpNet>>, Failure> {
    // Whatever policy is in force by now, it goes by the addresses of now. They are read while nobody else
    // can change it: whoever is next reads later ones.
    let mut change = Change::begin(pins).await?;
    let in_force = change.in_force()?;
    let own = own_addresses(&pins.records()?).now(netlink).await?;
    if in_force.policy.own.is_none() || in_force.policy.without_named(&own) == in_force.own {
        return Ok(None);
    }
    change.bring(&in_force.policy, &own)?;
    Ok(Some(own))
}

/// Those of the interfaces that are to be guarded.
#[must_use]
pub fn own_addresses(records: &[Record]) -> OwnAddresses {
    OwnAddresses::of(records.iter().map(|record| (record.index, record.side)))
}

/// Applying neither attaches nor detaches.
fn differences(configuration: &Configuration, records: &[Record]) -> Vec<String> {
    // Options may have named those that are attached: a file need not.
    if configuration.interfaces.is_empty() {
        return Vec::new();
    }
    let choices = &configuration.interfaces;
    let mut notes = Vec::new();
    for choice in choices {
        let Some(record) = records.iter().find(|record| record.name == choice.name) else {
            notes.push(format!(
                "{} is in the file, but ftptrack is not attached to it: run ftptrack attach",
                choice.name
            ));
            continue;
        };
        let is_other_hook = choice.hook.is_some_and(|hook| hook != record.hook);
        let is_other_side = record.side != SideName::Both && SideName::from(choice.side) != record.side;
        if is_other_hook || is_other_side {
            notes.push(format!(
                "{} is attached otherwise than the file says: run ftptrack attach --replace",
                choice.name
            ));
        }
    }
    let others = records.iter().filter(|record| choices.iter().all(|choice| choice.name != record.name));
    notes.extend(others.map(|record| format!("{} is attached, but not in the file", record.name)));
    notes
}
