//! `ftptrack run`: check everything, attach, show what happens, and take everything out again.

use std::path::Path;

use crate::attach::plan::Asked;
use crate::attach::plan::{IfMissing, refuse_leftovers};
use crate::attach::reconcile::{Locking, Reconciler};
use crate::attach::setup::{Installed, install};
use crate::attach::teardown;
use crate::ebpf::log;
use crate::error::Failure;
use crate::events::history::Reader;
use crate::events::keeper::Keeper;
use crate::events::line::EventLines;
use crate::events::message::Form;
use crate::events::output::Output;
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
    let mut keeper = Keeper::start(pin_dir)?;
    let mut events = (!exporters.has_journal()).then(|| Shown::of(keeper.reader()));
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
    let writing = exporters.start(pin_dir, &keeper)?;
    let mut reconciler = Reconciler::new(pin_dir, changes, Locking::Already, objects)?;
    loop {
        tokio::select! {
            () = stop.wait() => break,
            () = next(events.as_mut(), &mut output) => {}
            trigger = reconciler.trigger() => {
                trigger?;
                reconciler.reconcile().await.iter().for_each(|line| output.line(line));
                output.flush();
            }
        }
    }
    // What has just happened is shown, too.
    keeper.end();
    while events.as_mut().is_some_and(|events| events.show(&mut output)) {}
    writing.finish();
    Ok(())
}

/// Events that are shown.
struct Shown {
    reader: Reader,
    form: Form,
}

impl Shown {
    fn of(reader: Reader) -> Self {
        Self { reader, form: Form::Lines(EventLines::default()) }
    }

    /// Shows all that is there; false if nothing is.
    fn show(&mut self, output: &mut Output) -> bool {
        let messages = self.reader.take();
        messages.iter().for_each(|message| output.emit(&mut self.form, message));
        output.flush();
        !messages.is_empty()
    }
}

/// Waits for events and shows them; for ever where they go to the journal.
async fn next(events: Option<&mut Shown>, output: &mut Output) {
    let Some(events) = events else { return std::future::pending().await };
    if !events.reader.more().await {
        // Their thread has ended, which it has said.
        return std::future::pending().await;
    }
    events.show(output);
}
