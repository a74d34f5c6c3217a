//! What `ftptrack replay` shows of a capture.

use std::fs;
use std::process::Command;

use ftp_common::counter::Counter;
use serde_json::Value;

use crate::subject::ftptrack::binary;
use crate::support::file;
use crate::support::process::{self, Output};

/// What it has shown.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The document that `--json` prints.
    pub json: Value,
    /// Its exit code.
    pub code: Option<i32>,
    /// Its standard error.
    pub stderr: String,
}

/// The option for servers whose passive range is [`crate::PASSIVE_RANGE`].
pub const RANGE: [&str; 2] = ["--passive-range", "10240-20480"];

impl Replay {
    /// Replays a capture file's bytes with these options.
    #[track_caller]
    #[must_use]
    pub fn of(capture: &[u8], options: &[&str]) -> Self {
        let Output { status, stdout, stderr } = run(capture, &[options, &["--json"]].concat());
        let json = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
        Self { json, code: status.code(), stderr }
    }

    /// Replays one that is whole.
    #[track_caller]
    #[must_use]
    pub fn of_whole(capture: &[u8], options: &[&str]) -> Self {
        let replay = Self::of(capture, options);
        assert_eq!((replay.code, &replay.json["damage"]), (Some(0), &Value::Null), "{}", replay.stderr);
        replay
    }

    /// A counter.
    #[must_use]
    pub fn of_counter(&self, counter: Counter) -> u64 {
        self.json["counters"][counter.name()].as_u64().unwrap_or(u64::MAX)
    }

    /// The control connections.
    #[must_use]
    pub fn sessions(&self) -> &[Value] {
        array(&self.json["sessions"])
    }

    /// What belongs to no session.
    #[must_use]
    pub fn strays(&self) -> &[Value] {
        array(&self.json["strays"])
    }

    /// A number of the capture's shortcomings.
    #[must_use]
    pub fn lacks(&self, what: &str) -> u64 {
        self.json["gaps"][what].as_u64().unwrap_or(u64::MAX)
    }

    /// Panics if another replay has shown anything else, but for how the packets were stored.
    #[track_caller]
    pub fn assert_same(&self, other: &Self, name: &str) {
        let fields = self.json.as_object().expect("an object");
        let essential =
            fields.keys().filter(|field| !["file", "format", "links", "sessions"].contains(&field.as_str()));
        for field in essential {
            assert_eq!(self.json[field], other.json[field], "{name}");
        }
        assert_eq!(self.sessions().len(), other.sessions().len(), "{name}");
        for (session, of_other) in self.sessions().iter().zip(other.sessions()) {
            assert_eq!(said(session), said(of_other), "{name}");
            for (entry, of_other) in array(&session["entries"]).iter().zip(array(&of_other["entries"])) {
                assert_eq!(entry, of_other, "{name}");
            }
            assert_eq!(session, of_other, "{name}");
        }
    }
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A session's entries in short: `>USER`, `<331`, and the names of other events.
#[must_use]
pub fn said(session: &Value) -> Vec<String> {
    let short = |entry: &Value| match (&entry["verb"], &entry["code"]) {
        (Value::String(verb), _) => format!(">{verb}"),
        (_, Value::Number(code)) => format!("<{code}"),
        _ => entry["event"].as_str().unwrap_or("?").to_owned(),
    };
    array(&session["entries"]).iter().map(short).collect()
}

/// A session's entries of one kind.
#[must_use]
pub fn entries<'a>(session: &'a Value, event: &str) -> Vec<&'a Value> {
    array(&session["entries"]).iter().filter(|entry| entry["event"] == event).collect()
}

/// Runs `ftptrack replay` on a capture file's bytes.
#[track_caller]
#[must_use]
pub fn run(capture: &[u8], options: &[&str]) -> Output {
    let directory = file::directory();
    let path = directory.path().join("a.pcap");
    fs::write(&path, capture).expect("a file");
    // A configuration file of this machine's is none of the test's.
    process::finish(Command::new(binary()).arg("replay").arg(&path).args(options))
}
