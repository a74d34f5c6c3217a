//! The process whose namespaces are those of the host, or of the container: what it sees outlasts a command.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process;

/// Its ID: that of the init process; where a security module hides that one, of the first ancestor that it shows and
/// that is root's. None if there is neither.
#[must_use]
pub fn init() -> Option<u32> {
    if is_shown(1) {
        return Some(1);
    }
    let mut found = None;
    let mut id = parent(process::id())?;
    while id > 1 {
        if is_shown(id) {
            found = Some(id);
        }
        id = parent(id)?;
    }
    found
}

/// A file of a process's in /proc.
pub(super) fn file(id: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{id}/{name}"))
}

fn is_shown(id: u32) -> bool {
    let roots = fs::metadata(file(id, "")).is_ok_and(|metadata| metadata.uid() == 0);
    roots && fs::read_link(file(id, "ns/mnt")).is_ok()
}

fn parent(id: u32) -> Option<u32> {
    let status = fs::read_to_string(file(id, "status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_process_or_the_first_ancestor() {
        assert_eq!(parent(process::id()), Some(std::os::unix::process::parent_id()));
        if let Some(id) = init() {
            assert!(id != process::id() && is_shown(id));
        }
    }
}
