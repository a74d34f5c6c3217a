//! The command under test.

use ftp_user::ebpf::maps::PinnedMaps;
use ftp_user::error::Failure;
use ftp_user::pins::Pins;
use ftp_user::query;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;

use crate::PASSIVE_RANGE;
use crate::hosts::network::{Host, INTERFACE};
use crate::subject::report::{Expectation, Flow, Policy, Session, Stats, Status};
use crate::support::file;
use crate::support::process::{self, Output};
use crate::support::wait;

/// A BPF file system of the test's own, so that what ftptrack pins meets no other test's.
#[derive(Debug)]
pub struct PinDirectory {
    mount: TempDir,
    /// The kernel may put files of its own into a new BPF file system: `maps.debug`, `progs.debug`.
    of_the_kernel: Vec<String>,
}

thread_local! {
    static MOUNTS_ARE_OWN: Cell<bool> = const { Cell::new(false) };
}

impl PinDirectory {
    /// Mounts one. This thread gets mounts of its own first: they go when it ends, and with them
    /// all that is pinned, even if nothing here is dropped.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one is an effect, and needs rights")]
    pub fn new() -> Self {
        if !MOUNTS_ARE_OWN.replace(true) {
            // SAFETY: no file descriptor table is unshared.
            unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.expect("root may");
            let own = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            rustix::mount::mount_change("/", own).expect("root may");
        }
        let mount = file::directory();
        rustix::mount::mount("bpf", mount.path(), "bpf", MountFlags::empty(), None).expect("the kernel has bpffs");
        let mut pins = Self { mount, of_the_kernel: Vec::new() };
        pins.of_the_kernel = pins.entries();
        pins
    }

    /// The directory for ftptrack to make and to pin in.
    pub fn path(&self) -> PathBuf {
        self.mount.path().join("ftptrack")
    }

    /// The paths of what is pinned, and of the directories it is in.
    pub fn entries(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut ahead = vec![self.mount.path().to_owned()];
        while let Some(directory) = ahead.pop() {
            for entry in fs::read_dir(directory).expect("our own") {
                let entry = entry.expect("our own");
                if entry.file_type().expect("our own").is_dir() {
                    ahead.push(entry.path());
                }
                found.push(entry.path().display().to_string());
            }
        }
        found.retain(|path| !self.of_the_kernel.contains(path));
        found
    }
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(self.mount.path(), UnmountFlags::DETACH);
    }
}

/// A running `ftptrack run`. Dropping it kills it; what it pinned goes with its [`PinDirectory`].
#[derive(Debug)]
pub struct Ftptrack<'a> {
    host: &'a Host,
    pins: &'a PinDirectory,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The options for a server whose passive range is [`crate::PASSIVE_RANGE`].
pub const USUAL: [&str; 4] = ["-i", INTERFACE, "--passive-range", "10240-20480"];

impl<'a> Ftptrack<'a> {
    /// Runs it on a server with [`USUAL`] options, and returns when its filter is in place.
    #[track_caller]
    pub fn guarding(host: &'a Host, pins: &'a PinDirectory) -> Self {
        Self::run(host, pins, &USUAL)
    }

    /// Runs it with these options of `run`, and returns when its filter is in place.
    #[track_caller]
    pub fn run(host: &'a Host, pins: &'a PinDirectory, options: &[&str]) -> Self {
        if !options.contains(&"--force") {
            // What was closed a moment ago may still be open in a child of this process, or of vsftpd.
            wait::until("nobody listens inside the range", || {
                (!host.listening_ports().iter().any(|port| PASSIVE_RANGE.contains(port))).then_some(())
            });
        }
        Self::start(host, pins, &[&["run"], options].concat(), "attached: ")
    }

    /// Runs it on a server with [`USUAL`] options and has each line shown as it comes.
    #[track_caller]
    pub fn shown(host: &'a Host, pins: &'a PinDirectory, show: fn(&str)) -> Self {
        let mut command = command(host, pins);
        command.arg("run").args(USUAL);
        Self::started_and_shown(host, pins, command, "attached: ", show)
    }

    /// Runs `ftptrack watch` with these options, and returns when it watches.
    #[track_caller]
    pub fn watch(host: &'a Host, pins: &'a PinDirectory, options: &[&str]) -> Self {
        Self::start(host, pins, &[&["watch"], options].concat(), "watching")
    }

    /// Runs a command that goes on, and returns when it has said `ready`.
    #[track_caller]
    fn start(host: &'a Host, pins: &'a PinDirectory, arguments: &[&str], ready: &str) -> Self {
        let mut command = command(host, pins);
        command.args(arguments);
        Self::started(host, pins, command, ready)
    }

    /// Starts it by a command of the test's own, and returns when it has said `ready`.
    #[track_caller]
    pub fn started(host: &'a Host, pins: &'a PinDirectory, command: Command, ready: &str) -> Self {
        Self::started_and_shown(host, pins, command, ready, |_| ())
    }

    #[track_caller]
    fn started_and_shown(
        host: &'a Host,
        pins: &'a PinDirectory,
        mut command: Command,
        ready: &str,
        show: fn(&str),
    ) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process::start(&mut command);
        let lines = Arc::default();
        collect(child.stdout.take().expect("piped"), Arc::clone(&lines), show);
        collect(child.stderr.take().expect("piped"), Arc::clone(&lines), show);
        let mut ftptrack = Self { host, pins, child, lines };
        ftptrack.wait_for_line(ready);
        ftptrack
    }

    /// Waits for a line with `text` in it, printed now or before.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) -> String {
        let found = wait::within(wait::patience(), || {
            // Asked before looking, so that the last lines of one that ended are seen.
            let ended = self.child.try_wait().expect("it is our child");
            let found = self.lines().into_iter().find(|line| line.contains(text));
            match (found, ended) {
                (Some(line), _) => Some(Ok(line)),
                (None, Some(status)) => Some(Err(status)),
                (None, None) => None,
            }
        });
        match found {
            Some(Ok(line)) => line,
            Some(Err(status)) => panic!("no {text:?} before it ended ({status}): {:#?}", self.lines()),
            None => panic!("no {text:?} after {:?}: {:#?}", wait::patience(), self.lines()),
        }
    }

    /// All lines printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics there").clone()
    }

    /// Its process.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Stops it as an init system does. It must exit with 0 and leave nothing pinned.
    #[track_caller]
    pub fn stop(self) {
        self.stop_by(Signal::TERM);
    }

    /// The same, by the signal of a terminal, say.
    #[track_caller]
    pub fn stop_by(mut self, signal: Signal) {
        self.end_by(signal);
        assert_eq!(self.pins.entries(), [""; 0], "still pinned: {:#?}", self.lines());
    }

    /// Stops one that leaves its filter behind, `watch`. It must exit with 0.
    #[track_caller]
    pub fn leave(mut self) {
        self.end_by(Signal::TERM);
    }

    #[track_caller]
    fn end_by(&mut self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it is our child");
        self.ends_by_itself();
    }

    /// Waits for its end. It must exit with 0.
    #[track_caller]
    pub fn ends_by_itself(&mut self) {
        let status = wait::until("ftptrack stops", || self.child.try_wait().expect("it is our child"));
        assert!(status.success(), "{status}: {:#?}", self.lines());
    }

    /// Kills it, as the kernel does when memory runs out; returns when it is gone.
    #[track_caller]
    pub fn kill(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// `ftptrack status`.
    #[track_caller]
    pub fn status(&self) -> Status {
        query(self.host, self.pins, "status")
    }

    /// `ftptrack policy show`.
    #[track_caller]
    pub fn policy(&self) -> Policy {
        query(self.host, self.pins, "policy show")
    }

    /// `ftptrack policy apply FILE`.
    #[track_caller]
    pub fn apply(&self, file: &Path) -> Output {
        finish(self.host, self.pins, &["policy", "apply", file.to_str().expect("a path in UTF-8")])
    }

    /// `ftptrack stats`.
    #[track_caller]
    pub fn stats(&self) -> Stats {
        query(self.host, self.pins, "stats")
    }

    /// `ftptrack sessions`.
    #[track_caller]
    pub fn sessions(&self) -> Vec<Session> {
        query(self.host, self.pins, "sessions")
    }

    /// `ftptrack expectations`.
    #[track_caller]
    pub fn expectations(&self) -> Vec<Expectation> {
        query(self.host, self.pins, "expectations")
    }

    /// `ftptrack flows`.
    #[track_caller]
    pub fn flows(&self) -> Vec<Flow> {
        query(self.host, self.pins, "flows")
    }
}

// Starting the command costs more than a short dialogue does, where the processor is emulated.
impl Ftptrack<'_> {
    /// How many sessions and expectations there are, found out in this process.
    #[track_caller]
    pub fn alive(&self) -> (usize, usize) {
        let pins = Pins::new(&self.pins.path());
        let tables = PinnedMaps::new(&pins);
        let counted = || Ok((query::sessions(tables)?.len(), query::expectations(tables)?.len()));
        counted().unwrap_or_else(|failure: Failure| panic!("{failure}"))
    }

    /// What [`Self::stats`] says, found out in this process.
    #[track_caller]
    pub fn counters(&self) -> Stats {
        let stats = query::stats(PinnedMaps::new(&Pins::new(&self.pins.path())));
        let stats = stats.unwrap_or_else(|failure| panic!("{failure}"));
        serde_json::from_value(serde_json::to_value(stats).expect("numbers")).expect("as the command shows it")
    }
}

impl Drop for Ftptrack<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("ftptrack said: {:#?}", self.lines());
        }
    }
}

/// What a query command answers; it needs no `ftptrack run` besides.
#[track_caller]
pub fn query<T: DeserializeOwned>(host: &Host, pins: &PinDirectory, what: &str) -> T {
    let output = finish(host, pins, &[&what.split(' ').collect::<Vec<_>>()[..], &["--json"]].concat());
    assert!(output.status.success(), "ftptrack {what}: {}", output.stderr);
    parse(&output, what)
}

/// The same, whatever its exit code.
#[track_caller]
pub fn query_any<T: DeserializeOwned>(host: &Host, pins: &PinDirectory, what: &str) -> T {
    parse(&finish(host, pins, &[what, "--json"]), what)
}

#[track_caller]
fn parse<T: DeserializeOwned>(output: &Output, what: &str) -> T {
    match serde_json::from_str(&output.stdout) {
        Ok(answer) => answer,
        Err(error) => panic!("ftptrack {what}: {error} in {}", output.stdout),
    }
}

/// Runs `ftptrack` with these arguments to its end, which must be a good one; what it printed.
#[track_caller]
pub fn succeed(host: &Host, pins: &PinDirectory, arguments: &[&str]) -> String {
    let output = finish(host, pins, arguments);
    assert!(output.status.success(), "ftptrack {arguments:?}: {output:?}");
    output.stdout
}

/// Runs `ftptrack` with these arguments to its end.
#[track_caller]
pub fn finish(host: &Host, pins: &PinDirectory, arguments: &[&str]) -> Output {
    process::finish(command(host, pins).args(arguments))
}

/// `ftptrack` on `host`, with what it pins below `pins`.
#[track_caller]
pub fn command(host: &Host, pins: &PinDirectory) -> Command {
    let mut command = host.namespace.command(binary().to_str().expect("a path in UTF-8"));
    command.arg("--pin-dir").arg(pins.path());
    command
}

/// Where the command under test is: as FTPTRACK_BIN says, else where cargo puts it.
#[track_caller]
pub fn binary() -> PathBuf {
    let path = env::var_os("FTPTRACK_BIN").map(PathBuf::from).unwrap_or_else(|| {
        // Tests lie in `deps`, below it.
        let test = env::current_exe().expect("proc is mounted");
        test.ancestors().nth(2).expect("it lies in deps").join("ftptrack")
    });
    assert!(path.is_file(), "{}: not built: run `cargo xtask test`", path.display());
    path
}

fn collect(pipe: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>, show: fn(&str)) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            show(&line);
            lines.lock().expect("nobody panics here").push(line);
        }
    });
}
