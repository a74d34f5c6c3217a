//! Debian's kernel packages, of any of its releases, by way of the machine's own apt sources.
//!
//! apt works in a directory of its own: its sources are the machine's with another suite's name in the place of this
//! one's, it verifies their signatures as ever, and nothing of the machine's apt is touched.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::command;

/// Suites that have kernels, each with whether it has a security suite besides.
const SUITES: [(&str, bool); 6] = [
    ("bullseye", true),
    ("bookworm", true),
    ("bookworm-backports", false),
    ("trixie", true),
    ("trixie-backports", false),
    ("sid", false),
];
/// The keys that all of them are signed with (package `debian-archive-keyring`).
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The flavour without drivers for hardware: half the size, and it boots sooner.
const FLAVOUR: &str = "-cloud-amd64";
/// Newer kernels come in parts.
const PARTS: [&str; 3] = ["linux-binary-", "linux-modules-", "linux-base-"];

/// A kernel, unpacked.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// What was asked for: `5.10`, or `newest`.
    pub(crate) asked: String,
    /// What it is in: `linux-image-… 5.10.…-1`.
    pub(crate) package: String,
    /// The bootable file.
    pub(crate) image: PathBuf,
    /// The directory of its modules.
    pub(crate) modules: PathBuf,
}

/// Where kernels are kept once they were fetched; deleting it makes them be fetched anew.
pub(crate) fn cache() -> PathBuf {
    command::target_directory().join("kernels")
}

/// The kernel of that version, from the cache or from the sources.
pub(crate) fn kernel(asked: &str) -> Result<Unpacked> {
    let place = cache().join(asked);
    if !place.join("package").exists() {
        let apt = Apt::new(&cache().join("apt"))?;
        let name = apt.choose(asked)?;
        apt.unpack(&name, &place)?;
    }
    let package = fs::read_to_string(place.join("package"))?.trim().to_owned();
    unpacked(asked, package, &place.join("files")).with_context(|| format!("{}: unusable", place.display()))
}

fn unpacked(asked: &str, package: String, files: &Path) -> Result<Unpacked> {
    let modules = ["lib/modules", "usr/lib/modules"].into_iter().find_map(|path| only_entry(&files.join(path)));
    let modules = modules.context("it has no modules")?;
    let in_boot = fs::read_dir(files.join("boot")).into_iter().flatten().flatten().map(|entry| entry.path());
    let image = in_boot
        .chain([modules.join("vmlinuz")])
        .find(|path| path.is_file() && path.to_string_lossy().contains("/vmlinuz"))
        .context("it has no vmlinuz")?;
    Ok(Unpacked { asked: asked.to_owned(), package, image, modules })
}

fn only_entry(directory: &Path) -> Option<PathBuf> {
    Some(fs::read_dir(directory).ok()?.next()?.ok()?.path())
}

/// apt with directories of its own.
struct Apt {
    root: PathBuf,
}

impl Apt {
    /// With fresh lists.
    fn new(root: &Path) -> Result<Self> {
        for directory in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(root.join(directory))?;
        }
        fs::write(root.join("status"), "")?;
        fs::write(root.join("debian.sources"), sources()?)?;
        let apt = Self { root: root.to_owned() };
        eprintln!("    fetching the lists of Debian's suites");
        command::output(apt.command("apt-get").args(["-qq", "update"]))?;
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (setting, place) in [
            ("Dir::State", ""),
            ("Dir::State::status", "status"),
            ("Dir::Cache", ""),
            ("Dir::Etc::sourcelist", "debian.sources"),
            ("Dir::Etc::sourceparts", "none"),
        ] {
            command.arg("-o").arg(format!("{setting}={}", self.root.join(place).display()));
        }
        // The rest is for desktops, or would say that root fetches as root.
        command.args(["-o", "Acquire::Languages=none", "-o", "APT::Sandbox::User=root"]);
        command.args(["-o", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"]);
        command
    }

    /// The newest package of that version, or of all.
    fn choose(&self, asked: &str) -> Result<String> {
        let names = command::output(self.command("apt-cache").args(["pkgnames", "linux-image-"]))?;
        let mut found: Vec<_> = names.lines().filter_map(|name| Some((version(name)?, name))).collect();
        found.sort();
        let wanted = |version: &[u32]| asked == "newest" || numbers(asked) == version[..2.min(version.len())];
        if let Some((_, name)) = found.iter().rfind(|(version, _)| wanted(version)) {
            return Ok((*name).to_owned());
        }
        let mut known: Vec<_> = found.iter().map(|(version, _)| format!("{}.{}", version[0], version[1])).collect();
        known.dedup();
        bail!("there is no kernel {asked}; there are {}", known.join(" "))
    }

    /// Fetches a package and the parts it needs, and unpacks them.
    fn unpack(&self, name: &str, place: &Path) -> Result<()> {
        if place.exists() {
            fs::remove_dir_all(place)?;
        }
        let (files, fetched) = (place.join("files"), place.join("fetched"));
        fs::create_dir_all(&files)?;
        fs::create_dir_all(&fetched)?;
        let dependencies = command::output(self.command("apt-cache").args(["depends", name]))?;
        let dependencies = dependencies.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let parts = dependencies.filter(|name| PARTS.iter().any(|part| name.starts_with(part)));
        eprintln!("    fetching {name}");
        let mut download = self.command("apt-get");
        command::output(download.args(["-qq", "download", name]).args(parts).current_dir(&fetched))?;
        for package in fs::read_dir(&fetched)? {
            command::run(Command::new("dpkg-deb").arg("--extract").arg(package?.path()).arg(&files))?;
        }
        fs::remove_dir_all(&fetched)?;
        let shown = command::output(self.command("apt-cache").args(["show", "--no-all-versions", name]))?;
        let version = shown.lines().find_map(|line| line.strip_prefix("Version: ")).context("it has no version")?;
        // Written last: what was interrupted is done again.
        fs::write(place.join("package"), format!("{name} {version}\n"))?;
        Ok(())
    }
}

/// `linux-image-6.12.117+deb13-cloud-amd64`: 6, 12, 117. Nothing for metapackages and other flavours.
fn version(name: &str) -> Option<Vec<u32>> {
    let version = name.strip_prefix("linux-image-")?.strip_suffix(FLAVOUR)?;
    let numbers = numbers(version.split('+').next()?);
    (numbers.len() > 2).then_some(numbers)
}

/// The numbers of `5.10.0-46`, or nothing if there is anything else in it.
fn numbers(text: &str) -> Vec<u32> {
    text.split(['.', '-']).map(str::parse).collect::<Result<_, _>>().unwrap_or_default()
}

/// The machine's sources of its own suite, for the other suites.
fn sources() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let own = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
    let mut targets = Command::new("apt-get");
    let targets = command::output(targets.args(["indextargets", "--format", "$(RELEASE) $(REPO_URI)"]))?;
    let uri = |suite: &str| {
        let mut lines = targets.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(release, _)| *release == suite).map(|(_, uri)| uri.to_owned())
    };
    let main = uri(own);
    let security = uri(&format!("{own}-security"));
    let (Some(main), Some(security)) = (main, security) else {
        bail!("apt has no sources for Debian's '{own}' and '{own}-security': other kernels come by way of those");
    };
    let stanza = |uri: &str, suite: &str| {
        format!(
            "Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: main\nArchitectures: amd64\nSigned-By: {KEYRING}\n\n"
        )
    };
    let mut text = String::new();
    for (suite, has_security) in SUITES {
        text += &stanza(&main, suite);
        if has_security {
            text += &stanza(&security, &format!("{suite}-security"));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_by_their_numbers() {
        assert_eq!(version("linux-image-5.10.0-46-cloud-amd64"), Some(vec![5, 10, 0, 46]));
        assert_eq!(version("linux-image-6.12.117+deb13-cloud-amd64"), Some(vec![6, 12, 117]));
        assert!(version("linux-image-5.10.0-9-cloud-amd64") < version("linux-image-5.10.0-46-cloud-amd64"));
        for other in ["linux-image-cloud-amd64", "linux-image-6.1-cloud-amd64", "linux-image-6.1.0-50-amd64"] {
            assert_eq!(version(other), None);
        }
    }
}
