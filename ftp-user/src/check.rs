//! What this process may do and what this kernel can do, asked before anything is made.

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported};
use rustix::thread::{CapabilitySet, capabilities};

use crate::failure::{Failure, OrFail as _};

/// What loading and attaching takes. `CAP_SYS_ADMIN` includes `CAP_BPF` and `CAP_PERFMON`.
const NEEDED: [(CapabilitySet, &str); 3] = [
    (CapabilitySet::BPF, "CAP_BPF"),
    (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
    // Without it the verifier follows speculative paths too, and refuses arithmetic on pointers.
    (CapabilitySet::PERFMON, "CAP_PERFMON"),
];

/// Whether this process may load and attach.
///
/// # Errors
///
/// The capabilities that are missing.
pub fn privileges() -> Result<(), Failure> {
    let effective = capabilities(None).or_fail("capabilities", "run as root")?.effective;
    let missing = missing(effective);
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::failed(
        "run",
        format_args!("it needs {}, which this process has not", missing.join(" and ")),
        "run as root, or give them with setcap or systemd's AmbientCapabilities",
    ))
}

fn missing(effective: CapabilitySet) -> Vec<&'static str> {
    let admin = effective.contains(CapabilitySet::SYS_ADMIN);
    NEEDED
        .iter()
        .filter(|(capability, _)| !effective.contains(*capability))
        .filter(|(capability, _)| !admin || *capability == CapabilitySet::NET_ADMIN)
        .map(|(_, name)| *name)
        .collect()
}

/// Whether this kernel has what the kernel program needs: asked of the kernel, since distributions
/// carry features back.
///
/// # Errors
///
/// The first thing that it has not, with the version that brought it.
pub fn kernel() -> Result<(), Failure> {
    require(is_program_supported(ProgramType::SchedClassifier), "programs at TC", "4.1")?;
    require(is_map_supported(MapType::LpmTrie), "LPM tries", "4.11")?;
    require(is_map_supported(MapType::RingBuf), "BPF ring buffers", "5.8")?;
    let bpf_loop = is_helper_supported(ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_loop);
    require(bpf_loop, "the helper bpf_loop", "5.17")
}

fn require<E: std::error::Error>(has: Result<bool, E>, what: &str, since: &str) -> Result<(), Failure> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let given = format!("Linux {}", release.trim());
    if has.or_fail(&given, "run as root, outside of a container that forbids bpf(2)")? {
        return Ok(());
    }
    Err(Failure::failed(
        given,
        format_args!("it has not {what}, which came with {since}"),
        "use Linux 5.17 or later, with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_ACT",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(missing(CapabilitySet::empty()), ["CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"]);
        assert_eq!(missing(CapabilitySet::SYS_ADMIN), ["CAP_NET_ADMIN"]);
        assert!(missing(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN).is_empty());
    }
}
