//! What this kernel can do, asked before anything is made.

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported, is_program_supported};

use crate::failure::{Failure, OrFail as _};

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
