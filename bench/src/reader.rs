//! Who reads ftptrack's events: `ftptrack run`, or `ftptrack watch` with all that it can feed.

use std::fs::{self, File};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::thread;

use ftptrack_tests::hosts::network::Host;
use ftptrack_tests::subject::ftptrack::{self, PinDirectory};
use ftptrack_tests::support::{process, wait};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::NamedTempFile;

use crate::testbed::anywhere;

/// Where `watch` serves its metrics.
const METRICS: &str = "127.0.0.1:9821";
/// Where systemd's journal listens.
const JOURNAL: &str = "/run/systemd/journal";

/// A running command. Its lines go to a file: whoever reads them is no part of what is measured.
#[derive(Debug)]
pub(crate) struct Reader {
    child: Child,
}

impl Reader {
    /// `ftptrack run`.
    #[track_caller]
    pub(crate) fn run(host: &Host, pins: &PinDirectory) -> Self {
        let mut command = ftptrack::command(host, pins);
        command.args(["run", "--force"]).args(ftptrack::USUAL);
        Self::started(command, "attached: ")
    }

    /// `ftptrack watch`, on top of one that is attached.
    #[track_caller]
    pub(crate) fn watch(host: &Host, pins: &PinDirectory) -> Self {
        journal();
        let mut command = ftptrack::command(host, pins);
        command.args(["watch", "--journal", "--metrics", METRICS]);
        Self::started(command, "watching")
    }

    /// Starts it on any CPU, and returns when it has said `ready`.
    #[track_caller]
    fn started(mut command: Command, ready: &str) -> Self {
        let file = NamedTempFile::new().expect("there is room");
        let output = || Stdio::from(File::options().append(true).open(file.path()).expect("our own"));
        command.stdin(Stdio::null()).stdout(output()).stderr(output());
        let mut reader = Self { child: anywhere(|| process::start(&mut command)) };
        wait::until("it is ready", || {
            let said = fs::read_to_string(file.path()).expect("our own");
            let ended = reader.child.try_wait().expect("it is our child");
            assert!(ended.is_none(), "it ended by itself: {said}");
            said.contains(ready).then_some(())
        });
        reader
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It takes away what it has put in place.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A journal for programs that this thread starts, which forgets what it is told. The thread has mounts of its own since
/// its pin directory was made. Once there, it stays as long as the process.
#[track_caller]
fn journal() {
    /// An entry is shorter.
    const LONGEST: usize = 1 << 16;
    if fs::exists(format!("{JOURNAL}/of-the-benchmark")).expect("root may look") {
        return;
    }
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).expect("root may");
    fs::create_dir_all(JOURNAL).expect("our own");
    let socket = UnixDatagram::bind(format!("{JOURNAL}/socket")).expect("our own");
    fs::write(format!("{JOURNAL}/of-the-benchmark"), "").expect("our own");
    thread::spawn(move || {
        let mut entry = vec![0; LONGEST];
        while socket.recv(&mut entry).is_ok() {}
    });
}
