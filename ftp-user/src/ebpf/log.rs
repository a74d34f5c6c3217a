//! The kernel program's own diagnostics, for `-v`.

use aya::Ebpf;
use aya_log::{EbpfLogger, Level};

use crate::ebpf::ring::watch;
use crate::error::{Failure, OrFail as _};

/// The level at which the kernel program logs, given how often `-v` was given. 0 is off: the
/// verifier then removes all of it.
#[must_use]
pub const fn level(verbose: u8) -> u8 {
    match verbose {
        0 => 0,
        1 => Level::Debug as u8,
        _ => Level::Trace as u8,
    }
}

/// Begins to show what an object's programs log.
///
/// # Errors
///
/// The object logs nothing, or the kernel refuses.
pub fn show(object: &mut Ebpf) -> Result<(), Failure> {
    let hint = "go on without -v";
    let logger = EbpfLogger::init(object).or_fail("-v", hint)?;
    let mut logger = watch(logger).or_fail("-v", hint)?;
    tokio::spawn(async move {
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
    Ok(())
}
