//! From what was asked for to a filter in force: what `run`, `attach` and `watch` have in common.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;
use log::warn;

use crate::attach::adopt;
use crate::attach::attachment::Attachment;
use crate::attach::hook::{self, attach};
use crate::attach::observe::{Seen, State, survey};
use crate::attach::plan::{Absent, Asked, Plan};
use crate::attach::teardown;
use crate::ebpf::features::Features;
use crate::ebpf::log::level;
use crate::ebpf::maps::Tables;
use crate::ebpf::policy_change::Change;
use crate::ebpf::policy_maps::PolicyMaps;
use crate::ebpf::program;
use crate::ebpf::program::{Constants, Loaded};
use crate::error::{Failure, OrFail as _};
use crate::pins::lock::PinDirLock;
use crate::pins::{Pins, Record};
use crate::policy::Policy;
use crate::policy::attachment::Sizes;
use crate::sys::bpffs;
use crate::sys::netlink::Netlink;

/// What was put in force.
pub struct Installed {
    /// What cannot be guarded, and what else to know.
    pub notes: Vec<String>,
    /// What is attached, and what holds.
    pub lines: Vec<String>,
    /// The loaded objects, for what their programs log and to attach them again.
    pub objects: Vec<Loaded>,
}

/// Checks everything, then attaches: to interfaces that are guarded already in the place of what is there, with
/// all that it knows. Nothing that is guarded is open at any moment.
///
/// # Errors
///
/// The first check that fails, before anything was made; or a failure later, after what this call has made was
/// removed.
pub async fn install(asked: &Asked, pin_dir: &Path, absent: Absent) -> Result<(Installed, PinDirLock), Failure> {
    Features::now()?.check()?;
    let netlink = Netlink::open()?;
    // What doesn't need the directory is checked before it is made.
    if Pins::all(pin_dir).is_empty() {
        let plan = Plan::make(asked, &[], None, netlink.clone(), absent).await?;
        check_listeners(asked, &plan).await?;
    }
    let mounted = bpffs::prepare(pin_dir)?;
    let hold = PinDirLock::acquire(pin_dir).await?;
    match install_held(asked, pin_dir, netlink, absent).await {
        Ok(mut installed) => {
            if mounted && bpffs::in_private_mount_namespace() {
                installed.notes.push(format!(
                    "{} was mounted in this mount namespace only: when its last process ends, the filter ends too",
                    bpffs::USUAL
                ));
            }
            Ok((installed, hold))
        }
        Err(failure) => {
            hold.release();
            Err(failure)
        }
    }
}

async fn install_held(asked: &Asked, pin_dir: &Path, netlink: Netlink, absent: Absent) -> Result<Installed, Failure> {
    let pins = Pins::new(pin_dir);
    let before = make_way(asked, pin_dir, &pins)?;
    let seen = if pins.exists() { survey(&pins, &netlink).await? } else { Vec::new() };
    let result = install_over(asked, &before, &seen, &pins, netlink, absent).await;
    if result.is_err() {
        undo(&seen, &pins).await?;
        if let Some(old) = before.iter().find(|other| **other == Pins::old(pin_dir) && !pins.exists()) {
            old.move_to(&pins)?;
        }
    }
    result
}

async fn install_over(
    asked: &Asked,
    before: &[Pins],
    seen: &[Seen],
    pins: &Pins,
    netlink: Netlink,
    absent: Absent,
) -> Result<Installed, Failure> {
    // Without interfaces named, a replacement goes where the other is.
    let seen_before = match before {
        [other] if seen.is_empty() => survey(other, &netlink).await?,
        _ => seen.to_vec(),
    };
    let present = present_policy(asked, before, pins)?;
    let plan = Plan::make(asked, &seen_before, present, netlink.clone(), absent).await?;
    check_listeners(asked, &plan).await?;
    let own = plan.own.now(&netlink).await?;
    let objects = put_in_force(asked, &plan, &own, seen, pins).await?;
    // The new one denies what is to be denied: now the old one may go.
    for other in before {
        teardown::everything(other).await?;
    }
    let mut notes = plan.policy.notes();
    if own.is_empty() && plan.policy.named.is_empty() {
        notes.push("no server is guarded yet: the interface has no address, and no server is named".to_owned());
    }
    notes.extend(sizes_that_stay(asked.configuration.sizes, pins)?);
    notes.extend(plan.awaited.iter().map(|record| format!("{} is not there yet", record.name)));
    Ok(Installed { notes, lines: plan.attached_lines(&own), objects })
}

/// Maps that were there keep the size that they have.
fn sizes_that_stay(sizes: Sizes, pins: &Pins) -> Result<Vec<String>, Failure> {
    let tables = Tables::new(pins);
    let mut notes = Vec::new();
    for (key, wanted, map) in
        [("max-sessions", sizes.sessions, tables.sessions()?), ("max-flows", sizes.flows, tables.flows()?)]
    {
        let is = map.info().or_fail(key, "run as root")?.max_entries();
        if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
            notes.push(format!(
                "{key} stays {is}: {wanted} takes ftptrack attach --replace, which forgets what goes on"
            ));
        }
    }
    Ok(notes)
}

async fn check_listeners(asked: &Asked, plan: &Plan) -> Result<(), Failure> {
    if asked.force {
        return Ok(());
    }
    plan.check_listeners(&plan.own.now(&plan.netlink).await?).await
}

/// What is to be replaced: it is out of the way of the new one's pins, and in force until that is.
fn make_way(asked: &Asked, pin_dir: &Path, pins: &Pins) -> Result<Vec<Pins>, Failure> {
    let old = Pins::old(pin_dir);
    // One that was killed while it replaced another has begun anew already.
    if asked.replace && pins.exists() && !old.exists() {
        pins.move_to(&old)?;
    }
    let others: Vec<_> = Pins::all(pin_dir).into_iter().filter(|other| other != pins).collect();
    let unfinished = pins.exists() || others.iter().all(|other| *other == old);
    let mut in_force = others.iter().filter(|other| !other.interface_names().is_empty());
    match in_force.next() {
        Some(other) if !asked.replace && !unfinished => Err(Failure::failed(
            format_args!("--pin-dir {}", pin_dir.display()),
            format_args!(
                "an ftptrack whose maps are of another shape ({}, this one's are {}) is attached to {}",
                other.version(),
                pins.version(),
                other.interface_names().join(", ")
            ),
            "give --replace to put this one in its place, which forgets its sessions, or detach --all first",
        )),
        _ => Ok(others),
    }
}

/// The policy that holds on if no other is asked for.
fn present_policy(asked: &Asked, before: &[Pins], pins: &Pins) -> Result<Option<Policy>, Failure> {
    if asked.policy_is_given {
        return Ok(None);
    }
    if pins.exists() {
        return policy_in_force(pins);
    }
    match before.first() {
        Some(other) if other.is_of_this_version() => policy_in_force(other),
        Some(other) => {
            let given = other.maps().display().to_string();
            let remedy = "give the policy, by options or --config";
            Err(Failure::usage(given, "the active policy is of another shape and can't be read", remedy))
        }
        None => Ok(None),
    }
}

fn policy_in_force(pins: &Pins) -> Result<Option<Policy>, Failure> {
    if !pins.map("CONFIG").exists() {
        return Ok(None);
    }
    let in_force = PolicyMaps::open(Tables::new(pins))?.in_force()?;
    Ok((in_force.generation != 0).then_some(in_force.policy))
}

async fn put_in_force(
    asked: &Asked,
    plan: &Plan,
    own: &BTreeSet<IpNet>,
    seen: &[Seen],
    pins: &Pins,
) -> Result<Vec<Loaded>, Failure> {
    pins.make()?;
    Features::now()?.save(pins)?;
    // The first object makes the maps, as it says; other sizes must be said before.
    let sizes = asked.configuration.sizes;
    if plan.attachments.is_empty() || sizes != Sizes::default() && !pins.map("CONFIG").exists() {
        program::make_maps(pins, sizes)?;
    }
    let mut objects = Vec::new();
    for attachment in &plan.attachments {
        let level = level(asked.verbose);
        let constants = Constants::of(&attachment.interface, attachment.side);
        objects.push((constants, program::load(constants, pins, level)?));
    }
    Change::begin(pins).await?.bring(&plan.policy, own)?;
    for record in &plan.awaited {
        pins.remember(record)?;
    }
    for (attachment, (_, object)) in plan.attachments.iter().zip(&mut objects) {
        make_room(attachment, seen, pins)?;
        attach(object, attachment, pins, &plan.netlink).await?;
    }
    adopt_older(pins);
    Ok(objects)
}

/// Connections that were open before are followed from here.
pub fn adopt_older(pins: &Pins) {
    if let Err(failure) = adopt::idle_connections(Tables::new(pins)) {
        warn!("control connections that are open already get no transfer before their second command: {failure}");
    }
}

/// A guarded interface that was renamed, and a new one that has its name: the pins of the first go by its new name.
///
/// # Errors
///
/// The file system's refusal.
pub fn make_room(attachment: &Attachment, seen: &[Seen], pins: &Pins) -> Result<(), Failure> {
    let is_other = |each: &&Seen| each.record.name == attachment.name && each.state == State::Attached;
    match seen.iter().find(is_other).and_then(|each| Some((&each.record, each.link.as_ref()?))) {
        Some((record, link)) if link.index != attachment.interface.index => pins.rename(record, &link.name),
        _ => Ok(()),
    }
}

/// Takes away what a call has made that failed: all, or the interfaces that it has added.
async fn undo(seen: &[Seen], pins: &Pins) -> Result<(), Failure> {
    if seen.is_empty() {
        return if pins.exists() { teardown::everything(pins).await } else { Ok(()) };
    }
    let is_new = |record: &&Record| seen.iter().all(|each| each.record.name != record.name);
    for record in pins.records()?.iter().filter(is_new) {
        hook::detach(pins, record).await?;
        pins.forget(&record.name)?;
    }
    Ok(())
}
