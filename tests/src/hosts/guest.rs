//! A whole machine for the tests alone: what its init process does.

use rustix::mount::{MountFlags, mount};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::Command;

use crate::actors::told_server::PROGRAM;

/// What init says last, when everything was run. Whoever started the machine waits for it.
const END: &str = "guest: end";
/// Where everything is.
const DIRECTORY: &str = "/guest";
const MOUNTS: [(&str, &str); 6] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/run"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
];

/// Panics anywhere else, for tests that change files of the machine's own.
#[track_caller]
pub fn must_be_here() {
    assert!(Path::new(DIRECTORY).join("plan").exists(), "it is for guests: run `cargo xtask test --kernel 5.10`");
}

/// Does all of it, and says so on the console.
pub fn run() {
    match prepare().and_then(|()| run_plan()) {
        Ok(()) => println!("{END}"),
        Err(error) => println!("guest: failed: {error}"),
    }
}

fn prepare() -> io::Result<()> {
    for (kind, place) in MOUNTS {
        mount(kind, place, kind, MountFlags::empty(), None).map_err(|error| about(place, error.into()))?;
    }
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    println!("guest: Linux {}", release.trim());
    let directory = Path::new(DIRECTORY);
    for name in fs::read_to_string(directory.join("modules.order"))?.lines() {
        let image = fs::read(directory.join("modules").join(name))?;
        let parameters = CString::default();
        rustix::system::init_module(&image, &parameters).map_err(|error| about(name, error.into()))?;
    }
    Ok(())
}

fn run_plan() -> io::Result<()> {
    let directory = Path::new(DIRECTORY);
    for line in fs::read_to_string(directory.join("plan"))?.lines() {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        println!("guest: runs {line}");
        let mut program = Command::new(directory.join(name));
        program
            .args(words)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("FTPTRACK_BIN", directory.join("ftptrack"))
            .env(PROGRAM, directory.join("told-server"));
        let status = program.status().map_err(|error| about(name, error))?;
        if let Some(signal) = status.signal() {
            println!("guest: {name} was ended by signal {signal}");
        }
    }
    Ok(())
}

fn about(what: &str, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
