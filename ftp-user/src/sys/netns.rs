//! The network namespace that this process is in.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use crate::error::{Failure, OrFail as _};

/// Inode of this process's network namespace.
///
/// # Errors
///
/// `/proc` isn't there.
pub fn network_namespace() -> Result<u64, Failure> {
    let metadata = fs::metadata("/proc/self/ns/net").or_fail("/proc/self/ns/net", "mount /proc")?;
    Ok(metadata.ino())
}
