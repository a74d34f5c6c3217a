//! Taking out again what is in force, by what the pins remember, and nothing else.

use std::path::Path;

use crate::attach::addresses::follow_addresses;
use crate::attach::hook;
use crate::attach::observe::{Seen, survey};
use crate::error::{Failure, OrFail as _};
use crate::pins::lock::PinDirLock;
use crate::pins::{Pins, Record};
use crate::sys::netlink::Netlink;

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
        hook::detach(pins, record).await?;
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
        result = result.and(hook::detach(pins, record).await);
    }
    result?;
    pins.remove().or_fail("pins", "run as root, and remove what is left by hand")
}
