//! Programs that `cargo xtask setup` has unpacked for the tests, and files of this repository.

use std::path::{Path, PathBuf};

/// Debian's static busybox.
pub const BUSYBOX: &str = "busybox/bin/busybox";
/// What checks metrics and rules.
pub const PROMTOOL: &str = "promtool/usr/bin/promtool";

/// The path of one of them.
#[track_caller]
#[must_use]
pub fn path(tool: &str) -> PathBuf {
    let path = of_repository("target/tools").join(tool);
    assert!(path.is_file(), "{}: not there: run `cargo xtask setup`", path.display());
    path
}

/// A file's path, given from the repository's root.
#[must_use]
pub fn of_repository(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)
}
