//! The network namespace that this process is in.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process;

use crate::error::{Failure, OrFail as _};
use crate::sys::init::{file, init};

/// Inode of this process's network namespace, if it is another than the init process's. None where that can't be found
/// out.
#[must_use]
pub fn other_than_of_init() -> Option<u64> {
    let of = |id: u32| fs::metadata(file(id, "ns/net")).ok().map(|metadata| metadata.ino());
    let (here, init) = (of(process::id())?, of(init()?)?);
    (here != init).then_some(here)
}

/// Inode of this process's network namespace.
///
/// # Errors
///
/// `/proc` isn't there.
pub fn network_namespace() -> Result<u64, Failure> {
    let metadata = fs::metadata("/proc/self/ns/net").or_fail("/proc/self/ns/net", "mount /proc")?;
    Ok(metadata.ino())
}
