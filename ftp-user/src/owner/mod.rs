//! `ftps = learn`: what encrypted sessions open, learned from who serves them and who opens a socket
//! ([`ftp_common::owner`]), on the servers' own host.
//!
//! - [`programs`]: what learns is loaded, attached and pinned;
//! - [`seed`]: servers that were there before;
//! - [`learning`]: whether it does, and if not, why.

pub mod learning;
mod programs;
mod seed;

pub use learning::Learning;

use std::collections::{BTreeSet, HashSet};

use ftp_common::keys::ConnectionKey;
use ftp_common::owner::Root;

use crate::ebpf::maps::PinnedMaps;
use crate::error::Failure;
use crate::pins::Pins;
use crate::policy::attachment::SideName;
use crate::policy::{Ftps, Policy};

/// The control connections that a process serves which has never served another one.
///
/// # Errors
///
/// A map can't be read.
pub fn served_alone(maps: PinnedMaps<'_>) -> Result<HashSet<ConnectionKey>, Failure> {
    let connections = maps.served_by_id()?;
    let roots = maps.owners()?;
    let served = |root: &Root| {
        let connection = connections.get(&root.only()?, 0).ok()?.0;
        root.is_for(connection.since).then_some(connection.key)
    };
    Ok(roots.iter().filter_map(|entry| served(&entry.ok()?.1.0)).collect())
}

/// Begins to learn, where the active policy says so, with programs of this version in the place of those that are there; or
/// stops. Where it can't be done, encrypted sessions open nothing. Returns what to know of it.
///
/// # Errors
///
/// The pin directory's refusal.
pub fn follow(policy: &Policy, sides: &[SideName], pins: &Pins) -> Result<Vec<String>, Failure> {
    let learners = || policy.rules().filter(|rules| rules.ftps == Ftps::Learn);
    if learners().next().is_none() {
        stop(pins)?;
        return Ok(Vec::new());
    }
    let ports: BTreeSet<u16> = learners().flat_map(|rules| &rules.control_ports).copied().collect();
    let (learning, mut notes) = match start(sides, &ports, pins) {
        Ok(notes) => (Learning { problem: None }, notes),
        Err(failure) => {
            programs::detach(pins)?;
            (Learning { problem: Some(failure.complaint()) }, Vec::new())
        }
    };
    learning.remember(pins)?;
    notes.extend(learning.note());
    Ok(notes)
}

/// Stops it: nothing of it is left.
///
/// # Errors
///
/// The kernel's refusal.
pub fn stop(pins: &Pins) -> Result<(), Failure> {
    programs::detach(pins)?;
    Learning::forget(pins)
}

fn start(sides: &[SideName], ports: &BTreeSet<u16>, pins: &Pins) -> Result<Vec<String>, Failure> {
    if SideName::are_beyond(sides.iter().copied()) {
        let problem =
            "the servers are beyond the interface, and what their processes do is seen on their own host only";
        return Err(Failure::failed("ftps = learn", problem, "run ftptrack there"));
    }
    programs::attach(pins)?;
    seed::masters(ports, pins)
}
