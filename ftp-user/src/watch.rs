//! `ftptrack watch`: what a service runs. It attaches if need be, and again where a filter was lost.

use std::io::Write as _;
use std::path::Path;

use crate::failure::Failure;
use crate::follow::{Follower, Holding};
use crate::hold::Watcher;
use crate::install::{Asked, install};
use crate::netlink::Changes;
use crate::pins::Pins;
use crate::plan::Absent;
use crate::stop::Stop;

/// Watches until a signal ends it, or everything was detached. The filters stay when it ends.
///
/// # Errors
///
/// The first check that fails, or another process watches.
pub async fn watch(asked: &Asked, pin_dir: &Path) -> Result<(), Failure> {
    let mut stop = Stop::listen()?;
    let changes = Changes::listen()?;
    let (installed, hold) = install(asked, pin_dir, Absent::Await).await?;
    let _watcher = Watcher::become_the_one(&Pins::new(pin_dir))?;
    hold.release();
    for note in &installed.notes {
        eprintln!("note: {note}");
    }
    say(&installed.lines);
    let mut follower = Follower::new(pin_dir, changes, Holding::WhenNeeded, installed.objects)?;
    say(&["watching".to_owned()]);
    while follower.has_any() {
        tokio::select! {
            () = stop.wait() => return Ok(()),
            reason = follower.reason() => {
                reason?;
                say(&follower.look().await);
            }
        }
    }
    say(&["everything was detached: nothing is left to watch".to_owned()]);
    Ok(())
}

/// Whoever reads this may go away; that is no reason to stop.
fn say(lines: &[String]) {
    let mut out = std::io::stdout().lock();
    let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
}
