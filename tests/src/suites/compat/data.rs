//! The matrix as it stands in `tests/compat`: one file a server, a client, and a list of each other thing.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::select::Select;
use super::topology::{Role, Way};

/// All of it.
#[derive(Debug)]
pub struct Data {
    /// `servers/NAME.toml`.
    pub servers: BTreeMap<String, Server>,
    /// `clients/NAME.toml`.
    pub clients: BTreeMap<String, Client>,
    /// `actions.toml`.
    pub actions: BTreeMap<String, Action>,
    /// `places.toml`, in its order.
    pub places: Vec<Place>,
    /// `policies.toml`.
    pub policies: BTreeMap<String, Policy>,
    /// `matrix.toml` or `sample.toml`.
    pub blocks: Vec<Block>,
    /// `explanations.toml`.
    pub explanations: Explanations,
}

/// An FTP server.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What it is, for the page.
    pub title: String,
    /// Debian packages that are unpacked beside each other, because as packages they conflict.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Packages for a Python environment of its own.
    #[serde(default)]
    pub python: Vec<String>,
    /// Whom clients log in as.
    pub user: String,
    /// By what password.
    pub password: String,
    /// Shell: prints the version.
    pub version: String,
    /// Shell: becomes the server.
    pub start: String,
    /// Other ways to run it: variables for `start`.
    #[serde(default)]
    pub variants: BTreeMap<String, BTreeMap<String, String>>,
}

/// An FTP client.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// What it is, for the page.
    pub title: String,
    /// The Debian package that it comes from.
    pub package: String,
    /// Shell: prints the version, or nothing where the client isn't there.
    pub version: String,
    /// Shell that stands before every action.
    #[serde(default)]
    pub prelude: String,
    /// Shell that makes it negotiate so; names end in `-v4` or `-v6`.
    pub modes: BTreeMap<String, String>,
    /// Shell, for each action that it can do.
    pub actions: BTreeMap<String, String>,
}

/// Something that clients do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What it is, for the page.
    pub title: String,
    /// Shell, run where client and server files can be seen: fails unless all has arrived.
    pub check: String,
    /// How many seconds it may take.
    #[serde(default = "ten")]
    pub limit: u64,
    /// The action of the clients' files that it is, if its own name isn't theirs.
    pub script: Option<String>,
    /// Variables for the client's shell lines.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// How many do it at the same time, on different hosts: 1 or 2.
    #[serde(default = "one")]
    pub clients: usize,
    /// It mostly waits: runs at the same time as others of its kind, before the same server.
    #[serde(default)]
    pub waits: bool,
}

const fn ten() -> u64 {
    10
}

const fn one() -> usize {
    1
}

impl Action {
    /// How long it may take.
    pub const fn limit(&self) -> Duration {
        Duration::from_secs(self.limit)
    }

    /// What clients' files call it; `own` is its own name.
    #[must_use]
    pub fn script<'a>(&'a self, own: &'a str) -> &'a str {
        self.script.as_deref().unwrap_or(own)
    }
}

/// Where a filter stands.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its name in the matrix.
    pub name: String,
    /// What it is, for the page.
    pub title: String,
    /// What the gateway does.
    pub way: Way,
    /// ftptrack, once for each.
    pub ftptrack: Vec<Attach>,
    /// The hosts that nf_conntrack_ftp and its firewall are on.
    pub conntrack: Vec<Role>,
}

/// One `ftptrack run`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attach {
    /// On which host.
    pub on: Role,
    /// Its options, but for the policy's.
    #[serde(default)]
    pub options: String,
    /// Its configuration file.
    #[serde(default)]
    pub config: String,
}

/// What more ftptrack is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What it is, for the page.
    pub title: String,
    /// Its options.
    pub options: String,
}

/// Some cells: all combinations of what is named. `*` is all there are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Above its table on the page.
    pub title: String,
    /// [`Place`]s.
    pub places: Vec<String>,
    /// A [`Policy`].
    #[serde(default = "usual")]
    pub policy: String,
    /// [`Server`]s, `NAME` or `NAME/VARIANT`.
    pub servers: Vec<String>,
    /// The same, for the second server.
    #[serde(default)]
    pub second: Vec<String>,
    /// [`Client`]s.
    pub clients: Vec<String>,
    /// Modes of the clients; those that a client lacks are left out.
    pub modes: Vec<String>,
    /// [`Action`]s; those that a client lacks are left out.
    pub actions: Vec<String>,
}

fn usual() -> String {
    "usual".to_owned()
}

/// Why cells are as they are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanations {
    /// Cells that differ between ftptrack and no filter.
    #[serde(default)]
    pub differs: Vec<Explanation>,
    /// Cells that don't work without a filter either.
    #[serde(default)]
    pub never: Vec<Explanation>,
    /// Cells that work or don't by chance, filter or not: only what ftptrack counts is judged.
    #[serde(default)]
    pub chance: Vec<Explanation>,
}

/// One reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// Which cells.
    pub cells: Select,
    /// The reason.
    pub why: String,
    /// Counters of ftptrack that must have been raised.
    #[serde(default)]
    pub counters: Vec<String>,
}

/// Where it is.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat")
}

/// Where `cargo xtask setup` unpacks servers.
#[must_use]
pub fn unpacked() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/compat")
}

impl Data {
    /// Reads it, with the blocks of `matrix`: `matrix.toml` or `sample.toml`.
    ///
    /// # Errors
    ///
    /// A file can't be read or understood, or names what isn't there.
    pub fn load(matrix: &str) -> Result<Self, String> {
        let data = Self {
            servers: folder("servers")?,
            clients: folder("clients")?,
            actions: file("actions.toml")?,
            places: file::<Places>("places.toml")?.place,
            policies: file("policies.toml")?,
            blocks: file::<Blocks>(matrix)?.block,
            explanations: file("explanations.toml")?,
        };
        data.check(matrix)?;
        Ok(data)
    }

    /// The place of this name.
    #[track_caller]
    #[must_use]
    pub fn place(&self, name: &str) -> &Place {
        self.places.iter().find(|place| place.name == name).expect("checked when it was read")
    }

    /// Every name must be of something.
    fn check(&self, matrix: &str) -> Result<(), String> {
        if let Some((name, _)) = self.actions.iter().find(|(_, action)| !(1..=2).contains(&action.clients)) {
            return Err(format!("actions.toml: {name}: clients must be 1 or 2"));
        }
        let modes: BTreeSet<_> = self.clients.values().flat_map(|client| client.modes.keys()).collect();
        if let Some(mode) = modes.iter().find(|mode| !mode.ends_with("-v4") && !mode.ends_with("-v6")) {
            return Err(format!("clients: mode {mode}: its name must end in -v4 or -v6"));
        }
        for (name, client) in &self.clients {
            let known = |script: &String| self.actions.iter().any(|(own, action)| action.script(own) == script);
            if let Some(unknown) = client.actions.keys().find(|script| !known(script)) {
                return Err(format!("clients/{name}.toml: actions.toml has no {unknown}"));
            }
        }
        for block in &self.blocks {
            let wrong = |kind: &str, name: &str| format!("{matrix}: {:?}: there is no {kind} {name}", block.title);
            let all = |kind, names: &[String], known: &dyn Fn(&str) -> bool| match names
                .iter()
                .find(|name| *name != "*" && !known(name))
            {
                Some(name) => Err(wrong(kind, name)),
                None => Ok(()),
            };
            all("place", &block.places, &|name| self.places.iter().any(|place| place.name == name))?;
            all("server", &block.servers, &|name| self.has_server(name))?;
            all("server", &block.second, &|name| self.has_server(name))?;
            all("client", &block.clients, &|name| self.clients.contains_key(name))?;
            all("mode", &block.modes, &|name| modes.iter().any(|mode| *mode == name))?;
            all("action", &block.actions, &|name| self.actions.contains_key(name))?;
            if !self.policies.contains_key(&block.policy) {
                return Err(wrong("policy", &block.policy));
            }
        }
        Ok(())
    }

    fn has_server(&self, name: &str) -> bool {
        let (name, variant) = split(name);
        let server = self.servers.get(name);
        server.is_some_and(|server| variant.is_none_or(|variant| server.variants.contains_key(variant)))
    }
}

/// A server's name and variant.
#[must_use]
pub fn split(server: &str) -> (&str, Option<&str>) {
    server.split_once('/').map_or((server, None), |(name, variant)| (name, Some(variant)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    place: Vec<Place>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Blocks {
    block: Vec<Block>,
}

fn file<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    read(&directory().join(name))
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let name = path.strip_prefix(directory()).unwrap_or(path).display();
    let text = fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    toml::from_str(&text).map_err(|error| format!("{name}: {error}"))
}

/// All `.toml` files of a folder, by their names.
fn folder<T: DeserializeOwned>(name: &str) -> Result<BTreeMap<String, T>, String> {
    let entries = fs::read_dir(directory().join(name)).map_err(|error| format!("{name}: {error}"))?;
    let mut found = BTreeMap::new();
    for entry in entries {
        let path = entry.map_err(|error| format!("{name}: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(stem, read(&path)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "data_tests.rs"]
mod tests;
