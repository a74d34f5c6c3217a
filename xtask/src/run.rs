//! `cargo xtask run -- ARGS`: ftptrack from this workspace, with the rights it needs.

use std::{ffi::OsString, os::unix::process::CommandExt as _, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{build, command};

/// Becomes `ftptrack ARGS`: signals then reach it, and its exit code is ours.
pub(crate) fn run(arguments: &[OsString]) -> Result<()> {
    let ftptrack = build::ftptrack()?;
    let mut run = if command::is_root() {
        Command::new(&ftptrack)
    } else if let Some(sudo) = command::find("sudo") {
        let mut run = Command::new(sudo);
        run.arg("--preserve-env=FTPTRACK_PIN_DIR,RUST_LOG").arg("--").arg(&ftptrack);
        run
    } else {
        bail!("ftptrack needs root and there is no sudo; as root, run {}", ftptrack.display());
    };
    let error = run.args(arguments).exec();
    Err(error).with_context(|| command::shown(&run))
}
