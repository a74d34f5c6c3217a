//! The network namespace that this process is in.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::error::{Failure, OrFail as _};

/// A setting that Linux shows in the first network namespace only (`net_core_table`, net/core/sysctl_net_core.c; from
/// 5.10 to 7.3 at least). Comparing with the init process would say the same, but not to all: a service that may not
/// look into other processes (`ProtectProc=`) can't do that, and would find another pin directory than the commands.
const OF_THE_FIRST: &str = "/proc/sys/net/core/netdev_max_backlog";

/// Inode of this process's network namespace, if it is another than the one that the host began with. None where that
/// can't be found out.
#[must_use]
pub fn other_than_the_first() -> Option<u64> {
    let inode = network_namespace().ok()?;
    let shows_settings = Path::new("/proc/sys/kernel").exists();
    (shows_settings && !Path::new(OF_THE_FIRST).exists()).then_some(inode)
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
