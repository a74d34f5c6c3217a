//! However the demo ends, nothing of it stays.
//!
//! Network namespaces and mounts have no other owner than this process and go with it. What would outlive it is ended
//! here: other processes, and files. So a panic does not unwind, and a signal does not kill: both only report to the
//! main thread, which cleans up and ends the process.

use ftptrack_tests::support::process::descendants;
use rustix::process::{Signal, WaitOptions, getpid, kill_process, set_child_subreaper, wait};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::panic;
use std::process::{ExitCode, id};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How the demo ended.
enum End {
    Held,
    Failed(String),
    /// Ctrl-C, SIGTERM or a closed terminal.
    Interrupted,
}

/// How much later than the failures that it causes a signal may be noticed: Ctrl-C goes to our children as well.
const SIGNAL_DELAY: Duration = Duration::from_millis(100);

/// Runs `demo` to its end, or to the first signal or panic, and cleans up.
pub(crate) fn run(demo: fn()) -> ExitCode {
    let (sender, ends) = channel();
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).expect("they can be caught");
    let interrupted = sender.clone();
    thread::spawn(move || signals.forever().for_each(|_| drop(interrupted.send(End::Interrupted))));
    let failed = sender.clone();
    panic::set_hook(Box::new(move |panic| {
        let _ = failed.send(End::Failed(panic.to_string()));
        // The main thread ends it all.
        loop {
            thread::park();
        }
    }));
    // Processes whose parents have ended become ours, and not init's.
    set_child_subreaper(Some(getpid())).expect("every Linux can");
    let files = tempfile::Builder::new().prefix("ftptrack-demo-").tempdir().expect("there is room");
    // vsftpd gives up root and must still find its files.
    fs::set_permissions(files.path(), Permissions::from_mode(0o755)).expect("our own");
    tempfile::env::override_temp_dir(files.path()).expect("it is the first");

    thread::spawn(move || {
        demo();
        let _ = sender.send(End::Held);
    });
    let end = end(&ends);
    end_descendants();
    let left = files.path().to_owned();
    let files = files.close();
    match (end, files) {
        (_, Err(error)) => eprintln!("demo: {} is left behind: {error}", left.display()),
        (End::Held, Ok(())) => return ExitCode::SUCCESS,
        (End::Failed(why), Ok(())) => eprintln!("demo: FAILED (everything is cleaned up): {why}"),
        (End::Interrupted, Ok(())) => eprintln!("demo: interrupted; everything is cleaned up"),
    }
    ExitCode::FAILURE
}

/// The first end to be reported; an interruption if there was one, for what failed because of it is not the news.
fn end(ends: &Receiver<End>) -> End {
    let first = ends.recv().expect("a thread holds the sender");
    if matches!(first, End::Failed(_)) {
        while let Ok(next) = ends.recv_timeout(SIGNAL_DELAY) {
            if matches!(next, End::Interrupted) {
                return next;
            }
        }
    }
    first
}

/// Kills what still runs, and theirs, until none is left.
fn end_descendants() {
    loop {
        for process in descendants(id()) {
            let _: Result<(), _> = kill_process(process, Signal::KILL);
        }
        // No child left: that is the only error there can be.
        if wait(WaitOptions::empty()).is_err() {
            return;
        }
    }
}
