//! The pin directory: what keeps maps and filters in force when this process is gone.
//!
//! ```text
//! DIR/v1/maps/SESSIONS          a pinned map
//! DIR/v1/links/eth0-ingress     a pinned TCX link, or the pinned program of a clsact filter
//! DIR/v1/interfaces/eth0        a symbolic link whose target is the attachment's record, as JSON
//! ```
//!
//! The version is that of the maps' shapes: maps of two versions are never mixed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use ftp_common::ABI_VERSION;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, OrFail as _};
use crate::interface::SideName;

/// How programs hang on an interface.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hook {
    /// A link of the kernel's own (Linux 6.6).
    Tcx,
    /// A filter on the clsact qdisc.
    Clsact,
}

impl Hook {
    /// The name in options and in output.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        }
    }
}

/// The two directions, in the order in which they are attached.
pub const DIRECTIONS: [Direction; 2] = [Direction::Egress, Direction::Ingress];

/// A direction of packets at an interface.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// Out.
    Egress,
    /// In.
    Ingress,
}

impl Direction {
    /// Its name, as at the end of a link's pin.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }
}

/// What is remembered of an attachment, for `status` and `detach`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Record {
    /// Name of the interface.
    pub name: String,
    /// Its index.
    pub index: u32,
    /// Where servers are, seen from it.
    pub side: SideName,
    /// How the programs hang on it.
    pub hook: Hook,
    /// For clsact: we made the qdisc, and remove it if nobody else uses it.
    pub made_qdisc: bool,
    /// Inode of the network namespace that the index belongs to.
    pub namespace: u64,
}

/// One version's part of the pin directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pins {
    root: PathBuf,
}

impl Pins {
    /// The part for this program's version. Nothing is made or looked at.
    #[must_use]
    pub fn new(pin_dir: &Path) -> Self {
        Self { root: pin_dir.join(format!("v{ABI_VERSION}")) }
    }

    /// The parts of all versions that are there.
    #[must_use]
    pub fn all(pin_dir: &Path) -> Vec<Self> {
        let is_version = |name: &str| name.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
        names(pin_dir).filter(|name| is_version(name)).map(|name| Self { root: pin_dir.join(name) }).collect()
    }

    /// Makes its directories.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn make(&self) -> Result<(), Failure> {
        for directory in [self.root.clone(), self.maps(), self.links(), self.interfaces()] {
            fs::create_dir(&directory).or_fail(directory.display(), "run as root, with a pin directory of your own")?;
        }
        Ok(())
    }

    /// Whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.root.exists()
    }

    /// Where the maps are pinned.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    fn interfaces(&self) -> PathBuf {
        self.root.join("interfaces")
    }

    /// Where a map is pinned.
    #[must_use]
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }

    /// Where a TCX link, or the program of a clsact filter, is pinned.
    #[must_use]
    pub fn link(&self, interface: &str, direction: Direction) -> PathBuf {
        self.links().join(format!("{}-{}", pin_name(interface), direction.as_str()))
    }

    /// Remembers an attachment, in the place of what was remembered of its interface.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn remember(&self, record: &Record) -> Result<(), Failure> {
        let place = self.interfaces().join(pin_name(&record.name));
        let text = serde_json::to_string(record).or_fail(&record.name, "report this")?;
        absent_is_fine(fs::remove_file(&place))
            .and_then(|()| symlink(text, &place))
            .or_fail(place.display(), "run as root, with a pin directory of your own")
    }

    /// The attachments that are remembered.
    ///
    /// # Errors
    ///
    /// One was remembered by a version that this one doesn't understand.
    pub fn records(&self) -> Result<Vec<Record>, Failure> {
        names(&self.interfaces()).map(|name| self.record(&self.interfaces().join(name))).collect()
    }

    fn record(&self, place: &Path) -> Result<Record, Failure> {
        let remedy = "use the ftptrack that made it";
        let target = fs::read_link(place).or_fail(place.display(), remedy)?;
        serde_json::from_str(&target.to_string_lossy()).or_fail(place.display(), remedy)
    }

    /// The names of attached interfaces, as in pins.
    #[must_use]
    pub fn interface_names(&self) -> Vec<String> {
        names(&self.interfaces()).collect()
    }

    /// Removes all pins and directories of this version. What is pinned nowhere else goes with them.
    ///
    /// # Errors
    ///
    /// The file system's refusal, after everything was tried.
    pub fn remove(&self) -> io::Result<()> {
        let mut result = Ok(());
        for directory in [self.links(), self.interfaces(), self.maps()] {
            for name in names(&directory) {
                result = result.and(fs::remove_file(directory.join(name)));
            }
            result = result.and(absent_is_fine(fs::remove_dir(directory)));
        }
        result.and(absent_is_fine(fs::remove_dir(&self.root)))
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn names(directory: &Path) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(directory).ok();
    let mut names: Vec<_> =
        entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names.into_iter()
}

/// An interface's name as a file's: the BPF file system takes no dots.
fn pin_name(interface: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    interface.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") }).collect()
}

/// Inode of this process's network namespace.
///
/// # Errors
///
/// `/proc` isn't there.
pub fn network_namespace() -> Result<u64, Failure> {
    let metadata = fs::metadata("/proc/self/ns/net").or_fail("/proc/self/ns/net", "mount /proc")?;
    Ok(metadata.ino())
}

/// The pin directory, held against every other process that would change it. The kernel releases
/// it when the process ends, however it ends.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _directory: File,
}

impl Hold {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    ///
    /// Another process holds it, or the file system refuses.
    pub fn take(pin_dir: &Path) -> Result<Self, Failure> {
        let given = format!("--pin-dir {}", pin_dir.display());
        loop {
            match fs::create_dir(pin_dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(error).or_fail(given, "run as root, and make its parent directory first");
                }
                _ => {}
            }
            let Some(directory) = open(pin_dir).or_fail(&given, "run as root")? else {
                continue;
            };
            match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if is_still_there(pin_dir, &directory) => {
                    return Ok(Self { path: pin_dir.to_owned(), _directory: directory });
                }
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Failure::failed(
                        given,
                        "a running ftptrack uses it",
                        "stop that one first, or give each its own --pin-dir",
                    ));
                }
                Err(error) => return Err(error).or_fail(given, "choose another pin directory"),
            }
        }
    }

    /// Removes the directory if nothing is in it, and lets go.
    pub fn release(self) {
        // Refused while something is in it, or where it is a mount's root: then it stays.
        let _ = fs::remove_dir(&self.path);
    }
}

fn open(directory: &Path) -> io::Result<Option<File>> {
    match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// It may have been removed between opening and locking.
fn is_still_there(path: &Path, directory: &File) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    directory.metadata().is_ok_and(|ours| fs::metadata(path).is_ok_and(|now| inode(ours) == inode(now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_names_have_no_dots_and_are_unlike_for_unlike_interfaces() {
        assert_eq!(pin_name("eth0.100"), "eth0%2e100");
        assert_eq!(pin_name("br-lan_1"), "br-lan_1");
        assert_ne!(pin_name("a.b"), pin_name("a:b"));
    }

    #[test]
    fn pins_stand_below_the_version() {
        let pins = Pins::new(Path::new("/pins"));
        assert_eq!(pins.map("FLOWS"), Path::new(&format!("/pins/v{ABI_VERSION}/maps/FLOWS")));
        assert_eq!(
            pins.link("eth0.1", Direction::Ingress),
            Path::new(&format!("/pins/v{ABI_VERSION}/links/eth0%2e1-ingress"))
        );
    }
}
