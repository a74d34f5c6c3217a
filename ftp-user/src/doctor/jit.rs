//! Whether programs become machine code.

use std::fs;
use std::os::fd::AsFd as _;

use super::{Finding, Level};
use crate::sys::bpf;

/// It is not there in network namespaces other than the first.
const SETTING: &str = "/proc/sys/net/core/bpf_jit_enable";

/// Loads a program that does nothing, and asks what became of it.
pub(super) fn check() -> Finding {
    let machine_code = bpf::load_nothing().and_then(|program| bpf::program_info(program.as_fd()));
    match machine_code {
        Ok((_, length)) => finding(length != 0, fs::read_to_string(SETTING).ok().as_deref()),
        Err(error) => {
            Finding::not_checked("jit", format!("no program can be loaded to see what becomes of it: {error}"))
        }
    }
}

fn finding(is_compiled: bool, setting: Option<&str>) -> Finding {
    if !is_compiled {
        let why = "each packet of the interface costs several times as much";
        return Finding::new(Level::Warning, "jit", "the kernel interprets programs (net.core.bpf_jit_enable is 0)")
            .because(why)
            .fix("sysctl -w net.core.bpf_jit_enable=1");
    }
    if setting.is_some_and(|setting| setting.trim() == "2") {
        let why = "the kernel's log fills with the machine code of each program";
        return Finding::new(Level::Note, "jit", "net.core.bpf_jit_enable is 2, which is for debugging")
            .because(why)
            .fix("sysctl -w net.core.bpf_jit_enable=1");
    }
    Finding::ok("jit", "programs become machine code")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interpreted_program_is_a_warning_and_debugging_a_note() {
        assert_eq!(finding(false, None).level, Level::Warning);
        assert_eq!(finding(true, Some("2\n")).level, Level::Note);
        assert_eq!(finding(true, Some("1\n")).level, Level::Ok);
        assert_eq!(finding(true, None).level, Level::Ok);
    }
}
