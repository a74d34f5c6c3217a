//! systemd itself, in a [machine for the tests alone](crate::hosts::guest): it is the first process of a PID namespace, and
//! its network is a host's. Files and mounts are the machine's.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Map, Value};

use crate::hosts::network::Host;
use crate::subject::journal::Entry;
use crate::support::process::{self, Output};
use crate::support::wait;

const PROGRAM: &str = "/lib/systemd/systemd";
/// Where units are that packages don't bring.
pub const UNITS: &str = "/etc/systemd/system";
/// Where it listens to its own tools.
const SOCKET: &str = "/run/systemd/private";
/// What it boots into: the journal, and what was enabled.
const TARGET: &str = "[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\n";
/// 128 bits of its own choice are how it knows a machine. With them it is not the first boot, which enables all units.
const MACHINE: &str = "00000000000000000000000000000001\n";

/// It runs until it is dropped, and all of its services with it.
#[derive(Debug)]
pub struct Systemd(Child);

impl Systemd {
    /// Starts it in the network of `host`, with this unit enabled, and returns when all that it is to start has started.
    #[track_caller]
    pub fn boot(host: &Host, unit: &str) -> Self {
        fs::write("/etc/machine-id", MACHINE).expect("our own");
        fs::write(Path::new(UNITS).join("multi-user.target"), TARGET).expect("our own");
        let enabled = process::finish(Command::new("systemctl").args(["--root=/", "enable", unit]));
        assert!(enabled.status.success(), "{enabled:?}");
        let mut command = host.namespace.command("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
        // The console is the tests'.
        command.args([PROGRAM, "--unit=multi-user.target", "--log-target=journal-or-kmsg", "--show-status=no"]);
        command.env("container", "ftptrack-tests");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let systemd = Self(process::start(&mut command));
        wait::until("systemd listens", || Path::new(SOCKET).exists().then_some(()));
        let state = systemctl(&["is-system-running", "--wait"]);
        assert_eq!(state.stdout, "running\n", "{state:?}");
        systemd
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // All but the kernel's.
        let journal = ["--no-pager", "_TRANSPORT=journal", "_TRANSPORT=stdout"];
        if thread::panicking()
            && let Ok(output) = Command::new("journalctl").args(journal).output()
        {
            eprintln!("the journal: {}", String::from_utf8_lossy(&output.stdout));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs `systemctl` with these arguments to its end.
#[track_caller]
pub fn systemctl(arguments: &[&str]) -> Output {
    // systemd answers processes of its own namespace only.
    let first = members("init.scope")[0];
    let mut command = Command::new("nsenter");
    command.args([&format!("--target={first}"), "--mount", "--pid", "systemctl"]).args(arguments);
    process::finish(&mut command)
}

/// The same; its end must be a good one.
#[track_caller]
pub fn succeed(arguments: &[&str]) {
    let output = systemctl(arguments);
    assert!(output.status.success(), "systemctl {arguments:?}: {output:?}");
}

/// Values of these properties of a unit.
#[track_caller]
#[must_use]
pub fn properties<const N: usize>(unit: &str, names: [&str; N]) -> [String; N] {
    let listed = systemctl(&["show", &format!("--property={}", names.join(",")), unit]).stdout;
    names.map(|name| {
        let value = listed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("{unit} has no {name}: {listed}")).to_owned()
    })
}

/// The processes of a service, by the numbers that they have for us.
#[track_caller]
#[must_use]
pub fn processes(service: &str) -> Vec<u32> {
    members(&format!("system.slice/{service}"))
}

#[track_caller]
fn members(group: &str) -> Vec<u32> {
    // A group goes with its last process.
    let listed = fs::read_to_string(format!("/sys/fs/cgroup/{group}/cgroup.procs")).unwrap_or_default();
    listed.lines().map(|line| line.parse().expect("a number")).collect()
}

/// What comes into systemd's journal from a unit and about it.
#[derive(Debug)]
pub struct Follow {
    journalctl: Child,
    entries: mpsc::Receiver<Entry>,
}

impl Follow {
    /// All of the unit's entries, from the first.
    #[track_caller]
    pub fn unit(unit: &str) -> Self {
        let mut command = Command::new("journalctl");
        command.args(["--follow", "--lines=all", "--output=json", "--unit", unit]);
        let mut journalctl = process::start(command.stdin(Stdio::null()).stdout(Stdio::piped()));
        let lines = BufReader::new(journalctl.stdout.take().expect("piped")).lines();
        let (sender, entries) = mpsc::channel();
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(entry(&line))));
        Self { journalctl, entries }
    }

    /// Reads entries until one has this field with this value; it.
    #[track_caller]
    pub fn next_with(&self, field: &str, value: &str) -> Entry {
        let mut read = Vec::new();
        while let Ok(entry) = self.entries.recv_timeout(wait::patience()) {
            if entry.get(field).map(String::as_str) == Some(value) {
                return entry;
            }
            read.extend(entry.get("MESSAGE").cloned());
        }
        panic!("no entry with {field}={value} came, but {read:#?}");
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.journalctl.kill();
        let _ = self.journalctl.wait();
    }
}

#[track_caller]
fn entry(line: &str) -> Entry {
    let fields: Map<String, Value> = serde_json::from_str(line).expect("an object a line");
    fields.into_iter().filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}
