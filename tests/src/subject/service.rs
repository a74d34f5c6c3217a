//! The systemd unit, and a service manager's ears; [`crate::hosts::systemd`] is systemd itself.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

use crate::hosts::network::Host;
use crate::subject::ftptrack::{self, PinDirectory};
use crate::support::{file, tools, wait};

/// The unit's text.
#[track_caller]
#[must_use]
pub fn unit() -> String {
    std::fs::read_to_string(tools::of_repository("deploy/ftptrack.service")).expect("it is in the repository")
}

/// All values of one of the unit's settings, in order.
#[track_caller]
#[must_use]
pub fn settings(name: &str) -> Vec<String> {
    let unit = unit();
    let values = unit.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let values: Vec<_> = values.map(str::to_owned).collect();
    assert!(!values.is_empty(), "the unit has no {name}");
    values
}

/// `ftptrack` on a host, with no more capabilities than the unit gives it. What runs it may be another program, which
/// is given its command line.
#[track_caller]
#[must_use]
pub fn command(host: &Host, pins: &PinDirectory, runner: &[&str]) -> Command {
    let capabilities = settings("CapabilityBoundingSet").concat().to_lowercase().replace("cap_", "+");
    let bound = ["-all"].into_iter().chain(capabilities.split(' ')).collect::<Vec<_>>().join(",");
    let all = [&["setpriv", "--no-new-privs", "--bounding-set", &bound], runner].concat();
    let mut command = host.namespace.command(all[0]);
    command.args(&all[1..]).arg(ftptrack::binary()).arg("--pin-dir").arg(pins.path());
    command
}

/// The socket that a service tells its state to.
#[derive(Debug)]
pub struct Manager {
    directory: TempDir,
    socket: UnixDatagram,
}

impl Manager {
    /// Begins to listen.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "making one is an effect")]
    pub fn new() -> Self {
        let directory = file::directory();
        let socket = UnixDatagram::bind(directory.path().join("notify")).expect("a path of our own");
        socket.set_read_timeout(Some(wait::patience())).expect("a socket");
        Self { directory, socket }
    }

    /// Where it listens: NOTIFY_SOCKET.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("notify")
    }

    /// The next message's lines.
    #[track_caller]
    pub fn hears(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let length = self.socket.recv(&mut bytes).expect("it tells something");
        String::from_utf8_lossy(&bytes[..length]).lines().map(str::to_owned).collect()
    }

    /// Reads messages until one has this line.
    #[track_caller]
    pub fn waits_for(&self, line: &str) {
        while !self.hears().iter().any(|heard| heard == line) {}
    }
}

/// The names of the system calls in files that strace has written, those of the program it ran only.
#[track_caller]
#[must_use]
pub fn system_calls(directory: &Path) -> Vec<String> {
    let files = std::fs::read_dir(directory).expect("strace has made it").flatten();
    let texts = files.map(|file| std::fs::read_to_string(file.path()).expect("text"));
    let mut names: Vec<String> = texts
        .flat_map(|text| text.lines().filter_map(|line| Some(line.split_once('(')?.0.to_owned())).collect::<Vec<_>>())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
        .collect();
    names.sort();
    names.dedup();
    names
}
