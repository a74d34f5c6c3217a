//! Locks: one process attaches and detaches at a time, and one watches.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use crate::error::{Failure, OrFail as _};
use crate::pins::Pins;

/// How long another process is waited for. Attaching takes less; `run` holds on until it ends.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is asked for meanwhile: there is no event to wait for that could be given up.
const PAUSE: Duration = Duration::from_millis(10);

/// The pin directory, held against every other process that would attach or detach. The kernel releases
/// it when the process ends, however it ends.
#[derive(Debug)]
pub struct Hold {
    path: PathBuf,
    _directory: File,
}

impl Hold {
    /// Makes the directory if need be, and takes it; waits a while if another process has it.
    ///
    /// # Errors
    ///
    /// Another process keeps it, or the file system refuses.
    pub async fn take(pin_dir: &Path) -> Result<Self, Failure> {
        let given = format!("--pin-dir {}", pin_dir.display());
        let end = Instant::now() + PATIENCE;
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
                Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(PAUSE).await,
                Err(Errno::WOULDBLOCK) => {
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

/// The right to re-attach what lost its filter: of one process at a time.
#[derive(Debug)]
pub struct Watcher(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl Watcher {
    /// Becomes the one.
    ///
    /// # Errors
    ///
    /// Another is, or the pins are not there.
    pub fn become_the_one(pins: &Pins) -> Result<Self, Failure> {
        let directory = pins.interfaces();
        let given = directory.display().to_string();
        let file = File::open(directory).or_fail(&given, "run as root")?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(file)),
            Err(Errno::WOULDBLOCK) => {
                let remedy = "one is enough: it follows all interfaces that are attached";
                Err(Failure::failed(given, "another ftptrack watch runs", remedy))
            }
            Err(error) => Err(error).or_fail(given, "choose another pin directory"),
        }
    }
}
