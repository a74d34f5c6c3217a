//! Running a program to its end, with a bound on the time.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::wait;

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
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = command.get_program().display().to_string();
    let mut child = start(command);
    let stdout = collect(child.stdout.take().expect("piped"));
    let stderr = collect(child.stderr.take().expect("piped"));
    let status = wait::within(LONGEST_RUN, || child.try_wait().expect("it is our child"));
    let Some(status) = status else {
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        panic!("{name}: not done after {LONGEST_RUN:?}");
    };
    // Its own children may hold the pipes open; what they write is not ours to wait for.
    let text = |pipe: mpsc::Receiver<String>| pipe.recv_timeout(wait::PATIENCE).unwrap_or_default();
    Output { status, stdout: text(stdout), stderr: text(stderr) }
}

/// Starts `command`; says how to get the program where there is none.
#[track_caller]
pub fn start(command: &mut Command) -> std::process::Child {
    match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            panic!("{} is not installed: run `cargo xtask setup`", command.get_program().display())
        }
        Err(error) => panic!("{}: {error}", command.get_program().display()),
    }
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
