//! Takes the time of the programs that stand between two of ours, by the kind of packet: one stands first in the chain
//! and one last, and each lets all pass.

use aya_ebpf::EbpfContext as _;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{classifier, map};
use aya_ebpf::maps::{HashMap, PerCpuArray};
use aya_ebpf::programs::TcContext;

use crate::PASS;

/// The kinds that there is room for.
const KINDS: u32 = 256;

const ETHERNET: usize = 14;
/// An IPv4 header without options, as these hosts send it.
const IPV4: usize = 20;
/// Where the ethernet type lies; the IPv4 length, protocol; TCP's ports, and its data offset with the flags.
const TYPE: usize = 12;
const TOTAL_LENGTH: usize = ETHERNET + 2;
const PROTOCOL: usize = ETHERNET + 9;
const PORTS: usize = ETHERNET + IPV4;
const OFFSET_AND_FLAGS: usize = PORTS + 12;

const TCP: u8 = 6;
const CONTROL: u16 = 21;
/// FIN, SYN, RST.
const BEGINS_AND_ENDS: u8 = 7;
/// Ethernet type of IPv4.
const OF_IPV4: u16 = 0x0800;

/// What there is to tell packets apart by.
#[repr(C)]
#[derive(Clone, Copy)]
struct Kind {
    /// 1: going out.
    out: u8,
    /// 1: of a control connection.
    control: u8,
    /// FIN, SYN and RST.
    flags: u8,
    /// 1: it carries something.
    carries: u8,
    /// The first four bytes of a control connection's text.
    word: [u8; 4],
}

/// What packets of one kind took.
#[repr(C)]
#[derive(Clone, Copy)]
struct Spent {
    nanoseconds: u64,
    packets: u64,
}

/// When the packet in hand came to the first program.
#[map]
static BEGUN: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
/// What was spent, by kind.
#[map]
static SPENT: HashMap<Kind, Spent> = HashMap::with_max_entries(KINDS, 0);

/// First in the chain.
#[classifier]
pub(crate) fn before(_: TcContext) -> i32 {
    if let Some(begun) = BEGUN.get_ptr_mut(0) {
        // SAFETY: it takes nothing.
        let now = unsafe { bpf_ktime_get_ns() };
        // SAFETY: a CPU has one packet in hand at a time, and the value is its own.
        unsafe { begun.write(now) };
    }
    PASS
}

/// Last in the chain.
#[classifier]
pub(crate) fn after(context: TcContext) -> i32 {
    // SAFETY: it takes nothing.
    let now = unsafe { bpf_ktime_get_ns() };
    let Some(begun) = BEGUN.get_ptr(0) else { return PASS };
    // SAFETY: as above.
    let nanoseconds = now.wrapping_sub(unsafe { begun.read() });
    let Ok(Some(kind)) = kind(&context) else { return PASS };
    if let Some(spent) = SPENT.get_ptr_mut(kind) {
        // SAFETY: nothing is ever removed. Two CPUs at once may lose one of many thousand packets.
        let before = unsafe { spent.read() };
        let sum = Spent {
            nanoseconds: before.nanoseconds.wrapping_add(nanoseconds),
            packets: before.packets.wrapping_add(1),
        };
        // SAFETY: as above.
        unsafe { spent.write(sum) };
    } else {
        // No room: the reader finds that packets are missing.
        let _ = SPENT.insert(kind, Spent { nanoseconds, packets: 1 }, 0);
    }
    PASS
}

/// Nothing: it isn't TCP over IPv4.
fn kind(context: &TcContext) -> Result<Option<Kind>, core::ffi::c_long> {
    if u16::from_be(context.load(TYPE)?) != OF_IPV4 || context.load::<u8>(PROTOCOL)? != TCP {
        return Ok(None);
    }
    let [from, to]: [u16; 2] = context.load(PORTS)?;
    let control = from == CONTROL.to_be() || to == CONTROL.to_be();
    let [offset, flags]: [u8; 2] = context.load(OFFSET_AND_FLAGS)?;
    let header = usize::from(offset >> 4) * 4;
    let total = usize::from(u16::from_be(context.load(TOTAL_LENGTH)?));
    let carries = total > IPV4 + header;
    let word = if control && carries { context.load(PORTS + header)? } else { [0; 4] };
    // SAFETY: the kernel's context lives as long as the program runs. A packet that this host sends came in by no
    // interface.
    let out = unsafe { (*context.as_ptr().cast::<aya_ebpf::bindings::__sk_buff>()).ingress_ifindex } == 0;
    let flags = flags & BEGINS_AND_ENDS;
    Ok(Some(Kind { out: out.into(), control: control.into(), flags, carries: carries.into(), word }))
}
