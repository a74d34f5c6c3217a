//! Whether a SYN-ACK agrees on Multipath TCP (RFC 8684 §3.1): then other connections may carry the
//! bytes of this one, and it can't be read.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;

use crate::packet::Packet;
use crate::scratch::Scratch;

/// The longest TCP options.
const LONGEST: u32 = 40;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MULTIPATH: u8 = 30;

/// Whether the options of a segment have one of kind 30.
#[inline(always)]
pub(crate) fn agreed(skb: *mut __sk_buff, packet: &Packet, scratch: &mut Scratch) -> bool {
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
    let mut turn = 0;
    while turn < LONGEST {
        turn += 1;
        let options = black_box(&mut *options);
        let at = options.at & 63;
        let length = u32::from(options.bytes[(at as usize + 1) & 63]);
        let step = match options.bytes[at as usize] {
            END => return false,
            MULTIPATH => return true,
            NO_OPERATION => 1,
            _ if length < 2 || at + length > LONGEST => return false,
            _ => length,
        };
        options.at = at + step;
    }
    false
}
