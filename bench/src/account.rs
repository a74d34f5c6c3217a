//! What the kernel itself says that programs took.

use std::fs;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use aya::programs::{ProgramFd, loaded_programs};
use aya::sys::{Stats, enable_stats};
use ftptrack_tests::hosts::network::Host;
use ftptrack_tests::subject::hooks;

/// The kernel keeps accounts for as long as this lives, as by `kernel.bpf_stats_enabled`: it ends with this process,
/// however that ends. Each run of any program takes two readings of a clock more.
#[track_caller]
pub(crate) fn kept() -> OwnedFd {
    enable_stats(Stats::RunTime).expect("Linux 5.8 or later, and root")
}

/// The programs at a host's interface.
pub(crate) struct Account {
    programs: Vec<ProgramFd>,
}

/// What they took so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Taken {
    pub(crate) nanoseconds: u64,
    pub(crate) packets: u64,
}

impl Account {
    /// Of all that are attached there now.
    #[track_caller]
    pub(crate) fn of(host: &Host) -> Self {
        let mut ids: Vec<_> = hooks::attached(host).into_iter().map(|program| program.id).collect();
        // One program may be at both hooks.
        ids.sort_unstable();
        ids.dedup();
        assert!(!ids.is_empty(), "something is attached");
        let programs = loaded_programs().flatten().filter(|info| ids.contains(&info.id()));
        Self { programs: programs.map(|info| info.fd().expect("root may")).collect() }
    }

    /// Since they were loaded.
    pub(crate) fn taken(&self) -> Taken {
        let mut sum = Taken::default();
        for program in &self.programs {
            let path = format!("/proc/self/fdinfo/{}", program.as_fd().as_raw_fd());
            let text = fs::read_to_string(path).expect("proc is mounted");
            let number = |name: &str| -> u64 {
                let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
                line.and_then(|value| value.trim().parse().ok()).expect("programs say it")
            };
            sum.nanoseconds += number("run_time_ns");
            sum.packets += number("run_cnt");
        }
        sum
    }
}
