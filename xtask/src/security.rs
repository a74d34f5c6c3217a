//! `cargo xtask security`: plays all dialogues, games and trials against ftptrack and against the kernel's own FTP
//! helper, and writes the tables in `docs/security.md`.

use anyhow::Result;

use crate::{build, command, setup};

pub(crate) fn run() -> Result<()> {
    command::require_root("the dialogues are played in network namespaces", "security")?;
    setup::run()?;
    let ftptrack = build::ftptrack(false)?;
    let mut table = command::cargo();
    table.args(["run", "--quiet", "--package", "ftptrack-tests", "--bin", "security-table"]);
    command::run(table.env("FTPTRACK_BIN", ftptrack))
}
