//! Makes each packet of a BPF_PROG_TEST_RUN another than the one before, and hands it on.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_get_prandom_u32;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::TcContext;

/// TC_ACT_SHOT: nothing that is measured gets here.
const DROP: i32 = 2;

/// Ethernet, IPv4 and TCP without options.
const HEADERS: usize = 54;
/// Where the IPv4 source address lies.
const SOURCE: usize = 26;
/// Where the TCP sequence number lies.
const SEQUENCE: usize = 38;

/// How many source addresses there are, from `FIRST_SOURCE` on. 0: the packet's own stays.
#[unsafe(no_mangle)]
static SOURCES: Global<u32> = Global::new(0);
/// The first of them, host byte order.
#[unsafe(no_mangle)]
static FIRST_SOURCE: Global<u32> = Global::new(0);
/// 1: one of them at random; 0: one after the other.
#[unsafe(no_mangle)]
static AT_RANDOM: Global<u32> = Global::new(0);
/// What the sequence number rises by with each packet. 0: the packet's own stays.
#[unsafe(no_mangle)]
static ADVANCE: Global<u32> = Global::new(0);
/// The first packet's sequence number.
#[unsafe(no_mangle)]
static FIRST_SEQUENCE: Global<u32> = Global::new(0);

/// How many packets there were.
#[map]
static RUNS: Array<u32> = Array::with_max_entries(1, 0);
/// The program that is measured.
#[map]
static NEXT: ProgramArray = ProgramArray::with_max_entries(1, 0);

/// Changes the packet, and calls the program in NEXT.
#[classifier]
pub(crate) fn drive(context: TcContext) -> i32 {
    let Some(runs) = RUNS.get_ptr_mut(0) else { return DROP };
    // SAFETY: a value of an array map lives as long as the program; one packet is run at a time.
    let run = unsafe { runs.read() };
    // SAFETY: as above.
    unsafe { runs.write(run.wrapping_add(1)) };
    let start = context.data();
    if start + HEADERS > context.data_end() {
        return DROP;
    }
    let sources = SOURCES.load();
    if sources != 0 {
        let at = if AT_RANDOM.load() != 0 {
            // SAFETY: it takes nothing.
            ((u64::from(unsafe { bpf_get_prandom_u32() }) * u64::from(sources)) >> 32) as u32
        } else {
            run
        };
        let source = FIRST_SOURCE.load().wrapping_add(at).to_be();
        // SAFETY: in bounds by the check.
        unsafe { ((start + SOURCE) as *mut u32).write_unaligned(source) };
    }
    let advance = ADVANCE.load();
    if advance != 0 {
        let sequence = FIRST_SEQUENCE.load().wrapping_add(run.wrapping_mul(advance)).to_be();
        // SAFETY: in bounds by the check.
        unsafe { ((start + SEQUENCE) as *mut u32).write_unaligned(sequence) };
    }
    // SAFETY: the context is the one that we got.
    unsafe { NEXT.tail_call(&context, 0) };
    DROP
}
