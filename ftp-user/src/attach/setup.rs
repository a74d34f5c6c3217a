//! From what was asked for to an attached filter: what `run`, `attach` and `watch` have in common.

use std::collections::BTreeSet;
use std::path::Path;

use ipnet::IpNet;
use log::warn;

use crate::attach::adopt;
use crate::attach::attachment::Attachment;
use crate::attach::hook::{self, attach};
use crate::attach::observe::{Observed, State, observe};
use crate::attach::plan::{Asked, IfMissing, Plan};
use crate::attach::teardown;
use crate::ebpf::features::Features;
use crate::ebpf::log::level;
use crate::ebpf::maps::PinnedMaps;
use crate::ebpf::policy_change::Change;
use crate::ebpf::policy_maps::PolicyMaps;
use crate::ebpf::program;
use crate::ebpf::program::{Constants, Loaded};
use crate::error::{Failure, OrFail as _};
use crate::owner;
use crate::pins::lock::PinDirLock;
use crate::pins::{Pins, Record};
use crate::policy::Policy;
use crate::policy::attachment::Sizes;
use crate::sys::bpffs::{self, Lifetime};
use crate::sys::netlink::Netlink;

/// What was attached.
pub struct Installed {
    /// What cannot be guarded, and what else to know.
    pub notes: Vec<String>,
    /// What is attached, and the rules.
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
pub async fn install(
    asked: &Asked,
    pin_dir: &Path,
    if_missing: IfMissing,
    lifetime: Lifetime,
) -> Result<(Installed, PinDirLock), Failure> {
    program::prepare();
    Features::now()?.check()?;
    let netlink = Netlink::open()?;
    // What doesn't need the directory is checked before it is made.
    if Pins::all(pin_dir).is_empty() {
        let plan = Plan::make(asked, &[], None, netlink.clone(), if_missing).await?;
        check_listeners(asked, &plan).await?;
    }
    let note = bpffs::prepare(pin_dir, lifetime)?;
    let lock = PinDirLock::acquire(pin_dir).await?;
    match install_locked(asked, pin_dir, netlink, if_missing).await {
        Ok(mut installed) => {
            installed.notes.extend(note);
            Ok((installed, lock))
        }
        Err(failure) => {
            lock.release();
            Err(failure)
        }
    }
}

async fn install_locked(
    asked: &Asked,
    pin_dir: &Path,
    netlink: Netlink,
    if_missing: IfMissing,
) -> Result<Installed, Failure> {
    let pins = Pins::new(pin_dir);
    let before = make_way(asked, pin_dir, &pins)?;
    let observed = if pins.exists() { observe(&pins, &netlink).await? } else { Vec::new() };
    let result = install_over(asked, &before, &observed, &pins, netlink, if_missing).await;
    if result.is_err() {
        undo(&observed, &pins).await?;
        if let Some(old) = before.iter().find(|other| **other == Pins::old(pin_dir) && !pins.exists()) {
            old.move_to(&pins)?;
        }
    }
    result
}

async fn install_over(
    asked: &Asked,
    before: &[Pins],
    observed: &[Observed],
    pins: &Pins,
    netlink: Netlink,
    if_missing: IfMissing,
) -> Result<Installed, Failure> {
    // Without interfaces named, a replacement goes where the other is.
    let observed_before = match before {
        [other] if observed.is_empty() => observe(other, &netlink).await?,
        _ => observed.to_vec(),
    };
    let present = present_policy(asked, before, pins)?;
    let plan = Plan::make(asked, &observed_before, present, netlink.clone(), if_missing).await?;
    check_listeners(asked, &plan).await?;
    let own = plan.own.now(&netlink).await?;
    let (objects, learning) = activate(asked, &plan, &own, observed, pins).await?;
    // The new one denies what is to be denied: now the old one may go.
    for other in before {
        teardown::everything(other).await?;
    }
    let mut notes = plan.policy.notes();
    notes.extend(learning);
    if own.is_empty() && plan.policy.named.is_empty() {
        notes.push("no server is guarded yet: the interface has no address, and no server is named".to_owned());
    }
    notes.extend(sizes_that_stay(asked.configuration.sizes, pins)?);
    notes.extend(plan.awaited.iter().map(|record| format!("{} is not there yet", record.name)));
    Ok(Installed { notes, lines: plan.attached_lines(&own), objects })
}

/// Maps that were there keep the size that they have.
fn sizes_that_stay(sizes: Sizes, pins: &Pins) -> Result<Vec<String>, Failure> {
    let maps = PinnedMaps::new(pins);
    let mut notes = Vec::new();
    for (key, wanted, map) in
        [("max-sessions", sizes.sessions, maps.sessions()?), ("max-flows", sizes.flows, maps.flows()?)]
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

/// What is to be replaced: it is out of the way of the new one's pins, and active until that is.
fn make_way(asked: &Asked, pin_dir: &Path, pins: &Pins) -> Result<Vec<Pins>, Failure> {
    let old = Pins::old(pin_dir);
    // One that was killed while it replaced another has begun anew already.
    if asked.replace && pins.exists() && !old.exists() {
        pins.move_to(&old)?;
    }
    let others: Vec<_> = Pins::all(pin_dir).into_iter().filter(|other| other != pins).collect();
    let unfinished = pins.exists() || others.iter().all(|other| *other == old);
    let mut attached = others.iter().filter(|other| !other.interface_names().is_empty());
    match attached.next() {
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

/// The policy that stays if no other is asked for.
fn present_policy(asked: &Asked, before: &[Pins], pins: &Pins) -> Result<Option<Policy>, Failure> {
    if asked.policy_is_given {
        return Ok(None);
    }
    if pins.exists() {
        return active_policy_of(pins);
    }
    match before.first() {
        Some(other) if other.is_of_this_version() => active_policy_of(other),
        Some(other) => {
            let given = other.maps().display().to_string();
            let hint = "give the policy, by options or --config";
            Err(Failure::usage(given, "the active policy is of another shape and can't be read", hint))
        }
        None => Ok(None),
    }
}

fn active_policy_of(pins: &Pins) -> Result<Option<Policy>, Failure> {
    if !pins.map("CONFIG").exists() {
        return Ok(None);
    }
    let active = PolicyMaps::open(PinnedMaps::new(pins))?.active()?;
    Ok((active.generation != 0).then_some(active.policy))
}

/// Returns what was loaded, and what to know of learning.
async fn activate(
    asked: &Asked,
    plan: &Plan,
    own: &BTreeSet<IpNet>,
    observed: &[Observed],
    pins: &Pins,
) -> Result<(Vec<Loaded>, Vec<String>), Failure> {
    pins.make()?;
    Features::now()?.save(pins)?;
    // The first object makes the maps.
    let sizes = asked.configuration.sizes;
    if plan.attachments.is_empty() {
        program::make_maps(pins, sizes)?;
    }
    let mut objects = Vec::new();
    for attachment in &plan.attachments {
        let level = level(asked.verbose);
        let constants = Constants::of(&attachment.interface, attachment.side);
        objects.push((constants, program::load(constants, pins, level, sizes)?));
    }
    Change::begin(pins).await?.apply(&plan.policy, own)?;
    for record in &plan.awaited {
        pins.remember(record)?;
    }
    for (attachment, (_, object)) in plan.attachments.iter().zip(&mut objects) {
        make_room(attachment, observed, pins)?;
        attach(object, attachment, pins, &plan.netlink).await?;
    }
    adopt_older(pins);
    let learning = owner::follow(&plan.policy, plan.sides(), pins)?;
    Ok((objects, learning))
}

/// Connections that were open before are followed from here.
pub fn adopt_older(pins: &Pins) {
    if let Err(failure) = adopt::idle_connections(PinnedMaps::new(pins)) {
        warn!("control connections that are open already get no transfer before their second command: {failure}");
    }
}

/// A guarded interface that was renamed, and a new one that has its name: the pins of the first go by its new name.
///
/// # Errors
///
/// The file system's refusal.
pub fn make_room(attachment: &Attachment, observed: &[Observed], pins: &Pins) -> Result<(), Failure> {
    let is_other = |each: &&Observed| each.record.name == attachment.name && each.state == State::Attached;
    match observed.iter().find(is_other).and_then(|each| Some((&each.record, each.link.as_ref()?))) {
        Some((record, link)) if link.index != attachment.interface.index => pins.rename(record, &link.name),
        _ => Ok(()),
    }
}

/// Takes away what a call has made that failed: all, or the interfaces that it has added.
async fn undo(observed: &[Observed], pins: &Pins) -> Result<(), Failure> {
    if observed.is_empty() {
        return if pins.exists() { teardown::everything(pins).await } else { Ok(()) };
    }
    let is_new = |record: &&Record| observed.iter().all(|each| each.record.name != record.name);
    for record in pins.records()?.iter().filter(is_new) {
        hook::detach(pins, record).await?;
        pins.forget(&record.name)?;
    }
    Ok(())
}
