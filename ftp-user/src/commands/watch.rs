//! `ftptrack watch`: what a service runs. It attaches if need be, and again where a filter was lost.

use std::io::Write as _;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::attach::plan::Asked;
use crate::attach::plan::IfMissing;
use crate::attach::reconcile::{Locking, Reconciler};
use crate::attach::setup::install;
use crate::commands::policy;
use crate::config::Flags;
use crate::error::{Failure, OrFail as _};
use crate::events::keeper::Keeper;
use crate::export::Exporters;
use crate::export::journal::Writing;
use crate::pins::Pins;
use crate::pins::lock;
use crate::sys::bpffs::Lifetime;
use crate::sys::netlink::Changes;
use crate::sys::sd_notify;
use crate::sys::signals::Stop;

/// Watches until a signal ends it, or everything was detached. The filters stay when it ends. SIGHUP applies what the
/// options and the configuration file say by then.
///
/// # Errors
///
/// The first check that fails, or another process watches.
pub async fn watch(flags: &Flags, force: bool, pin_dir: &Path, exporters: Exporters) -> Result<(), Failure> {
    let asked = Asked { force, ..Asked::resolve(flags)? };
    let mut stop = Stop::listen()?;
    let mut hangup = signal(SignalKind::hangup()).or_fail("SIGHUP", "report this")?;
    let changes = Changes::listen()?;
    let exporters = exporters.open()?;
    let (installed, lock) = install(&asked, pin_dir, IfMissing::Await, Lifetime::Stays).await?;
    let pins = Pins::new(pin_dir);
    let _watcher = lock::watch(&pins)?;
    lock.release();
    for note in &installed.notes {
        eprintln!("note: {note}");
    }
    say(&installed.lines);
    let keeper = Keeper::start(pin_dir)?;
    let writing = exporters.start(pin_dir, &keeper)?;
    let mut reconciler = Reconciler::new(pin_dir, changes, Locking::WhileAttaching, installed.objects)?;
    say(&reconciler.reconcile().await);
    say(&["watching".to_owned()]);
    let mut summary = reconciler.summary();
    sd_notify::ready(&summary);
    while reconciler.has_any() {
        tokio::select! {
            () = stop.wait() => {
                sd_notify::stopping();
                finish(keeper, writing);
                return Ok(());
            }
            _ = hangup.recv() => {
                sd_notify::reloading();
                let failure = reload(flags, force, &pins).await.err();
                summary = failure.map_or_else(|| reconciler.summary(), refused);
                sd_notify::ready(&summary);
            }
            trigger = reconciler.trigger() => {
                trigger?;
                say(&reconciler.reconcile().await);
                let now = reconciler.summary();
                if now != summary {
                    sd_notify::status(&now);
                    summary = now;
                }
            }
        }
    }
    say(&["everything was detached: nothing is left to watch".to_owned()]);
    finish(keeper, writing);
    Ok(())
}

/// What has just happened goes to the journal, too; what comes later stays in the kernel, for the next.
fn finish(keeper: Keeper, writing: Writing) {
    drop(keeper);
    writing.finish();
}

/// Reads all anew. What is wrong changes nothing.
async fn reload(flags: &Flags, force: bool, pins: &Pins) -> Result<(), Failure> {
    let applied = policy::apply(&flags.resolve()?, pins, force).await?;
    for note in &applied.notes {
        eprintln!("note: {note}");
    }
    say(&applied.lines);
    Ok(())
}

/// Tells what was wrong, and returns how things stand.
fn refused(failure: Failure) -> String {
    eprint!("{}", failure.report());
    format!("the previous policy stays active: {}", failure.complaint())
}

/// Whoever reads this may go away; that is no reason to stop.
fn say(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
}
