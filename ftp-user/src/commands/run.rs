//! `ftptrack run`: check everything, attach, show what happens, and take everything out again.

use std::io;
use std::path::Path;

use crate::attach::plan::Asked;
use crate::attach::plan::{IfMissing, refuse_leftovers};
use crate::attach::reconcile::{Locking, Reconciler};
use crate::attach::setup::{Installed, install};
use crate::attach::teardown;
use crate::ebpf::log;
use crate::ebpf::maps::PinnedMaps;
use crate::error::{Failure, OrFail as _};
use crate::events::line::EventLines;
use crate::events::message::Form;
use crate::events::output::Output;
use crate::events::reader::Events;
use crate::export::{Exporters, Open};
use crate::pins::Pins;
use crate::sys::bpffs::Lifetime;
use crate::sys::netlink::Changes;
use crate::sys::signals::Stop;

/// Runs until a signal ends it.
///
/// # Errors
///
/// The first check that fails, before anything was made; or a failure later, after everything that
/// was made has been removed.
pub async fn run(asked: &Asked, pin_dir: &Path, exporters: Exporters) -> Result<(), Failure> {
    refuse_leftovers(pin_dir)?;
    let mut stop = Stop::listen()?;
    // Before the addresses are read: no change of them goes unseen.
    let changes = Changes::listen()?;
    let exporters = exporters.open()?;
    let (installed, lock) = install(asked, pin_dir, IfMissing::Refuse, Lifetime::Stays).await?;
    let pins = Pins::new(pin_dir);
    let result = show(installed, pin_dir, changes, &mut stop, asked.verbose, exporters).await;
    // Whatever happened: nothing stays half attached.
    let removed = teardown::everything(&pins).await;
    lock.release();
    result.and(removed)
}

/// Shows what happens until it is to stop.
async fn show(
    installed: Installed,
    pin_dir: &Path,
    changes: Changes,
    stop: &mut Stop,
    verbose: u8,
    exporters: Open,
) -> Result<(), Failure> {
    let pins = Pins::new(pin_dir);
    let lines = || Events::open(PinnedMaps::new(&pins), Form::Lines(EventLines::default()));
    let mut events = (!exporters.has_journal()).then(lines).transpose()?;
    let mut output = Output::default();
    for note in &installed.notes {
        eprintln!("note: {note}");
    }
    let mut objects = installed.objects;
    for (_, object) in &mut objects {
        if verbose != 0
            && let Err(failure) = log::show(object)
        {
            eprintln!("note: {failure}");
        }
    }
    installed.lines.iter().for_each(|line| output.line(line));
    output.flush();
    exporters.start(pin_dir, events.as_mut())?;
    let mut reconciler = Reconciler::new(pin_dir, changes, Locking::Already, objects)?;
    loop {
        tokio::select! {
            () = stop.wait() => return Ok(()),
            shown = next(events.as_mut(), &mut output) => shown.or_fail("EVENTS", "report this")?,
            trigger = reconciler.trigger() => {
                trigger?;
                reconciler.reconcile().await.iter().for_each(|line| output.line(line));
                output.flush();
            }
        }
    }
}

/// Waits for events, for ever where others read them.
async fn next(events: Option<&mut Events>, output: &mut Output) -> io::Result<()> {
    match events {
        Some(events) => events.next(output).await,
        None => std::future::pending().await,
    }
}
