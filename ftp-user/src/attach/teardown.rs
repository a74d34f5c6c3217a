//! Taking out again what is in force, by what the pins remember, and nothing else.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use aya::programs::links::Link as _;
use aya::programs::tc::SchedClassifierLink;
use aya::programs::{SchedClassifier, TcAttachType};

use crate::attach::addresses::follow_addresses;
use crate::attach::observe::{Seen, survey};
use crate::error::{Failure, OrFail as _};
use crate::pins::lock::PinDirLock;
use crate::pins::{Pins, Record};
use crate::policy::attachment::{DIRECTIONS, Direction, Hook};
use crate::sys::bpf;
use crate::sys::netlink::{Filter, Netlink};
use crate::sys::netns::network_namespace;

/// `ftptrack detach --all`: removes all that is in force, of whatever version. Returns the interfaces.
///
/// # Errors
///
/// A process that runs holds the directory, nothing is there, or the kernel refuses.
pub async fn all(pin_dir: &Path) -> Result<Vec<Record>, Failure> {
    refuse_nothing(pin_dir)?;
    let hold = PinDirLock::acquire(pin_dir).await?;
    let result = async {
        let mut records = Vec::new();
        for pins in Pins::all(pin_dir) {
            records.extend(pins.records()?);
            everything(&pins).await?;
        }
        Ok(records)
    };
    let result = result.await;
    hold.release();
    result
}

/// `ftptrack detach -i`: removes what is in force on some interfaces, and with the last interface all
/// the rest. Returns them.
///
/// # Errors
///
/// One of them isn't attached (then nothing is removed), a process that runs holds the directory, or the
/// kernel refuses.
pub async fn some(pin_dir: &Path, names: &[String]) -> Result<Vec<Record>, Failure> {
    refuse_nothing(pin_dir)?;
    let hold = PinDirLock::acquire(pin_dir).await?;
    let result = some_of(&Pins::new(pin_dir), names).await;
    hold.release();
    result
}

async fn some_of(pins: &Pins, names: &[String]) -> Result<Vec<Record>, Failure> {
    let netlink = Netlink::open()?;
    let seen = survey(pins, &netlink).await?;
    let mut going = Vec::new();
    for name in names {
        let is_it =
            |each: &&Seen| each.record.name == *name || each.link.as_ref().is_some_and(|link| link.name == *name);
        let known: Vec<_> = seen.iter().map(|each| each.record.name.as_str()).collect();
        let each = seen.iter().find(is_it).ok_or_else(|| {
            let wrong = "ftptrack is not attached to it";
            Failure::failed(format_args!("-i {name}"), wrong, format_args!("choose of {}", known.join(", ")))
        })?;
        going.push(each.record.clone());
    }
    for record in &going {
        one(pins, record).await?;
        pins.forget(&record.name)?;
    }
    if pins.records()?.is_empty() {
        everything(pins).await?;
    } else {
        follow_addresses(pins, &netlink).await?;
    }
    Ok(going)
}

fn refuse_nothing(pin_dir: &Path) -> Result<(), Failure> {
    if !Pins::all(pin_dir).is_empty() {
        return Ok(());
    }
    let given = format!("--pin-dir {}", pin_dir.display());
    Err(Failure::failed(given, "nothing of ftptrack's is there", "give the --pin-dir that it was attached with"))
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

/// Takes the programs off one interface. Its record and pins stay.
///
/// # Errors
///
/// The kernel's refusal.
pub async fn one(pins: &Pins, record: &Record) -> Result<(), Failure> {
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

/// The filter that runs a pinned program, if it is in force.
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
    // Whoever was killed while it put one in the place of another has left both.
    let pinned =
        [pins.link(&record.name, direction), pins.next(&record.name, direction)].map(SchedClassifier::from_pin);
    let mut ids = Vec::new();
    for program in pinned.into_iter().flatten() {
        ids.push(program.info().or_fail(&record.name, "run as root")?.id());
    }
    if ids.is_empty() {
        return Ok(None);
    }
    let filters = netlink.filters(record.index, direction.into()).await?;
    Ok(filters.into_iter().find(|filter| filter.program.is_some_and(|id| ids.contains(&id))))
}

fn remove_filter(interface: &str, direction: Direction, filter: &Filter) -> Result<(), Failure> {
    let (hook, priority) = (TcAttachType::from(direction), filter.priority);
    SchedClassifierLink::attached(interface, hook, priority, filter.handle, None)
        .or_fail(interface, "run as root")
        .and_then(|link| link.detach().or_fail(interface, "run as root"))
}
