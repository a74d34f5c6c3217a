//! The running `ftptrack`, what it says, and what it answers from beside.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    child::{Interrupt, Process},
    say,
    scene::{INTERFACE, Scene},
};
use crate::command;

/// How long attaching may take.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How long a download may take to begin.
const FLOW_LIMIT: Duration = Duration::from_secs(5);

/// For how long no line must come to say that there are no more for now.
const QUIET: Duration = Duration::from_millis(100);

/// `ftptrack run` on the server's interface. Its lines are shown as they come.
pub(super) struct Tracker {
    process: Process,
    lines: Receiver<String>,
}

impl Tracker {
    /// Starts it with a passive range, and waits until its filter is in place.
    pub(super) fn start(ftptrack: &Ftptrack<'_>, range: &str, interrupt: &Interrupt) -> Result<Self> {
        let mut run = ftptrack.command(&["run", "-i", INTERFACE, "--passive-range", range]);
        let mut process = Process::spawn(run.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
        let (sender, lines) = channel();
        if let Some(stdout) = process.child().stdout.take() {
            show_lines(stdout, sender.clone());
        }
        if let Some(stderr) = process.child().stderr.take() {
            show_lines(stderr, sender);
        }
        let tracker = Self { process, lines };
        tracker.await_attached(interrupt)?;
        Ok(tracker)
    }

    fn await_attached(&self, interrupt: &Interrupt) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match self.lines.recv_timeout(QUIET) {
                Ok(line) if line.starts_with("attached: ") => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("ftptrack ended before it was attached; its last line says why")
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            }
            interrupt.check()?;
            if Instant::now() > deadline {
                bail!("ftptrack is not attached after {} s", START_LIMIT.as_secs());
            }
        }
    }

    /// Waits until it has told what it has to tell.
    pub(super) fn settle(&self) {
        while self.lines.recv_timeout(QUIET).is_ok() {}
    }

    /// Ends it as `kill` or a service manager does, and returns how it ended.
    pub(super) fn stop(mut self) -> Result<ExitStatus> {
        let status = self.process.stop()?;
        self.settle();
        Ok(status)
    }
}

/// The binary, with all that is needed to run it on the server.
pub(super) struct Ftptrack<'a> {
    pub(super) binary: &'a Path,
    pub(super) scene: &'a Scene,
}

impl Ftptrack<'_> {
    /// What one of its queries prints for people.
    pub(super) fn table(&self, query: &str) -> Result<String> {
        command::output(&mut self.command(&[query]))
    }

    /// Waits until it knows of a data connection under way and returns the server's port.
    pub(super) fn await_flow(&self, interrupt: &Interrupt) -> Result<u16> {
        let deadline = Instant::now() + FLOW_LIMIT;
        loop {
            let flows = self.json("flows")?;
            if let Some(server) = flows[0]["server"].as_str() {
                return Ok(server.parse::<SocketAddr>()?.port());
            }
            interrupt.check()?;
            if Instant::now() > deadline {
                bail!("a download is under way, but 'ftptrack flows' does not show it");
            }
        }
    }

    /// All its counters.
    pub(super) fn stats(&self) -> Result<Stats> {
        Ok(Stats(self.json("stats")?))
    }

    /// What one of its queries prints for programs.
    fn json(&self, query: &str) -> Result<Value> {
        let text = command::output(&mut self.command(&[query, "--json"]))?;
        serde_json::from_str(&text).with_context(|| format!("'ftptrack {query} --json': {text}"))
    }

    /// The directory that it makes for its pins and removes when it stops.
    pub(super) fn pins(&self) -> PathBuf {
        self.scene.pins.path().join("ftptrack")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scene.server.command(self.binary);
        command.arg("--pin-dir").arg(self.pins());
        command.args(arguments);
        command
    }
}

/// What `ftptrack stats --json` told.
pub(super) struct Stats(Value);

impl Stats {
    /// The value of the counter `name`.
    pub(super) fn of(&self, name: &str) -> Result<u64> {
        self.0[name].as_u64().with_context(|| format!("'ftptrack stats --json' has no {name}"))
    }
}

/// Shows and passes on every line of `output`, until its end.
fn show_lines(output: impl Read + Send + 'static, lines: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            say(format_args!("     ftptrack | {line}"));
            // Nobody may be waiting any more; the line is shown all the same.
            let _ = lines.send(line);
        }
    });
}
