//! A flood of SYNs without a sender: BPF_PROG_TEST_RUN with live frames makes packets, and this program sends each
//! of them, as another client's, out of an interface. The other end of its cable then has packets to drop.

use aya_ebpf::Global;
use aya_ebpf::bindings::xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS};
use aya_ebpf::helpers::{bpf_get_prandom_u32, bpf_redirect};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::XdpContext;

/// Ethernet, IPv4 and TCP without options.
const HEADERS: usize = 54;
/// Where the IPv4 header's identification lies, and the lower half of its source address.
const IDENTIFICATION: usize = 18;
const SOURCE_LOW: usize = 28;
/// Where TCP's source and destination ports lie.
const SOURCE_PORT: usize = 34;
const DESTINATION_PORT: usize = 36;
/// Where IPv4's protocol lies, and TCP's flags.
const PROTOCOL: usize = 23;
const FLAGS: usize = 47;

const TCP: u8 = 6;
const SYN: u8 = 2;
const ACK: u8 = 16;

/// The interface to send them out of.
#[unsafe(no_mangle)]
static OUT_OF: Global<u32> = Global::new(0);
/// The ports that they go to: how many, and the first.
#[unsafe(no_mangle)]
static TO_PORTS: Global<u32> = Global::new(1);
#[unsafe(no_mangle)]
static FIRST_PORT: Global<u32> = Global::new(0);

/// What `refuse` has dropped.
#[map]
static REFUSED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Makes the frame a SYN of any client's to any of the ports, and sends it.
///
/// The address and the identification are each other's complement, so the header's checksum stays right; it must be
/// right for 0 and 0xffff. TCP's is wrong: nobody who drops SYNs asks.
#[xdp]
pub(crate) fn flood(context: XdpContext) -> u32 {
    let start = context.data();
    if start + HEADERS > context.data_end() {
        return XDP_ABORTED;
    }
    // SAFETY: it takes nothing.
    let random = unsafe { bpf_get_prandom_u32() };
    let low = random as u16;
    let port = ((random >> 16) * TO_PORTS.load()) >> 16;
    let to = (FIRST_PORT.load() + port) as u16;
    for (at, value) in
        [(IDENTIFICATION, !low), (SOURCE_LOW, low), (SOURCE_PORT, (low ^ to) | 0x8000), (DESTINATION_PORT, to)]
    {
        // SAFETY: in bounds by the check.
        unsafe { ((start + at) as *mut u16).write_unaligned(value.to_be()) };
    }
    // SAFETY: it takes numbers.
    (unsafe { bpf_redirect(OUT_OF.load(), 0) }) as u32
}

/// Drops first SYNs to these ports: what XDP can do at best with what must not pass.
#[xdp]
pub(crate) fn refuse(context: XdpContext) -> u32 {
    let (start, end) = (context.data(), context.data_end());
    if start + HEADERS > end {
        return XDP_PASS;
    }
    // SAFETY: in bounds by the check before it.
    let byte = |at: usize| unsafe { ((start + at) as *const u8).read() };
    // SAFETY: as above.
    let port = u16::from_be(unsafe { ((start + DESTINATION_PORT) as *const u16).read_unaligned() });
    let is_syn = byte(PROTOCOL) == TCP && byte(FLAGS) & (SYN | ACK) == SYN;
    if !is_syn || u32::from(port).wrapping_sub(FIRST_PORT.load()) >= TO_PORTS.load() {
        return XDP_PASS;
    }
    if let Some(refused) = REFUSED.get_ptr_mut(0) {
        // SAFETY: a CPU has one packet in hand at a time, and the value is its own.
        unsafe { *refused += 1 };
    }
    XDP_DROP
}
