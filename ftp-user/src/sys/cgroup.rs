//! The tree of control groups, version 2 (cgroups(7)).

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// Its root, as far as this process's control group namespace goes.
///
/// # Errors
///
/// The kernel has none, or its refusal.
pub fn root() -> io::Result<OwnedFd> {
    let mounted = fs::read_to_string("/proc/self/mountinfo").ok().and_then(|text| mount_point(&text));
    match mounted.and_then(|place| File::open(place).ok()) {
        Some(root) => Ok(root.into()),
        None => unmounted_root(),
    }
}

/// By way of a mount that is nowhere to be seen: `ip netns exec` hides the usual ones.
fn unmounted_root() -> io::Result<OwnedFd> {
    let tree = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&tree)?;
    let mount = fsmount(&tree, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(openat(mount, ".", OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// The first whole one in /proc/PID/mountinfo (proc_pid_mountinfo(5)): `ID PARENT DEVICE ROOT PLACE OPTIONS … - TYPE …`.
fn mount_point(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (front, behind) = line.split_once(" - ")?;
        let mut fields = front.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        (root == "/" && behind.starts_with("cgroup2 ")).then(|| PathBuf::from(place.replace("\\040", " ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_of_version_2_is_found_beside_others() {
        let text = "24 22 0:7 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n25 24 0:8 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                    26 24 0:9 /a /part rw - cgroup2 cgroup2 rw\n27 24 0:9 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 none rw\n";
        assert_eq!(mount_point(text), Some(PathBuf::from("/sys/fs/cgroup/unified")));
        assert_eq!(mount_point("24 22 0:7 / / rw - ext4 /dev/a rw"), None);
    }
}
