//! `cargo xtask security`: plays all dialogues, evasion cases and scenarios against ftptrack and against the
//! kernel's own FTP helper, and writes the tables in `docs/security.md`.

use std::process::Command;

use anyhow::Result;

use crate::{build, command, setup};

pub(crate) fn run() -> Result<()> {
    command::require_root("the dialogues are played in network namespaces", "security")?;
    setup::without_guests()?;
    let ftptrack = build::ftptrack()?;
    let table = build::program(build::of_all("build").args(["--bin", "security-table"]), "security-table")?;
    command::run(Command::new(table).env("FTPTRACK_BIN", ftptrack))
}
