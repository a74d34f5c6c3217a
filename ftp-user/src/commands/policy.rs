//! Showing the active policy, and replacing it under live traffic.

use std::path::Path;

use crate::attach::addresses::own_addresses;
use crate::attach::listeners::check_listeners;
use crate::config::Configuration;
use crate::ebpf::policy_change::Change;
use crate::ebpf::policy_maps::ActivePolicy;
use crate::error::Failure;
use crate::owner;
use crate::pins::{Pins, Record};
use crate::policy::attachment::{Hook, SideName};
use crate::policy::summary::server_lines;
use crate::policy::toml::{self, Detail, quoted};
use crate::sys::netlink::Netlink;
use crate::sys::netns::network_namespace;

/// The active policy, as a configuration file that sets the same.
#[must_use]
pub fn show(active: &ActivePolicy, records: &[Record]) -> String {
    let interfaces: Vec<_> = records.iter().map(interface).collect();
    format!(
        "# active: generation {}\ninterfaces = [{}]\n{}",
        active.generation,
        interfaces.join(", "),
        toml::policy(&active.policy, &active.own, Detail::All)
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
    /// What is active now.
    pub lines: Vec<String>,
}

/// Makes a configuration's policy active where ftptrack is attached.
///
/// # Errors
///
/// It can't be done; then what was active still is.
pub async fn apply(configuration: &Configuration, pins: &Pins, force: bool) -> Result<Applied, Failure> {
    let policy = &configuration.policy;
    let records = pins.records()?;
    let here = network_namespace()?;
    if let Some(record) = records.iter().find(|record| record.namespace != here) {
        let problem = "it is in another network namespace";
        return Err(Failure::failed(&record.name, problem, "run ftptrack policy apply there"));
    }
    let sides = || records.iter().map(|record| record.side);
    if policy.own.is_some() && SideName::are_beyond(sides()) {
        let hint = "give each [[server]] its address";
        return Err(Failure::usage("[[server]]", "the servers are not on this host, and one is not named", hint));
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
    let generation = change.apply(policy, &own)?;
    notes.extend(owner::follow(policy, &sides().collect::<Vec<_>>(), pins)?);
    let servers = server_lines(policy, Some(&own)).into_iter().map(|line| format!("policy: {line}"));
    Ok(Applied { notes, lines: servers.chain([format!("active: generation {generation}")]).collect() })
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
