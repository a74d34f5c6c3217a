//! `cargo xtask package`: a Debian package of ftptrack, by cargo-deb.
//!
//! What goes into it stands in `ftp-user/Cargo.toml`; what has to be made first is put below `target/package`. The
//! package asks for no other: the program brings its libraries along.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

use crate::{build, command, setup};

/// Shells, and where each looks for completions.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "ftptrack"), ("zsh", "_ftptrack"), ("fish", "ftptrack.fish")];

pub(crate) fn run(binary: Option<PathBuf>) -> Result<()> {
    let binary = binary.map_or_else(|| build::command(true, None), Ok)?;
    println!("{}", make(&binary)?.display());
    Ok(())
}

/// Makes the package of a program that is built. Returns its path.
pub(crate) fn make(binary: &Path) -> Result<PathBuf> {
    setup::cargo_deb()?;
    // Before anything is removed: it may be the one that was packaged last.
    let program = fs::read(binary).with_context(|| format!("{}: cannot be read", binary.display()))?;
    // Named so in the package's description, wherever cargo builds.
    let place = command::workspace().join("target/package");
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place)?;
    let binary = place.join("ftptrack");
    fs::write(&binary, program)?;
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
    command::output(Command::new(&binary).arg("man").arg(place.join("man")))?;
    for (shell, file) in COMPLETIONS {
        let directory = place.join("completions").join(shell);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(file), command::output(Command::new(&binary).args(["completions", shell]))?)?;
    }
    let mut deb = command::cargo();
    deb.args(["deb", "--quiet", "--package", "ftp-user", "--no-build", "--no-strip", "--output"]).arg(&place);
    command::output(&mut deb).context("the package cannot be made")?;
    let mut found = Vec::new();
    for entry in fs::read_dir(&place)? {
        found.push(entry?.path());
    }
    found.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    ensure!(found.len() == 1, "cargo-deb left {} packages in {}", found.len(), place.display());
    Ok(found.remove(0))
}
