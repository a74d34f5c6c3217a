//! What time it is.

use aya_ebpf::helpers::{bpf_jiffies64, bpf_ktime_get_ns};

use crate::scratch::Clock;

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Ticks of the kernel's clock. Inlined by the verifier of every kernel.
#[inline(always)]
pub(crate) fn jiffies() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }
}

/// As [`now`], but behind by up to a jiffy (1 to 10 ms), which is all that most need: reading the clock
/// takes longer (30 ns) than looking up a flow's entry.
#[inline(always)]
pub(crate) fn coarse_now(clock: &mut Clock) -> u64 {
    let jiffies = jiffies();
    if clock.jiffies != jiffies {
        *clock = Clock { jiffies, time: now() };
    }
    clock.time
}
