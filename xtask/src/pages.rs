//! `cargo xtask pages`: what `ftptrack top` and `ftptrack doctor` show, run in network namespaces and in tmux, into
//! docs/top.md and docs/doctor.md.

use std::process::Command;

use anyhow::Result;

use crate::{build, command, page, setup};

pub(crate) fn run() -> Result<()> {
    command::require_root("the hosts are network namespaces", "pages")?;
    setup::without_guests()?;
    let ftptrack = build::ftptrack()?;
    let pages = build::program(build::of_all("build").args(["--bin", "pages"]), "pages")?;
    for name in ["top", "doctor"] {
        let part = command::output(Command::new(&pages).arg(name).env("FTPTRACK_BIN", &ftptrack))?;
        let file = command::workspace().join(format!("docs/{name}.md"));
        page::put(&file, "cargo xtask pages", &format!("\n{part}"))?;
        println!("pages: {}: written", file.display());
    }
    Ok(())
}
