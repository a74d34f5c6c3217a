//! clsact: programs hang on an interface as filters of a qdisc. A filter can't be pinned, so its program is, and tells
//! our filter from others.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::programs::links::Link as _;
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcError, TcHandle, qdisc_add_clsact};
use aya::programs::{SchedClassifier, TcAttachType};
use futures_util::future::LocalBoxFuture;

use crate::attach::hook::{Done, HookDriver, Place};
use crate::ebpf::interface::Interface;
use crate::error::{Failure, OrFail as _};
use crate::pins::{Pins, Record, ignore_missing};
use crate::policy::attachment::{DIRECTIONS, Direction};
use crate::sys::bpf;
use crate::sys::netlink::{Filter, Netlink};
use crate::sys::netns::network_namespace;

/// The first priority. Among bpf filters of one priority the newest comes first.
const FIRST: u16 = 1;

/// The driver.
pub(super) struct Clsact;

impl HookDriver for Clsact {
    /// The qdisc is remembered as ours, to be removed with the last filter, unless it was there.
    fn prepare(
        &self,
        interface: &Interface,
        record: &mut Record,
        before: Option<&Record>,
        pins: &Pins,
    ) -> Result<(), Failure> {
        let had_made_qdisc = before.is_some_and(|before| before.made_qdisc);
        record.made_qdisc = true;
        pins.remember(record)?;
        if !make_qdisc(interface)? && !had_made_qdisc {
            record.made_qdisc = false;
            pins.remember(record)?;
        }
        Ok(())
    }

    fn attach<'a>(&self, program: &'a mut SchedClassifier, interface: &'a Interface, place: Place<'a>) -> Done<'a> {
        Box::pin(async move { put(program, interface, place, None) })
    }

    fn replace<'a>(&self, program: &'a mut SchedClassifier, interface: &'a Interface, place: Place<'a>) -> Done<'a> {
        Box::pin(async move { put(program, interface, place, our_filter(place).await?) })
    }

    fn detach<'a>(&self, pins: &'a Pins, record: &'a Record) -> Done<'a> {
        Box::pin(detach(pins, record))
    }

    fn is_active<'a>(&self, place: Place<'a>) -> LocalBoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move {
            // From elsewhere it can't be seen.
            Ok(place.record.namespace == network_namespace()? && our_filter(place).await?.is_some())
        })
    }
}

/// The program is pinned first: it tells our filter from others, whoever looks for it later.
fn put(
    program: &mut SchedClassifier,
    interface: &Interface,
    place: Place<'_>,
    present: Option<Filter>,
) -> Result<(), Failure> {
    let (pin, next, direction) = (place.pin(), place.next(), place.direction);
    let given = format!("-i {}", interface.name);
    if present.is_some_and(|filter| filter.program != id_of(&pin)) {
        // It runs the other one: somebody was killed before the last line here.
        fs::rename(&next, &pin).or_fail(&given, "run as root")?;
    }
    ignore_missing(fs::remove_file(&next)).or_fail(&given, "run as root")?;
    let fd = program.fd().or_fail(&given, "report this")?;
    bpf::pin(fd.as_fd(), &next).or_fail(&given, "report this")?;
    let id = match present {
        Some(Filter { priority, handle, .. }) => {
            // Given the handle, the kernel exchanges the program of that filter.
            let link = SchedClassifierLink::attached(&interface.name, direction.into(), priority, handle, None);
            program.attach_to_link(link.or_fail(&given, "run it again")?).or_fail(&given, "report this")?
        }
        None => {
            let options = NlOptions { priority: FIRST, handle: TcHandle::AUTO_ASSIGN, classid: None };
            let options = TcAttachOptions::Netlink(options);
            program.attach_with_options(&interface.name, direction.into(), options).or_fail(
                &given,
                format_args!(
                    "give a filter of another kind at priority 1 a later one (tc filter show dev {} {}), or load the \
                     kernel module cls_bpf",
                    interface.name,
                    direction.as_str()
                ),
            )?
        }
    };
    let link = program.take_link(id).or_fail(&given, "report this")?;
    // Dropping such a link would remove the filter, and it is to outlive us.
    std::mem::forget(link);
    fs::rename(next, pin).or_fail(&given, "run as root")
}

/// ID of a pinned program.
fn id_of(pin: &Path) -> Option<u32> {
    Some(SchedClassifier::from_pin(pin).ok()?.info().ok()?.id())
}

/// True if it was made, false if it was there.
fn make_qdisc(interface: &Interface) -> Result<bool, Failure> {
    match qdisc_add_clsact(&interface.name) {
        Ok(()) => Ok(true),
        Err(TcError::NetlinkError(error)) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        Err(error) => Err(error).or_fail(
            format_args!("-i {}", interface.name),
            "load the kernel module sch_ingress, or remove an ingress qdisc (tc qdisc show)",
        ),
    }
}

async fn detach(pins: &Pins, record: &Record) -> Result<(), Failure> {
    if record.namespace != network_namespace()? {
        return Err(Failure::failed(
            &record.name,
            "its filter is in another network namespace",
            "run ftptrack detach --all there",
        ));
    }
    let netlink = &Netlink::open()?;
    let links = netlink.links().await?;
    // By its index: it may have been renamed.
    let Some(link) = links.iter().find(|link| link.index == record.index) else {
        return Ok(()); // the interface is gone, and its filter with it
    };
    for direction in DIRECTIONS {
        if let Some(filter) = our_filter(Place { pins, record, direction, netlink }).await? {
            remove_filter(&link.name, direction, &filter)?;
        }
    }
    let mut others = 0;
    for direction in DIRECTIONS {
        others += netlink.filters(record.index, direction.into()).await?.len();
    }
    if record.made_qdisc && others == 0 {
        netlink.remove_clsact(record.index).await?;
    }
    Ok(())
}

/// The filter that runs a pinned program, if it is active.
///
/// # Errors
///
/// The kernel's refusal.
pub async fn our_filter(place: Place<'_>) -> Result<Option<Filter>, Failure> {
    let record = place.record;
    // Whoever was killed while it put one in the place of another has left both.
    let mut ids = Vec::new();
    for program in [place.pin(), place.next()].map(SchedClassifier::from_pin).into_iter().flatten() {
        ids.push(program.info().or_fail(&record.name, "run as root")?.id());
    }
    if ids.is_empty() {
        return Ok(None);
    }
    let filters = place.netlink.filters(record.index, place.direction.into()).await?;
    Ok(filters.into_iter().find(|filter| filter.program.is_some_and(|id| ids.contains(&id))))
}

fn remove_filter(interface: &str, direction: Direction, filter: &Filter) -> Result<(), Failure> {
    let (hook, priority) = (TcAttachType::from(direction), filter.priority);
    SchedClassifierLink::attached(interface, hook, priority, filter.handle, None)
        .or_fail(interface, "run as root")
        .and_then(|link| link.detach().or_fail(interface, "run as root"))
}
