//! What the kernel has.

use super::{Finding, Level};
use crate::ebpf::features::Features;

/// Whether the programs can do their work here, and by which hook.
pub(super) fn check() -> Vec<Finding> {
    match Features::now() {
        Ok(features) => findings(features),
        Err(failure) => vec![Finding::not_checked("kernel", failure.complaint())],
    }
}

fn findings(features: &Features) -> Vec<Finding> {
    let missing = features.missing();
    let mut findings = vec![if missing.is_empty() {
        Finding::ok("kernel", format!("Linux {features}"))
    } else {
        let what = format!("Linux {} has no {}", features.release, missing.join(", no "));
        let why = "the programs can't be loaded: it takes Linux 5.10 or later, with CONFIG_BPF_SYSCALL, \
                   CONFIG_DEBUG_INFO_BTF and CONFIG_NET_CLS_ACT";
        Finding::new(Level::Error, "kernel", what).because(why).fix("apt-get install linux-image-amd64 && reboot")
    }];
    if !features.tcx {
        let what = format!("Linux {} has no TCX, which came with 6.6: clsact is used", features.release);
        let why = "any program that somebody adds at the first priority later runs before ftptrack";
        findings.push(Finding::new(Level::Note, "kernel", what).because(why));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_an_error_and_no_tcx_a_note() {
        let whole = Features {
            release: "6.18.5".to_owned(),
            tcx: true,
            classifier: true,
            lpm_trie: true,
            global_functions: true,
            batch_lookup: true,
            ring_buffer: true,
        };
        assert_eq!(findings(&whole)[0].level, Level::Ok);
        assert_eq!(findings(&whole).len(), 1);
        let old = Features { tcx: false, ring_buffer: false, ..whole };
        let found = findings(&old);
        assert_eq!([found[0].level, found[1].level], [Level::Error, Level::Note]);
        assert_eq!(found[0].what, "Linux 6.18.5 has no ring buffers (5.8)");
    }
}
