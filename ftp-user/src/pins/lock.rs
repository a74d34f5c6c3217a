//! All locks, each on a directory of the pins (flock(2)), which nobody but root can open. The kernel releases a lock when its process ends, however it
//! ends.
//!
//! | directory | whose lock |
//! |---|---|
//! | the pin directory | of who attaches or detaches, and of `run` until it ends |
//! | a version's own | of who reads the live view |
//! | `maps` | of who changes the policy |
//! | `interfaces` | of `watch` |
//! | `links` | of who reads the events |

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use tokio::time::{Instant, sleep};

use crate::error::{Failure, OrFail as _};
use crate::pins::{Pins, directory};

/// How long another process is waited for that attaches or detaches. It takes less; `run` goes on until it ends.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long another process is waited for that changes the policy; it takes some milliseconds.
const PATIENCE_FOR_A_CHANGE: Duration = Duration::from_secs(5);
/// How often it is asked for meanwhile: there is no event to wait for that could be given up.
const PAUSE: Duration = Duration::from_millis(5);

/// A lock, held for as long as it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// The lock on the pin directory, against every other process that would attach or detach.
#[derive(Debug)]
pub struct PinDirLock {
    path: PathBuf,
    _lock: Lock,
}

impl PinDirLock {
    /// Makes the directory if need be, and locks it; waits a while if another process has it locked.
    ///
    /// # Errors
    ///
    /// Another process keeps it, or the file system refuses.
    pub async fn acquire(pin_dir: &Path) -> Result<Self, Failure> {
        let given = format!("--pin-dir {}", pin_dir.display());
        let end = Instant::now() + PATIENCE;
        loop {
            directory::check_way(pin_dir)?;
            directory::make(pin_dir).or_fail(&given, "run as root, and make its parent directory first")?;
            let directory = match directory::open(pin_dir)? {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.or_fail(&given, "run as root")?,
            };
            if !lock_until(&directory, end).await.or_fail(&given, "choose another pin directory")? {
                let who = holder(&directory).map_or_else(String::new, |id| format!(" (process {id})"));
                return Err(Failure::failed(
                    given,
                    format_args!("a running ftptrack uses it{who}"),
                    "stop that one first, or give each its own --pin-dir",
                ));
            }
            if is_still_there(pin_dir, &directory) {
                return Ok(Self { path: pin_dir.to_owned(), _lock: Lock(directory) });
            }
        }
    }

    /// Removes the directory if nothing is in it, and unlocks it.
    pub fn release(self) {
        // Refused while something is in it, or where it is a mount's root: then it stays.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The right to change the policy: waits until nobody else does.
///
/// # Errors
///
/// Another process doesn't finish, or nothing is attached.
pub async fn policy(pins: &Pins) -> Result<Lock, Failure> {
    let directory = pins.maps();
    let given = directory.display().to_string();
    let file = File::open(&directory).or_fail(&given, "run as root, while ftptrack is attached")?;
    let end = Instant::now() + PATIENCE_FOR_A_CHANGE;
    if lock_until(&file, end).await.or_fail(&given, "choose another pin directory")? {
        return Ok(Lock(file));
    }
    let hint = "wait for it, or end it: it holds a lock on this directory";
    Err(Failure::failed(given, "another ftptrack is changing the policy", hint))
}

/// The right to re-attach what lost its filter: of one process at a time.
///
/// # Errors
///
/// Another has it, or the pins are not there.
pub fn watch(pins: &Pins) -> Result<Lock, Failure> {
    let directory = pins.interfaces();
    let given = directory.display().to_string();
    let file = File::open(directory).or_fail(&given, "run as root")?;
    if try_lock(&file).or_fail(&given, "choose another pin directory")? {
        return Ok(Lock(file));
    }
    let hint = "one is enough: it follows all interfaces that are attached";
    Err(Failure::failed(given, "another ftptrack watch runs", hint))
}

/// The right to read events. The kernel knows one place in a ring buffer: a second reader would take events from the
/// first.
///
/// # Errors
///
/// Another process reads them, or the pins are not there.
pub fn events(pins: &Pins) -> Result<Lock, Failure> {
    let given = "events";
    let file = File::open(pins.links()).or_fail(given, "run as root")?;
    if try_lock(&file).or_fail(given, "run as root")? {
        return Ok(Lock(file));
    }
    let problem = "another process shows them already";
    let hint = "read them there (a service's: journalctl -t ftptrack), or end that ftptrack run, watch or events";
    Err(Failure::failed(given, problem, hint))
}

/// The right to read the live view, which is a ring buffer too.
///
/// # Errors
///
/// Another process reads it, or the pins are not there.
pub fn view(pins: &Pins) -> Result<Lock, Failure> {
    let given = "live view";
    let file = File::open(pins.root()).or_fail(given, "run as root")?;
    if try_lock(&file).is_ok_and(|locked| locked) {
        return Ok(Lock(file));
    }
    let who = holder(&file).map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
    Err(Failure::failed(given, format_args!("{who} has it"), "end that ftptrack top"))
}

/// False if another process has it locked.
fn try_lock(directory: &File) -> io::Result<bool> {
    match flock(directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// False if another process has it locked all the time.
async fn lock_until(directory: &File, end: Instant) -> io::Result<bool> {
    while !try_lock(directory)? {
        if Instant::now() >= end {
            return Ok(false);
        }
        sleep(PAUSE).await;
    }
    Ok(true)
}

/// It may have been removed between opening and locking.
fn is_still_there(path: &Path, directory: &File) -> bool {
    let inode = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    directory.metadata().is_ok_and(|ours| fs::metadata(path).is_ok_and(|now| inode(ours) == inode(now)))
}

/// Who has the lock on a file (proc_locks(5)).
fn holder(file: &File) -> Option<u32> {
    let inode = file.metadata().ok()?.ino();
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // 1: FLOCK  ADVISORY  WRITE 4711 00:2a:815 0 EOF
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let is_it = *fields.get(1)? == "FLOCK" && fields.get(5)?.rsplit(':').next()?.parse() == Ok(inode);
        is_it.then(|| fields.get(4)?.parse().ok()).flatten()
    })
}
