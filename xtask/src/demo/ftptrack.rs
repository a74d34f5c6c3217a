//! The running `ftptrack`, what it says, and what it answers from beside.

use std::{
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{
    PASSIVE_RANGE,
    child::{Interrupt, Process},
    say,
    scene::{INTERFACE, Scene},
};
use crate::command;

/// How long attaching may take.
const START_LIMIT: Duration = Duration::from_secs(10);

/// For how long no line must come to say that there are no more for now.
const QUIET: Duration = Duration::from_millis(100);

/// `ftptrack run` on the server's interface. Its lines are shown as they come.
pub(super) struct Tracker {
    process: Process,
    lines: Receiver<String>,
}

impl Tracker {
    /// Starts it, and waits until its filter is in place.
    pub(super) fn start(ftptrack: &Ftptrack<'_>, interrupt: &Interrupt) -> Result<Self> {
        let range = format!("{}-{}", PASSIVE_RANGE.start(), PASSIVE_RANGE.end());
        let mut run = ftptrack.command(&["run", "-i", INTERFACE, "--passive-range", &range]);
        let mut process = Process::spawn(
            run.stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped()),
        )?;
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

    /// The data connections that it knows of.
    pub(super) fn flows(&self) -> Result<Vec<Flow>> {
        let flows = self.json("flows")?;
        flows
            .as_array()
            .and_then(|flows| flows.iter().map(Flow::parse).collect())
            .with_context(|| format!("'ftptrack flows --json' is not what was expected: {flows}"))
    }

    /// The value of one of its counters.
    pub(super) fn counter(&self, name: &str) -> Result<u64> {
        let stats = self.json("stats")?;
        stats[name]
            .as_u64()
            .with_context(|| format!("'ftptrack stats --json' has no {name}"))
    }

    /// What one of its queries prints for programs.
    fn json(&self, query: &str) -> Result<Value> {
        let text = command::output(&mut self.command(&[query, "--json"]))?;
        serde_json::from_str(&text).with_context(|| format!("'ftptrack {query} --json': {text}"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.scene.server.command(self.binary);
        command.arg("--pin-dir").arg(self.scene.pins.path());
        command.args(arguments);
        command
    }
}

/// A data connection that ftptrack let through, as `ftptrack flows --json` tells it.
pub(super) struct Flow {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
    pub(super) passive: bool,
    /// Payload bytes that the client sent.
    pub(super) client_bytes: u64,
    /// Payload bytes that the server sent.
    pub(super) server_bytes: u64,
}

impl Flow {
    fn parse(flow: &Value) -> Option<Self> {
        Some(Self {
            client: flow["client"].as_str()?.parse().ok()?,
            server: flow["server"].as_str()?.parse().ok()?,
            passive: match flow["mode"].as_str()? {
                "passive" => true,
                "active" => false,
                _ => return None,
            },
            client_bytes: flow["bytes"]["client"].as_u64()?,
            server_bytes: flow["bytes"]["server"].as_u64()?,
        })
    }

    /// The port that was negotiated: the listening one.
    pub(super) fn learned_port(&self) -> u16 {
        if self.passive {
            self.server.port()
        } else {
            self.client.port()
        }
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
