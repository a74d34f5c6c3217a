//! Debian packages unpacked somewhere, not installed: some conflict with others, some would start a service.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};

use crate::{command, setup};

/// Programs of which the tests need a file or two, with the package that each is in.
const TOOLS: [(&str, &str); 2] = [("busybox", "busybox-static"), ("promtool", "prometheus")];

/// Unpacks [`TOOLS`] below `target/tools`, those that are missing.
pub(crate) fn tools() -> Result<()> {
    for (tool, package) in TOOLS {
        let directory = command::workspace().join("target/tools").join(tool);
        // Written when all else is done.
        let stamp = directory.join("unpacked");
        if !stamp.exists() {
            if directory.exists() {
                fs::remove_dir_all(&directory)?;
            }
            fs::create_dir_all(&directory)?;
            packages(&[package.to_owned()], &directory)?;
            fs::write(stamp, package)?;
        }
        setup::say(tool, "unpacked");
    }
    Ok(())
}

/// Fetches packages and unpacks them into a directory that is there.
pub(crate) fn packages(packages: &[String], directory: &Path) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    ensure!(command::find("apt-get").is_some(), "there is no apt-get to fetch {}", packages.join(" "));
    let fetched = tempfile::tempdir()?;
    let download = || {
        let mut apt = Command::new("apt-get");
        // Its own user could not write there.
        apt.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]).args(packages);
        command::output(apt.current_dir(fetched.path()))
    };
    if download().is_err() {
        // What the package lists name may be gone from where they point to.
        command::output(Command::new("apt-get").args(["-qq", "update"]))?;
        download()?;
    }
    for package in fs::read_dir(fetched.path())? {
        command::output(Command::new("dpkg").arg("-x").arg(package?.path()).arg(directory))?;
    }
    Ok(())
}
