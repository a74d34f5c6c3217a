//! `cargo xtask security`: plays all dialogues against ftptrack and against the kernel's own FTP helper, and writes
//! the tables in `docs/security.md`.

use anyhow::{Result, bail};

use crate::{build, command, setup};

pub(crate) fn run() -> Result<()> {
    if !command::is_root() {
        bail!(
            "the dialogues are played in network namespaces: run 'sudo --preserve-env=HOME,PATH cargo xtask security'"
        );
    }
    setup::run()?;
    let ftptrack = build::ftptrack(false)?;
    let mut table = command::cargo();
    table.args(["run", "--quiet", "--package", "ftptrack-tests", "--bin", "security-table"]);
    command::run(table.env("FTPTRACK_BIN", ftptrack))
}
