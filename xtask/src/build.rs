//! `cargo xtask build`: the ftptrack command, one file to copy to a server.

use std::{path::PathBuf, process::Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::command;

pub(crate) fn run(release: bool) -> Result<()> {
    println!("{}", ftptrack(release)?.display());
    Ok(())
}

/// Builds ftptrack and returns its path, wherever cargo is told to put it.
pub(crate) fn ftptrack(release: bool) -> Result<PathBuf> {
    let mut cargo = command::cargo();
    cargo.args(["build", "--package", "ftp-user", "--bin", "ftptrack"]);
    cargo.arg("--message-format=json-render-diagnostics");
    if release {
        cargo.arg("--release");
    }
    // Only the messages for programs are ours: progress and errors are for whoever waits.
    let output = cargo.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("ftptrack does not build; see above");
    }
    output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "ftptrack")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo did not say where it put ftptrack")
}
