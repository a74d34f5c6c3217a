//! Atomic addition without a result: BPF has it on every kernel (those that return the old value came with
//! 5.12), and Rust's atomics of this target have none.

/// Adds to a value in a map.
#[inline(always)]
pub(crate) fn add(to: *mut u32, value: u32) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: a pointer to a map value, checked by the verifier; four bytes are written, atomically.
    unsafe {
        core::arch::asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) to, in(reg) u64::from(value), options(nostack, preserves_flags));
    }
    // The host only checks this crate.
    #[cfg(not(target_arch = "bpf"))]
    let _ = (to, value);
}

/// As [`add`], 64 bits.
#[inline(always)]
pub(crate) fn add64(to: *mut u64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as above, eight bytes.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) to, in(reg) value, options(nostack, preserves_flags));
    }
    // The host only checks this crate.
    #[cfg(not(target_arch = "bpf"))]
    let _ = (to, value);
}

/// Makes what was written before visible to other CPUs before what is read from now on. `place`: any value that is
/// this CPU's own. So on x86; on ARM an addition without a result orders nothing, and those with one came with 5.12.
#[inline(always)]
pub(crate) fn fence(place: &mut u32) {
    add(place, 0);
}
