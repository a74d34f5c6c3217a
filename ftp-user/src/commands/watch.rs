//! `ftptrack watch`: what a service runs. It attaches if need be, and again where a filter was lost.

use std::io::Write as _;
use std::path::Path;

use tokio::signal::unix::{SignalKind, signal};

use crate::attach::plan::Absent;
use crate::attach::plan::Asked;
use crate::attach::reconcile::{Follower, Holding};
use crate::attach::setup::install;
use crate::commands::policy;
use crate::config::Flags;
use crate::error::{Failure, OrFail as _};
use crate::export::Outlets;
use crate::pins::Pins;
use crate::pins::lock;
use crate::sys::netlink::Changes;
use crate::sys::sd_notify;
use crate::sys::signals::Stop;

/// Watches until a signal ends it, or everything was detached. The filters stay when it ends. SIGHUP brings what the
/// options and the configuration file say by then into force.
///
/// # Errors
///
/// The first check that fails, or another process watches.
pub async fn watch(flags: &Flags, force: bool, pin_dir: &Path, outlets: Outlets) -> Result<(), Failure> {
    let asked = Asked { force, ..Asked::resolve(flags)? };
    let mut stop = Stop::listen()?;
    let mut hangup = signal(SignalKind::hangup()).or_fail("SIGHUP", "report this")?;
    let changes = Changes::listen()?;
    let outlets = outlets.open()?;
    let (installed, hold) = install(&asked, pin_dir, Absent::Await).await?;
    let pins = Pins::new(pin_dir);
    let _watcher = lock::watch(&pins)?;
    hold.release();
    for note in &installed.notes {
        eprintln!("note: {note}");
    }
    say(&installed.lines);
    outlets.start(pin_dir, None)?;
    let mut follower = Follower::new(pin_dir, changes, Holding::WhenNeeded, installed.objects)?;
    say(&follower.look().await);
    say(&["watching".to_owned()]);
    let mut standing = follower.standing();
    sd_notify::ready(&standing);
    while follower.has_any() {
        tokio::select! {
            () = stop.wait() => {
                sd_notify::stopping();
                return Ok(());
            }
            _ = hangup.recv() => {
                sd_notify::reloading();
                let failure = reload(flags, force, &pins).await.err();
                standing = failure.map_or_else(|| follower.standing(), refused);
                sd_notify::ready(&standing);
            }
            reason = follower.reason() => {
                reason?;
                say(&follower.look().await);
                let now = follower.standing();
                if now != standing {
                    sd_notify::status(&now);
                    standing = now;
                }
            }
        }
    }
    say(&["everything was detached: nothing is left to watch".to_owned()]);
    Ok(())
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
