//! The pin directory: it keeps maps and filters when this process is gone.
//!
//! ```text
//! DIR/v1/maps/SESSIONS          a pinned map
//! DIR/v1/links/eth0-ingress     a pinned TCX link, or the pinned program of a clsact filter
//! DIR/v1/interfaces/eth0        a symbolic link whose target is the attachment's record, as JSON
//! DIR/v1/kernel                 another, of what the kernel has
//! DIR/v1/learning               another, of whether encrypted sessions are learned from
//! DIR/v1-old                    one of the same version, for as long as another is put in its place
//! ```
//!
//! The version is that of the maps' shapes: maps of two versions are never mixed. The records say which
//! interfaces are to be guarded, whether they are there or not.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ftp_common::ABI_VERSION;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Failure, OrFail as _};
use crate::policy::attachment::{DIRECTIONS, Direction};

mod directory;
pub mod lock;
mod record;

pub use record::Record;

/// At the end of the name of a part that another is put in the place of.
const OLD: &str = "-old";

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

    /// The part for this version, where ftptrack is attached.
    ///
    /// # Errors
    ///
    /// Nothing is there.
    pub fn attached(pin_dir: &Path) -> Result<Self, Failure> {
        let pins = Self::new(pin_dir);
        let given = format!("--pin-dir {}", pin_dir.display());
        directory::check(pin_dir)?;
        if let Err(error) = fs::read_dir(pins.maps()) {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => match Self::all(pin_dir).first() {
                    Some(other) => Failure::failed(
                        given,
                        format_args!(
                            "the ftptrack that is attached has maps of another shape: {} and not {}",
                            other.version(),
                            pins.version()
                        ),
                        "use the version that attached it, or run ftptrack attach --replace",
                    ),
                    None => Failure::failed(
                        given,
                        "ftptrack is not attached",
                        "start it with ftptrack attach, or give its --pin-dir",
                    ),
                },
                _ => Failure::failed(given, error, "run as root"),
            });
        }
        Ok(pins)
    }

    /// Where the part for this version waits while another is put in its place.
    #[must_use]
    pub fn old(pin_dir: &Path) -> Self {
        Self { root: pin_dir.join(format!("v{ABI_VERSION}{OLD}")) }
    }

    /// The parts of all versions that are there.
    #[must_use]
    pub fn all(pin_dir: &Path) -> Vec<Self> {
        let number = |name: &str| name.strip_suffix(OLD).unwrap_or(name).strip_prefix('v')?.parse::<u32>().ok();
        let is_version = |name: &str| number(name).is_some();
        names(pin_dir).filter(|name| is_version(name)).map(|name| Self { root: pin_dir.join(name) }).collect()
    }

    /// Makes its directories, those that are not there.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn make(&self) -> Result<(), Failure> {
        for directory in [self.root.clone(), self.maps(), self.links(), self.interfaces()] {
            let hint = "run as root, with a pin directory of your own";
            directory::make(&directory).or_fail(directory.display(), hint)?;
            directory::open(&directory)?.or_fail(directory.display(), hint)?;
        }
        Ok(())
    }

    /// Whether its maps are of this program's shapes, by its name.
    #[must_use]
    pub fn is_of_this_version(&self) -> bool {
        self.version().trim_end_matches(OLD) == format!("v{ABI_VERSION}")
    }

    /// Its directory's name, `v1`.
    #[must_use]
    pub fn version(&self) -> String {
        self.root.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Moves all of it to where another part would be. The filter is not touched.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn move_to(&self, other: &Self) -> Result<(), Failure> {
        fs::rename(&self.root, &other.root).or_fail(self.root.display(), "run as root")
    }

    /// Whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.root.exists()
    }

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the maps are pinned.
    #[must_use]
    pub fn maps(&self) -> PathBuf {
        self.root.join("maps")
    }

    /// Where links are pinned.
    #[must_use]
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    /// Where interfaces are remembered.
    #[must_use]
    pub fn interfaces(&self) -> PathBuf {
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

    /// Where a program is pinned that is about to run as a clsact filter, perhaps in another's place.
    #[must_use]
    pub fn next(&self, interface: &str, direction: Direction) -> PathBuf {
        self.links().join(format!("{}-{}{NEXT}", pin_name(interface), direction.as_str()))
    }

    /// Remembers an interface, in the place of what was remembered of it. Whoever is killed here leaves
    /// the one or the other.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn remember(&self, record: &Record) -> Result<(), Failure> {
        let place = self.interfaces().join(pin_name(&record.name));
        // Beside the others, which would be records.
        let fresh = self.links().join(format!("{}{NEXT}", pin_name(&record.name)));
        write(record, &fresh, &place)
    }

    /// Removes an interface's record and pins. What is pinned nowhere else goes with them.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn forget(&self, interface: &str) -> Result<(), Failure> {
        let pins = DIRECTIONS.into_iter().flat_map(|way| [self.link(interface, way), self.next(interface, way)]);
        // The record last: while it is there, somebody can go on from here.
        for place in pins.chain([self.interfaces().join(pin_name(interface))]) {
            ignore_missing(fs::remove_file(&place)).or_fail(place.display(), "run as root")?;
        }
        Ok(())
    }

    /// Keeps an interface's pins and record under the name that it has now.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub fn rename(&self, record: &Record, name: &str) -> Result<(), Failure> {
        for way in DIRECTIONS {
            for (from, to) in [
                (self.link(&record.name, way), self.link(name, way)),
                (self.next(&record.name, way), self.next(name, way)),
            ] {
                ignore_missing(fs::rename(&from, to)).or_fail(from.display(), "run as root")?;
            }
        }
        self.remember(&Record { name: name.to_owned(), ..record.clone() })?;
        let before = self.interfaces().join(pin_name(&record.name));
        ignore_missing(fs::remove_file(&before)).or_fail(before.display(), "run as root")
    }

    /// The attachments that are remembered.
    ///
    /// # Errors
    ///
    /// One was remembered by a version that this one doesn't understand.
    pub fn records(&self) -> Result<Vec<Record>, Failure> {
        names(&self.interfaces()).map(|name| read(&self.interfaces().join(name))).collect()
    }

    /// Remembers what the kernel has.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub(crate) fn remember_kernel<T: Serialize>(&self, kernel: &T) -> Result<(), Failure> {
        self.note(KERNEL, kernel)
    }

    /// What is remembered of the kernel; nothing if it was not probed when something was attached.
    ///
    /// # Errors
    ///
    /// It was remembered by a version that this one doesn't understand.
    pub(crate) fn kernel<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.noted(KERNEL)
    }

    /// Where a link is pinned that learns from processes and sockets.
    #[must_use]
    pub fn owner_link(&self, name: &str) -> PathBuf {
        self.links().join(format!("owner-{name}"))
    }

    /// Remembers whether encrypted sessions are learned from; nothing if nobody asked for it.
    ///
    /// # Errors
    ///
    /// The file system's refusal.
    pub(crate) fn remember_learning<T: Serialize>(&self, learning: Option<&T>) -> Result<(), Failure> {
        let place = self.root.join(LEARNING);
        match learning {
            Some(learning) => self.note(LEARNING, learning),
            None => ignore_missing(fs::remove_file(&place)).or_fail(place.display(), "run as root"),
        }
    }

    /// What is remembered of that.
    ///
    /// # Errors
    ///
    /// It was remembered by a version that this one doesn't understand.
    pub(crate) fn learning<T: DeserializeOwned>(&self) -> Result<Option<T>, Failure> {
        self.noted(LEARNING)
    }

    /// Puts a record of this version's in the place of the one that is there.
    fn note<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Failure> {
        write(value, &self.links().join(format!("{name}{NEXT}")), &self.root.join(name))
    }

    fn noted<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Failure> {
        let place = self.root.join(name);
        place.is_symlink().then(|| read(&place)).transpose()
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
            result = result.and(ignore_missing(fs::remove_dir(directory)));
        }
        for record in [KERNEL, LEARNING] {
            result = result.and(ignore_missing(fs::remove_file(self.root.join(record))));
        }
        result.and(ignore_missing(fs::remove_dir(&self.root)))
    }
}

/// Where what the kernel has is remembered.
const KERNEL: &str = "kernel";
/// Where it is remembered whether encrypted sessions are learned from.
const LEARNING: &str = "learning";
/// At the end of the name of a pin that is about to take another's place.
pub(crate) const NEXT: &str = "-next";

pub(crate) fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Puts a value into `place` by way of `fresh`. The BPF file system has no ordinary files: a symbolic link's target
/// holds it.
fn write<T: Serialize>(value: &T, fresh: &Path, place: &Path) -> Result<(), Failure> {
    let text = serde_json::to_string(value).or_fail(place.display(), "report this")?;
    ignore_missing(fs::remove_file(fresh))
        .and_then(|()| symlink(text, fresh))
        .and_then(|()| fs::rename(fresh, place))
        .or_fail(place.display(), "run as root, with a pin directory of your own")
}

fn read<T: DeserializeOwned>(place: &Path) -> Result<T, Failure> {
    let hint = "use the ftptrack that made it";
    let target = fs::read_link(place).or_fail(place.display(), hint)?;
    serde_json::from_str(&target.to_string_lossy()).or_fail(place.display(), hint)
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
