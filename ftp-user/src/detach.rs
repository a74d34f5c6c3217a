//! Taking everything out again, by what the pins remember: after a clean stop, after a failed start
//! and after a process that was killed.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::programs::links::Link as _;
use aya::programs::tc::SchedClassifierLink;
use aya::programs::{SchedClassifier, TcAttachType};

use crate::bpf;
use crate::failure::{Failure, OrFail as _};
use crate::netlink::{Filter, Netlink};
use crate::pins::{DIRECTIONS, Direction, Hold, Hook, Pins, Record, network_namespace};

/// `ftptrack detach --all`: removes what a killed process left in force. Returns the interfaces.
///
/// # Errors
///
/// A process that runs holds the directory, nothing is there, or the kernel refuses.
pub async fn all(pin_dir: &Path) -> Result<Vec<Record>, Failure> {
    let given = format!("--pin-dir {}", pin_dir.display());
    if Pins::all(pin_dir).is_empty() {
        return Err(Failure::failed(given, "nothing of ftptrack's is there", "give the --pin-dir of ftptrack run"));
    }
    let hold = Hold::take(pin_dir)?;
    let mut records = Vec::new();
    for pins in Pins::all(pin_dir) {
        records.extend(pins.records()?);
        everything(&pins).await?;
    }
    hold.release();
    Ok(records)
}

/// Removes all filters, links, maps and pins of one version.
///
/// # Errors
///
/// The first refusal; the rest is tried all the same. Pins stay where a filter could not be removed.
pub async fn everything(pins: &Pins) -> Result<(), Failure> {
    let records = pins.records()?;
    let mut result = Ok(());
    for record in &records {
        result = result.and(one(pins, record).await);
    }
    result?;
    pins.remove().or_fail("pins", "run as root, and remove what is left by hand")
}

async fn one(pins: &Pins, record: &Record) -> Result<(), Failure> {
    match record.hook {
        Hook::Tcx => DIRECTIONS.iter().try_for_each(|direction| detach_tcx(pins, record, *direction)),
        Hook::Clsact => detach_clsact(pins, record).await,
    }
}

/// Unpinning alone would detach too, but only a while after this process has ended.
fn detach_tcx(pins: &Pins, record: &Record, direction: Direction) -> Result<(), Failure> {
    let path = pins.link(&record.name, direction);
    match bpf::open_pinned(&path) {
        Ok(link) => bpf::detach_link(link.as_fd()).or_fail(path.display(), "run as root"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).or_fail(path.display(), "run as root"),
    }
}

async fn detach_clsact(pins: &Pins, record: &Record) -> Result<(), Failure> {
    if record.namespace != network_namespace()? {
        return Err(Failure::failed(
            &record.name,
            "its filter is in another network namespace",
            "run ftptrack detach --all there",
        ));
    }
    let netlink = Netlink::open()?;
    let links = netlink.links().await?;
    // By its index: it may have been renamed.
    let Some(link) = links.iter().find(|link| link.index == record.index) else {
        return Ok(()); // the interface is gone, and its filter with it
    };
    for direction in DIRECTIONS {
        if let Some(filter) = our_filter(&netlink, pins, record, direction).await? {
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

/// The filter that runs the pinned program, if it is in force.
///
/// # Errors
///
/// The kernel's refusal.
pub async fn our_filter(
    netlink: &Netlink,
    pins: &Pins,
    record: &Record,
    direction: Direction,
) -> Result<Option<Filter>, Failure> {
    let Ok(program) = SchedClassifier::from_pin(pins.link(&record.name, direction)) else {
        return Ok(None);
    };
    let id = program.info().or_fail(&record.name, "run as root")?.id();
    let filters = netlink.filters(record.index, direction.into()).await?;
    Ok(filters.into_iter().find(|filter| filter.program == Some(id)))
}

fn remove_filter(interface: &str, direction: Direction, filter: &Filter) -> Result<(), Failure> {
    let (hook, priority) = (TcAttachType::from(direction), filter.priority);
    SchedClassifierLink::attached(interface, hook, priority, filter.handle, None)
        .or_fail(interface, "run as root")
        .and_then(|link| link.detach().or_fail(interface, "run as root"))
}
