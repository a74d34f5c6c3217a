//! Detaching what is attached, by what the pins remember, and nothing else.

use std::path::Path;

use crate::attach::addresses::reconcile_addresses;
use crate::attach::hook;
use crate::attach::observe::{Observed, observe};
use crate::error::{Failure, OrFail as _};
use crate::owner;
use crate::pins::lock::PinDirLock;
use crate::pins::{Pins, Record};
use crate::sys::netlink::Netlink;

/// `ftptrack detach --all`: removes all that is attached, of whatever version. Returns the interfaces.
///
/// # Errors
///
/// A running process has locked the directory, nothing is there, or the kernel refuses.
pub async fn all(pin_dir: &Path) -> Result<Vec<Record>, Failure> {
    refuse_nothing(pin_dir)?;
    let lock = PinDirLock::acquire(pin_dir).await?;
    let result = async {
        let mut records = Vec::new();
        for pins in Pins::all(pin_dir) {
            records.extend(pins.records()?);
            everything(&pins).await?;
        }
        Ok(records)
    };
    let result = result.await;
    lock.release();
    result
}

/// `ftptrack detach -i`: removes what is attached to some interfaces, and with the last interface all
/// the rest. Returns them.
///
/// # Errors
///
/// One of them isn't attached (then nothing is removed), a running process has locked the directory, or the
/// kernel refuses.
pub async fn some(pin_dir: &Path, names: &[String]) -> Result<Vec<Record>, Failure> {
    refuse_nothing(pin_dir)?;
    let lock = PinDirLock::acquire(pin_dir).await?;
    let result = some_of(&Pins::new(pin_dir), names).await;
    lock.release();
    result
}

async fn some_of(pins: &Pins, names: &[String]) -> Result<Vec<Record>, Failure> {
    let netlink = Netlink::open()?;
    let observed = observe(pins, &netlink).await?;
    let mut going = Vec::new();
    for name in names {
        let is_it =
            |each: &&Observed| each.record.name == *name || each.link.as_ref().is_some_and(|link| link.name == *name);
        let known: Vec<_> = observed.iter().map(|each| each.record.name.as_str()).collect();
        let each = observed.iter().find(is_it).ok_or_else(|| {
            let problem = "ftptrack is not attached to it";
            Failure::failed(format_args!("-i {name}"), problem, format_args!("choose of {}", known.join(", ")))
        })?;
        going.push(each.record.clone());
    }
    for record in &going {
        hook::detach(pins, record).await?;
        pins.forget(&record.name)?;
    }
    if pins.records()?.is_empty() {
        everything(pins).await?;
    } else {
        reconcile_addresses(pins, &netlink).await?;
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
        result = result.and(hook::detach(pins, record).await);
    }
    result?;
    owner::stop(pins)?;
    pins.remove().or_fail("pins", "run as root, and remove what is left by hand")
}
