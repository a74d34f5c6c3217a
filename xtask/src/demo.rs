//! `cargo xtask demo`: ftptrack at work between two throwaway hosts. The demo is a program of the tests' package
//! (`tests/src/bin/demo`), made of what the tests are made of.

use std::{env, ffi::OsString, os::unix::process::CommandExt as _, path::PathBuf, process::Command, thread};

use anyhow::{Context as _, Result};

use crate::{build, command, setup};

pub(crate) fn run() -> Result<()> {
    command::require_root("the demo makes network namespaces", "demo")?;
    // While packages and bpf-linker come, two processors have time for something else.
    thread::scope(|scope| {
        scope.spawn(build::ahead);
        setup::without_guests()
    })?;
    let [ftptrack, demo] = build::demo()?;
    // In the place of this process: signals and the exit status are the demo's own.
    Err(Command::new(demo).env("FTPTRACK_BIN", ftptrack).env("PATH", path()?).exec()).context("the demo can't be run")
}

/// Where vsftpd is on Debian is not on everybody's PATH.
fn path() -> Result<OsString> {
    let path = env::var_os("PATH").unwrap_or_default();
    Ok(env::join_paths(env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from)))?)
}
