//! `cargo xtask ftps`: encrypted sessions with real servers, and what is learned of them, into docs/ftps.md.

use std::process::Command;

use anyhow::Result;

use crate::{build, command, page, servers, setup};

pub(crate) fn run() -> Result<()> {
    command::require_root("the hosts are network namespaces", "ftps")?;
    setup::without_guests()?;
    servers::set_up()?;
    let ftptrack = build::ftptrack()?;
    let table = build::program(build::of_all("build").args(["--bin", "ftps-table"]), "ftps-table")?;
    let table = command::output(Command::new(table).env("FTPTRACK_BIN", ftptrack))?;
    let file = command::workspace().join("docs/ftps.md");
    page::put(&file, "cargo xtask ftps", &format!("\n{table}"))?;
    println!("ftps: {}: written", file.display());
    Ok(())
}
