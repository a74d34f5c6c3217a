//! The BPF file system, on which pins live.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{FsWord, statfs};
use rustix::mount::{MountFlags, mount};

use crate::error::{Failure, OrFail as _};

/// Where it is mounted on every ordinary host.
pub const USUAL: &str = "/sys/fs/bpf";
/// `BPF_FS_MAGIC` of linux/magic.h.
const MAGIC: FsWord = 0xcafe_4a11;

/// Makes sure that the parent of the pin directory is on a BPF file system, mounting the usual one
/// if need be. True if it did: on hosts that boot with systemd it is mounted already.
///
/// # Errors
///
/// It is another file system, or the mount was refused.
pub fn prepare(pin_dir: &Path) -> Result<bool, Failure> {
    let given = format!("--pin-dir {}", pin_dir.display());
    if is_bpffs(pin_dir).or_else(|_| is_bpffs(parent(pin_dir))).or_fail(&given, "make its parent directory first")? {
        return Ok(false);
    }
    if parent(pin_dir) != Path::new(USUAL) {
        let hint = format!(
            "mount one there (mount -t bpf bpf {}) or choose a directory below {USUAL}",
            parent(pin_dir).display()
        );
        return Err(Failure::failed(given, "it is not on a BPF file system", hint));
    }
    mount("bpf", USUAL, "bpf", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .or_fail(USUAL, format_args!("as root, run: mount -t bpf bpf {USUAL}"))?;
    Ok(true)
}

/// Whether a directory that exists is on a BPF file system.
///
/// # Errors
///
/// It doesn't exist, or can't be asked.
pub fn is_bpffs(path: &Path) -> io::Result<bool> {
    Ok(statfs(path)?.f_type == MAGIC)
}

/// Whether this process sees other mounts than the init process does. What is pinned on a mount
/// made here is gone when the last such process ends.
#[must_use]
pub fn in_private_mount_namespace() -> bool {
    let of = |process: &str| fs::read_link(format!("/proc/{process}/ns/mnt")).ok();
    of("1").is_some_and(|init| Some(init) != of("self"))
}

/// The directory that a pin directory is in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
