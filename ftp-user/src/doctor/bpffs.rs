//! The file system that the filter is pinned on.

use std::path::Path;

use super::{Finding, Level};
use crate::sys::bpffs::{USUAL, is_bpffs, may_end, parent};

/// Whether pins can be made, and who sees them.
pub(super) fn check(pin_dir: &Path) -> Finding {
    let place = parent(pin_dir);
    match is_bpffs(pin_dir).or_else(|_| is_bpffs(place)) {
        Ok(true) if may_end(place) => {
            let what =
                format!("{} is a BPF file system, seen from a mount namespace of this process's own", place.display());
            let why = "it was mounted in here, and the filter ends with the last process in this namespace";
            Finding::new(Level::Note, "bpffs", what).because(why).fix("nsenter --target 1 --mount ftptrack doctor")
        }
        Ok(true) => Finding::ok("bpffs", format!("{} is a BPF file system", place.display())),
        Ok(false) if place == Path::new(USUAL) => {
            let why =
                "ftptrack attach mounts one there; a system that boots without systemd has to do so at each start";
            Finding::new(Level::Note, "bpffs", format!("no BPF file system is mounted at {USUAL}"))
                .because(why)
                .fix(format!("mount -t bpf -o mode=0700 bpf {USUAL}"))
        }
        Ok(false) => Finding::new(Level::Error, "bpffs", format!("{} is on no BPF file system", place.display()))
            .because("the filter can't be pinned there")
            .fix(format!("mount -t bpf bpf {}", place.display())),
        Err(error) => Finding::new(Level::Error, "bpffs", format!("{}: {error}", place.display()))
            .because("the filter can't be pinned there")
            .fix(format!("mkdir -p {0} && mount -t bpf bpf {0}", place.display())),
    }
}
