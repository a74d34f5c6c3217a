//! Running a program to its end, with a bound on the time.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::fs;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::wait;

/// How long a program that is run to its end may take.
pub const LONGEST_RUN: Duration = Duration::from_secs(60);

/// What a program left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

/// Runs `command` to its end; panics where it can't be started, or takes over [`LONGEST_RUN`].
#[track_caller]
pub fn finish(command: &mut Command) -> Output {
    match finish_within(command, LONGEST_RUN) {
        Some(output) => output,
        None => panic!("{}: not done after {LONGEST_RUN:?}", command.get_program().display()),
    }
}

/// Runs `command` to its end, or kills it after `bound`; panics where it can't be started.
#[track_caller]
pub fn finish_within(command: &mut Command, bound: Duration) -> Option<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start(command);
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    if !ends_within(&child, bound) {
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        return None;
    }
    let status = child.wait().expect("it is our child");
    // Its own children may hold the pipes open; what they write is not ours to wait for.
    let text = |pipe: mpsc::Receiver<String>| pipe.recv_timeout(wait::patience()).unwrap_or_default();
    Some(Output { status, stdout: text(stdout), stderr: text(stderr) })
}

/// Starts `command`; says how to get the program where there is none.
#[track_caller]
pub fn start(command: &mut Command) -> Child {
    match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            panic!("{} is not installed: run `cargo xtask setup`", command.get_program().display())
        }
        Err(error) => panic!("{}: {error}", command.get_program().display()),
    }
}

/// The children of all of a process's threads, and theirs (proc_tid_children(5)).
#[must_use]
pub fn descendants(process: u32) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children: String =
        threads.map(|thread| fs::read_to_string(thread.path().join("children")).unwrap_or_default()).collect();
    let children = children.split_ascii_whitespace().filter_map(|child| child.parse::<u32>().ok());
    let with_theirs = |child: u32| descendants(child).into_iter().chain(Pid::from_raw(child.cast_signed()));
    children.flat_map(with_theirs).collect()
}

/// Waits for the end of a child, without asking again and again.
fn ends_within(child: &Child, bound: Duration) -> bool {
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("it is our child");
    let bound = Timespec::try_from(bound).expect("no age");
    // A signal that is caught would cut it short; these tests catch none.
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&bound)).expect("a descriptor") != 0
}

fn collect(mut pipe: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}
