//! What ftptrack's program is measured by.
//!
//! | module | what it holds |
//! |---|---|
//! | here | a program that does nothing |
//! | [`drive`] | one that makes each packet of a BPF_PROG_TEST_RUN another than the one before |
//! | [`stopwatch`] | two that take the time of what runs between them |
//! | [`flood`] | a source of SYNs, and XDP's way to drop them |
#![no_std]
#![no_main]

mod drive;
mod flood;
mod stopwatch;

use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;

/// TCX_NEXT, TC_ACT_UNSPEC.
const PASS: i32 = -1;

/// The floor: what calling a program costs.
#[classifier]
pub(crate) fn empty(_: TcContext) -> i32 {
    PASS
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel asks for a licence that its helpers accept.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
