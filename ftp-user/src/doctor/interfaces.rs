//! Whether interfaces are guarded, and whether anything sees their packets before ftptrack does.

use std::os::fd::AsFd as _;

use aya::programs::SchedClassifier;

use super::host::{Host, Place};
use super::{Finding, Level};
use crate::attach::clsact::our_filter;
use crate::attach::hook::Place as HookPlace;
use crate::attach::observe::State;
use crate::ebpf::features::Features;
use crate::ebpf::interface::Interface;
use crate::error::Failure;
use crate::policy::attachment::{DIRECTIONS, Direction, Hook};
use crate::sys::bpf;

const CHECK: &str = "interface";

/// Looks at all interfaces in question.
pub(super) async fn check(host: &Host) -> Vec<Finding> {
    if host.places.is_empty() {
        return vec![Finding::not_checked(CHECK, "no interface is named and none is guarded: give -i IFACE")];
    }
    let mut findings = Vec::new();
    for place in &host.places {
        findings.push(state(host, place));
        for direction in DIRECTIONS {
            match in_front(host, place, direction).await {
                Ok(found) => findings.extend(found),
                Err(failure) => findings.push(Finding::not_checked(
                    CHECK,
                    format!("{} of {}: {}", direction.as_str(), place.name, failure.complaint()),
                )),
            }
        }
    }
    findings
}

fn state(host: &Host, place: &Place) -> Finding {
    let name = &place.name;
    let state = place.observed.as_ref().map(|(_, state)| *state);
    match (&place.link, state) {
        (None, Some(State::Missing)) => {
            Finding::new(Level::Error, CHECK, format!("{name} should be guarded, and there is no such interface"))
                .because("nothing guards it when it comes, unless ftptrack watch runs")
                .fix(format!("{} detach -i {name}", host.program()))
        }
        (None, _) => {
            let there = host.names.join(", ");
            Finding::new(Level::Error, CHECK, format!("there is no interface {name}; choose one of {there}"))
                .because("ftptrack can't attach to it")
        }
        (Some(link), _) if Interface::of(link).is_err() => {
            Finding::new(Level::Error, CHECK, format!("packets of {name} can't be read (link type {})", link.kind))
                .because("ftptrack can't attach to it")
        }
        (Some(_), Some(State::Attached)) => Finding::ok(CHECK, format!("{name} is guarded")),
        (Some(_), Some(_)) => {
            Finding::new(Level::Error, CHECK, format!("{name} should be guarded, and is unprotected"))
                .because("no filter is attached to it: the passive range is open")
                .fix(format!("{} attach -i {name}", host.program()))
        }
        (Some(_), None) => Finding::new(Level::Note, CHECK, format!("{name} is not guarded"))
            .because("ftptrack is not attached to it")
            .fix(host.attach_command("")),
    }
}

/// What packets of one direction meet before ftptrack.
async fn in_front(host: &Host, place: &Place, direction: Direction) -> Result<Vec<Finding>, Failure> {
    let (Some(link), Some(netlink)) = (&place.link, &host.netlink) else { return Ok(Vec::new()) };
    let features = Features::now()?;
    let guarded = place.observed.as_ref().filter(|_| place.is_guarded()).map(|(record, _)| record);
    let hook = guarded.map_or_else(|| place.hook.or_else(|| features.hook(None).ok()), |record| Some(record.hook));
    let mut front: Vec<String> = Vec::new();
    if features.tcx {
        let (_, programs) = SchedClassifier::query_tcx(&place.name, direction.into())
            .map_err(|error| Failure::failed(&place.name, error, "run as root"))?;
        let ours = guarded
            .filter(|record| record.hook == Hook::Tcx)
            .and_then(|record| bpf::open_pinned(&host.pins.link(&record.name, direction)).ok())
            .and_then(|link| bpf::tcx_program(link.as_fd()).ok());
        let is_before_us = match (hook, ours) {
            // All of them come before the filters of clsact.
            (Some(Hook::Clsact), _) => programs.len(),
            (_, Some(ours)) => programs.iter().take_while(|program| program.id() != ours).count(),
            // It takes the first place when it attaches.
            (_, None) => 0,
        };
        let name = |id: u32, name: Option<&str>| format!("program {id} ({})", name.unwrap_or_default());
        front.extend(programs.iter().take(is_before_us).map(|program| name(program.id(), program.name_as_str())));
    }
    if hook == Some(Hook::Clsact) {
        let filters = netlink.filters(link.index, direction.into()).await?;
        let ours = match guarded {
            Some(record) => our_filter(HookPlace { pins: &host.pins, record, direction, netlink }).await?,
            None => None,
        };
        let is_before_us = ours.map_or(0, |ours| filters.iter().take_while(|filter| **filter != ours).count());
        front.extend(filters.iter().take(is_before_us).map(|filter| match filter.program {
            Some(id) => format!("the filter of program {id} at priority {}", filter.priority),
            None => format!("a filter at priority {}", filter.priority),
        }));
        let foreign = filters.iter().find(|filter| filter.priority == 1 && filter.program.is_none());
        if let Some(filter) = foreign.filter(|_| ours.is_none()) {
            let (name, way) = (&place.name, direction.as_str());
            let what = format!("{way} of {name} has a filter of another kind at priority {}", filter.priority);
            let finding = Finding::new(Level::Error, CHECK, what)
                .because("bpf filters can't stand at the same priority: ftptrack can't attach by clsact")
                .fix(format!("tc filter del dev {name} {way} priority {}", filter.priority));
            return Ok(vec![finding]);
        }
    }
    Ok(front.iter().map(|who| before(host, place, direction, who)).collect())
}

fn before(host: &Host, place: &Place, direction: Direction, who: &str) -> Finding {
    let name = &place.name;
    let what = format!("{who} sees what comes {} before ftptrack", way(direction, name));
    let why = "what it takes is never seen by ftptrack: a reply that was missed opens nothing, and what it lets \
               pass for good is not guarded";
    Finding::new(Level::Warning, CHECK, what).because(why).fix(format!("{} attach --replace -i {name}", host.program()))
}

fn way(direction: Direction, name: &str) -> String {
    match direction {
        Direction::Ingress => format!("in by {name}"),
        Direction::Egress => format!("to go out by {name}"),
    }
}
