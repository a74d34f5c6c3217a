//! A server of the matrix.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use tempfile::TempDir;

use super::data::{self, Server};
use super::shell;
use crate::PASSIVE_RANGE;
use crate::actors::server::CONTROL;
use crate::hosts::network::Host;
use crate::support::file;
use crate::support::process;
use crate::support::wait;

/// A running server, with files to transfer. Everything of it ends when this value is dropped.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    directory: TempDir,
}

/// The length of `file`, what most cells transfer.
const FILE: u64 = 1 << 20;
/// The length of `big`: more than socket buffers hold, so that a client that stops reading stops the server.
const BIG: u64 = 24 << 20;
/// How many files there are in `many`.
const MANY: usize = 50;
/// The length of a small file.
const SMALL: u64 = 3000;

/// Orphans become children of a PID namespace's first process. vsftpd ends when a child does that it
/// doesn't know: let it be the second.
const FIRST_PROCESS: &str = r#"sh -eu -c "$0" & wait $!"#;

impl Daemon {
    /// Starts the server `name` and returns when it listens.
    #[track_caller]
    pub fn start(host: &Host, name: &str, servers: &BTreeMap<String, Server>) -> Self {
        let (short, variant) = data::split(name);
        let server = &servers[short];
        let directory = file::directory();
        open(directory.path(), 0o755);
        let complaints = directory.path().join("complaints");
        let output = || fs::File::create(&complaints).expect("a file");
        let root = directory.path().join("files");
        fill(&root);

        let mut command = shell::alone(host, &["sh", "-c", FIRST_PROCESS, &server.start]);
        command.env("ROOT", &root).env("DIR", directory.path()).current_dir(directory.path());
        command.env("FIRST", PASSIVE_RANGE.start().to_string()).env("LAST", PASSIVE_RANGE.end().to_string());
        environment(&mut command, short, server);
        if let Some(variant) = variant {
            command.envs(&server.variants[variant]);
        }
        // vsftpd complains on its standard input.
        command.stdin(output()).stdout(output()).stderr(output());
        let mut daemon = Self { child: process::start(&mut command), directory };
        wait::until("the server listens", || {
            if let Some(status) = daemon.child.try_wait().expect("it is our child") {
                let complaints = fs::read_to_string(&complaints).expect("a file");
                panic!("{name} ended by itself: {status}: {complaints}");
            }
            host.listening_ports().contains(&CONTROL).then_some(())
        });
        daemon
    }

    /// What clients see as `/`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Makes a directory for one cell alone, `in/NAME`, with `base` to append to and `big` to rename.
    #[track_caller]
    pub fn make_room(&self, name: &str, base: &Path) {
        let room = self.root().join("in").join(name);
        fs::create_dir(&room).expect("there is room");
        open(&room, 0o777);
        fs::copy(base, room.join("base")).expect("there is room");
        open(&room.join("base"), 0o666);
        fs::hard_link(self.root().join("big"), room.join("big")).expect("the same file system");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The version that the server says it has.
#[must_use]
pub fn version(name: &str, server: &Server) -> String {
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", &server.version]);
    environment(&mut command, name, server);
    process::finish(&mut command).stdout.trim().to_owned()
}

/// What its shell lines know it by.
fn environment(command: &mut Command, name: &str, server: &Server) {
    command.env("USER", &server.user).env("PASSWORD", &server.password);
    command.env("UNPACKED", data::unpacked().join(name));
}

/// The files that all cells read.
fn fill(root: &Path) {
    for directory in ["", "in", "many", "tree", "tree/left", "tree/right", "tree/right/deep"] {
        fs::create_dir(root.join(directory)).expect("a new directory");
        open(&root.join(directory), 0o755);
    }
    open(&root.join("in"), 0o777);
    let new = |name: &str, length| {
        file::write_random(&root.join(name), length);
        open(&root.join(name), 0o644);
    };
    new("file", FILE);
    new("big", BIG);
    for number in 1..=MANY {
        new(&format!("many/{number:02}"), SMALL);
    }
    for name in ["top", "left/1", "left/2", "right/1", "right/2", "right/deep/1", "right/deep/2"] {
        new(&format!("tree/{name}"), FILE / 16);
    }
}

/// Gives a file its mode, whatever the umask.
#[track_caller]
fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("our own");
}
