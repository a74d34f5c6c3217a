//! Whether a mount lasts: it goes with the last process of the last mount namespace that has it (mount_namespaces(7)).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{major, minor};

use crate::sys::init::{file, init};

/// What keeps a mount when this process has ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keeper {
    /// The init process has it too, or a name in the file system keeps the namespace.
    System,
    /// Another process has it, as long as that lives: its ID and name.
    Process(u32, String),
    /// Nothing does.
    Nobody,
}

/// Whether this process sees other mounts than the init process does. False where that can't be found out.
#[must_use]
pub fn is_private() -> bool {
    let of = |id: u32| fs::read_link(file(id, "ns/mnt")).ok();
    init().and_then(of).is_some_and(|init| Some(init) != of(process::id()))
}

/// What keeps the mount that a directory is on.
#[must_use]
pub fn keeper(place: &Path) -> Keeper {
    let here = fs::read_link("/proc/self/ns/mnt").unwrap_or_default();
    let mounts = init().and_then(|id| fs::read_to_string(file(id, "mountinfo")).ok());
    let (true, Ok(metadata), Some(mounts)) = (is_private(), fs::metadata(place), mounts) else {
        return Keeper::System;
    };
    let device = format!("{}:{}", major(metadata.dev()), minor(metadata.dev()));
    if has(&mounts, &device, &here) {
        return Keeper::System;
    }
    // A thread may have mounts of its own.
    let mut without = BTreeSet::new();
    for (id, thread) in threads() {
        let Ok(namespace) = fs::read_link(thread.join("ns/mnt")) else { continue };
        if id == process::id() || without.contains(&namespace) {
            continue;
        }
        let mounts = fs::read_to_string(thread.join("mountinfo")).unwrap_or_default();
        if namespace == here || has(&mounts, &device, &here) {
            let name = fs::read_to_string(thread.join("comm")).unwrap_or_default();
            return Keeper::Process(id, name.trim_end().to_owned());
        }
        without.insert(namespace);
    }
    Keeper::Nobody
}

/// Whether mounts (proc_pid_mountinfo(5)) have a device, or a name for a mount namespace.
fn has(mounts: &str, device: &str, namespace: &Path) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(2);
        fields.next() == Some(device) || fields.next().is_some_and(|root| Path::new(root) == namespace)
    })
}

/// All threads, by the directories that show them, with the ID of their process.
fn threads() -> impl Iterator<Item = (u32, PathBuf)> {
    let directories = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let processes =
        directories(PathBuf::from("/proc")).filter_map(|path| Some((path.file_name()?.to_str()?.parse().ok()?, path)));
    processes.flat_map(move |(id, path)| directories(path.join("task")).map(move |thread| (id, thread)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_known_by_its_device_and_a_kept_namespace_by_its_name() {
        let mounts = "36 35 0:55 / /sys/fs/bpf rw,nosuid shared:9 - bpf bpf rw\n\
                      40 35 0:4 mnt:[4026532500] /run/ns rw shared:2 - nsfs nsfs rw\n";
        let has = |device, namespace| has(mounts, device, Path::new(namespace));
        assert!(has("0:55", "mnt:[1]") && has("0:9", "mnt:[4026532500]"));
        assert!(!has("0:5", "mnt:[402653250]"));
        assert!(!has("36", "/sys/fs/bpf"));
    }

    #[test]
    fn what_the_init_process_sees_stays() {
        assert_eq!(keeper(Path::new("/proc")), Keeper::System);
    }
}
