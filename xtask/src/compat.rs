//! `cargo xtask compat`: plays the compatibility matrix, every server with every client, and writes
//! docs/compatibility.md.

use std::process::Command;

use anyhow::Result;

use crate::{build, command, servers, setup};

/// `words`: play only the cells whose names have all of them, and write nothing.
pub(crate) fn run(words: &[String]) -> Result<()> {
    command::require_root("the cells are played in network namespaces", "compat")?;
    setup::without_guests()?;
    servers::set_up()?;
    let ftptrack = build::ftptrack()?;
    let table = build::program(build::of_all("build").args(["--bin", "compat-table"]), "compat-table")?;
    command::run(Command::new(table).args(words).env("FTPTRACK_BIN", ftptrack))
}
