//! Which TCP options a segment has.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;

use crate::packet::Packet;
use crate::scratch::{Options, Scratch, scratch};

/// The longest TCP options.
const LONGEST: u32 = 40;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
/// Multipath TCP (RFC 8684 §3.1): other connections may carry the bytes of this one, and it can't be read.
pub(crate) const MULTIPATH: u8 = 30;
/// TCP Fast Open (RFC 7413 §4.1.1): the host takes a connection by its SYN.
pub(crate) const FAST_OPEN: u8 = 34;
/// Experiments (RFC 6994); Fast Open was one.
const EXPERIMENT: u8 = 254;
const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// Whether the options of a segment have one of this kind.
#[inline(always)]
pub(crate) fn has(skb: *mut __sk_buff, packet: &Packet, scratch: &mut Scratch, kind: u8) -> bool {
    let size = packet.options;
    if size == 0 || size > LONGEST {
        return false;
    }
    let options = &mut scratch.options;
    options.bytes = [0; 64];
    options.at = 0;
    let from = packet.payload.wrapping_sub(size);
    // Provably never zero and never more than the buffer.
    let size = (size.wrapping_sub(1) & 63) + 1;
    // SAFETY: the buffer has 64 bytes and `size` is no more.
    if unsafe { bpf_skb_load_bytes(skb.cast(), from, options.bytes.as_mut_ptr().cast(), size) } != 0 {
        return false;
    }
    has_option(u32::from(kind)) != 0
}

/// Whether the options in `scratch` have one of this kind. Global functions (see [`crate::control_stream`]): the
/// verifier follows the loop once, not at each call, and what is done with an option once, not at each turn.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn has_option(kind: u32) -> u32 {
    let mut turn = 0;
    while turn < LONGEST {
        turn += 1;
        let found = option_is(kind);
        if found != GO_ON {
            return found;
        }
    }
    NOT
}

const NOT: u32 = 0;
const FOUND: u32 = 1;
const GO_ON: u32 = 2;

/// Whether the next option is of this kind; one of the above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn option_is(kind: u32) -> u32 {
    let Some(Scratch { options, .. }) = scratch() else { return NOT };
    let kind = kind as u8;
    let at = options.at & 63;
    let length = u32::from(options.bytes[(at as usize + 1) & 63]);
    let step = match options.bytes[at as usize] {
        END => return NOT,
        found if found == kind => return FOUND,
        EXPERIMENT if kind == FAST_OPEN && is_fast_open_experiment(options) => return FOUND,
        NO_OPERATION => 1,
        _ if length < 2 || at + length > LONGEST => return NOT,
        _ => length,
    };
    options.at = at + step;
    GO_ON
}

#[inline(always)]
fn is_fast_open_experiment(options: &Options) -> bool {
    let at = options.at as usize;
    [options.bytes[(at + 2) & 63], options.bytes[(at + 3) & 63]] == FAST_OPEN_EXPERIMENT
}
