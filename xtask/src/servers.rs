//! The FTP servers and clients of the compatibility matrix, as `tests/compat` names them.
//!
//! Debian's server packages conflict with each other, so they are unpacked side by side below `target/compat`, each
//! with the libraries that it needs. Clients are installed as usual.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{command, setup, toolchain, unpack};

/// What of `tests/compat/servers/NAME.toml` is ours.
#[derive(Deserialize)]
struct Server {
    #[serde(default)]
    packages: Vec<String>,
    #[serde(default)]
    python: Vec<String>,
}

/// What of `tests/compat/clients/NAME.toml` is ours.
#[derive(Deserialize)]
struct Client {
    package: String,
    /// Shell: prints the version, or nothing if it isn't there.
    version: String,
}

/// Installs and unpacks what is missing. Does nothing, quickly, when nothing is.
pub(crate) fn set_up() -> Result<()> {
    let clients = read::<Client>("clients")?;
    let servers = read::<Server>("servers")?;
    let mut missing: Vec<String> = Vec::new();
    for (_, client) in &clients {
        if toolchain::printed(Command::new("sh").args(["-c", &client.version])).is_none_or(|text| text.is_empty()) {
            missing.push(client.package.clone());
        }
    }
    let python = servers.iter().any(|(_, server)| !server.python.is_empty());
    if python && toolchain::printed(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_none() {
        missing.push("python3-venv".to_owned());
    }
    if !missing.is_empty() {
        setup::install_packages(&missing)?;
    }
    let names = |names: &mut dyn Iterator<Item = &String>| names.cloned().collect::<Vec<_>>().join(" ");
    setup::say("FTP clients", &names(&mut clients.iter().map(|(name, _)| name)));
    let base = command::workspace().join("target/compat");
    for (name, server) in &servers {
        let directory = base.join(name);
        server.unpack(&directory).with_context(|| format!("{name} cannot be unpacked"))?;
    }
    setup::say("FTP servers", &names(&mut servers.iter().map(|(name, _)| name)));
    Ok(())
}

impl Server {
    /// Unpacks it, unless it is there as it is named now.
    fn unpack(&self, directory: &Path) -> Result<()> {
        let wanted = [&self.packages[..], &self.python[..]].concat().join("\n");
        // Written when all else is done.
        let stamp = directory.join("unpacked");
        if wanted.is_empty() || fs::read_to_string(&stamp).ok().as_deref() == Some(&wanted) {
            return Ok(());
        }
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        fs::create_dir_all(directory)?;
        unpack::packages(&self.packages, directory)?;
        if !self.python.is_empty() {
            let environment = directory.join("python");
            command::output(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
            let mut pip = Command::new(environment.join("bin/pip"));
            command::output(pip.args(["install", "--quiet", "--disable-pip-version-check"]).args(&self.python))?;
        }
        fs::write(stamp, wanted)?;
        Ok(())
    }
}

/// All files of a folder of `tests/compat`, by name, in order.
fn read<T: DeserializeOwned>(folder: &str) -> Result<Vec<(String, T)>> {
    let folder = command::workspace().join("tests/compat").join(folder);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}: cannot be read", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path)?;
        let item = toml::from_str(&text).with_context(|| format!("{}: cannot be understood", path.display()))?;
        Ok((path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), item))
    };
    paths.into_iter().map(read).collect()
}
