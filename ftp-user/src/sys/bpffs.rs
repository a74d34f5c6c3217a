//! The BPF file system, on which pins live.

use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FsWord, statfs};
use rustix::mount::{MountFlags, mount};

use crate::error::{Failure, OrFail as _};
use crate::sys::init::{file, init};
use crate::sys::mount_namespace::{Keeper, is_private, keeper};
use crate::sys::netns;

/// Where it is mounted on every ordinary host.
pub const USUAL: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC` of linux/magic.h.
const MAGIC: FsWord = 0xcafe_4a11;
/// Nobody but root makes, sees or locks anything on one that is mounted here. Its own default is 1777.
const OPTIONS: &CStr = c"mode=0700";

/// How long the process goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Lifetime {
    /// It ends, and what it pinned is to stay.
    Returns,
    /// It stays until it is told to end.
    Stays,
}

/// The pin directory where none is given: one for each network namespace, on the BPF file system that lasts. `ip netns
/// exec` and the like hide it; then it is reached as the init process sees it.
#[must_use]
pub fn usual_pin_dir() -> PathBuf {
    let is_bpffs = |place: &PathBuf| is_bpffs(place).is_ok_and(|is| is);
    let here = PathBuf::from(USUAL);
    let of_init = init().filter(|_| is_private() && !is_bpffs(&here)).map(|id| file(id, &format!("root{USUAL}")));
    let name = netns::other_than_the_first().map_or_else(String::new, |inode| format!("-net-{inode}"));
    of_init.filter(is_bpffs).unwrap_or(here).join(format!("ftptrack{name}"))
}

/// Makes sure that the parent of the pin directory is on a BPF file system, mounting the usual one if need be: on hosts
/// that boot with systemd it is mounted already. What is to be known of it, if it may end before the host does.
///
/// # Errors
///
/// It is another file system, the mount was refused, or it would end with this process and the process ends first.
pub fn prepare(pin_dir: &Path, lifetime: Lifetime) -> Result<Option<String>, Failure> {
    let given = format!("--pin-dir {}", pin_dir.display());
    let place = parent(pin_dir);
    if is_bpffs(pin_dir).or_else(|_| is_bpffs(place)).or_fail(&given, "make its parent directory first")? {
        return match (keeper(if is_bpffs(place).unwrap_or(false) { place } else { pin_dir }), lifetime) {
            (Keeper::System, _) => Ok(None),
            (Keeper::Process(id, name), _) => Ok(Some(ends_with(format_args!("now process {id}, {name}")))),
            (Keeper::Nobody, Lifetime::Stays) => Ok(Some(ends_with("this one"))),
            (Keeper::Nobody, Lifetime::Returns) => Err(Failure::failed(
                given,
                "it is on a BPF file system that only this command sees: when it ends, so would the filter",
                "leave --pin-dir out, name a directory on one that stays, or use ftptrack run or watch, which stay",
            )),
        };
    }
    if place != Path::new(USUAL) {
        let hint =
            format!("mount one there (mount -t bpf bpf {}) or choose a directory below {USUAL}", place.display());
        return Err(Failure::failed(given, "it is not on a BPF file system", hint));
    }
    let private = is_private();
    if private && lifetime == Lifetime::Returns {
        return Err(Failure::failed(
            given,
            "no BPF file system is mounted there, and one mounted now would be seen in this mount namespace only: when \
             that ends, so would the filter",
            format_args!(
                "mount one that stays: nsenter --target {} --mount mount -t bpf -o mode=0700 bpf {USUAL}",
                init().unwrap_or(1)
            ),
        ));
    }
    mount("bpf", USUAL, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, OPTIONS)
        .or_fail(USUAL, format_args!("as root, run: mount -t bpf -o mode=0700 bpf {USUAL}"))?;
    Ok(private.then(|| ends_with("this one")))
}

fn ends_with(who: impl std::fmt::Display) -> String {
    format!(
        "the BPF file system is seen in this mount namespace only: the filter ends with the last process in it ({who})"
    )
}

/// Whether a directory that exists is on a BPF file system.
///
/// # Errors
///
/// It doesn't exist, or can't be asked.
pub fn is_bpffs(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.f_type == MAGIC)
}

/// Whether what is pinned in a directory is gone when the processes of this mount namespace have ended.
#[must_use]
pub fn may_end(place: &Path) -> bool {
    keeper(place) != Keeper::System
}

/// The directory that a pin directory is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
