//! Which interfaces are guarded, of those that are to be: what is remembered, compared to what is there.

use crate::attach::hook::{Place, is_active};
use crate::error::Failure;
use crate::pins::{Pins, Record};
use crate::policy::attachment::DIRECTIONS;
use crate::sys::netlink::{Link, Netlink};
use crate::sys::netns::network_namespace;

/// How an interface that is to be guarded stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Both programs are active.
    Attached,
    /// It is there, and one program at least is not active.
    Unprotected,
    /// There is no such interface.
    Missing,
}

/// An interface that is to be guarded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Observed {
    /// What is remembered of it.
    pub record: Record,
    /// The interface; none if it is absent, or in another network namespace.
    pub link: Option<Link>,
    /// How it stands.
    pub state: State,
}

/// Observes all interfaces that are to be guarded.
///
/// # Errors
///
/// A record can't be read, or the kernel doesn't answer.
pub async fn observe(pins: &Pins, netlink: &Netlink) -> Result<Vec<Observed>, Failure> {
    let links = netlink.links().await?;
    let here = network_namespace()?;
    let mut observed = Vec::new();
    for record in pins.records()? {
        let mut active = 0;
        for direction in DIRECTIONS {
            active += usize::from(is_active(Place { pins, record: &record, direction, netlink }).await?);
        }
        // A name says nothing where the programs are active: the interface may have been renamed.
        let is_it = |link: &&Link| if active > 0 { link.index == record.index } else { link.name == record.name };
        let link = links.iter().find(is_it).filter(|_| record.namespace == here).cloned();
        let state = match (active, &link) {
            (2, _) => State::Attached,
            (1, _) | (_, Some(_)) => State::Unprotected,
            _ => State::Missing,
        };
        observed.push(Observed { record, link, state });
    }
    // Two interfaces may have swapped their names: one that is guarded under another name isn't unprotected.
    let guarded: Vec<_> =
        observed.iter().filter(|each| each.state == State::Attached).map(|each| each.record.index).collect();
    for each in observed.iter_mut().filter(|each| each.state == State::Unprotected) {
        if each.link.as_ref().is_some_and(|link| guarded.contains(&link.index)) {
            (each.link, each.state) = (None, State::Missing);
        }
    }
    // A new interface may have the name of a guarded one that was renamed.
    let newcomers = newcomers(&observed, &links);
    observed.extend(newcomers);
    Ok(observed)
}

fn newcomers(observed: &[Observed], links: &[Link]) -> Vec<Observed> {
    let is_known = |link: &Link| observed.iter().filter_map(|each| each.link.as_ref()).any(|known| known == link);
    let renamed = |each: &&Observed| each.link.as_ref().is_some_and(|link| link.name != each.record.name);
    let newcomer = |each: &Observed| {
        let link = links.iter().find(|link| link.name == each.record.name && !is_known(link))?;
        let record = Record { index: 0, made_qdisc: false, version: String::new(), ..each.record.clone() };
        Some(Observed { record, link: Some(link.clone()), state: State::Unprotected })
    };
    observed.iter().filter(renamed).filter_map(newcomer).collect()
}
