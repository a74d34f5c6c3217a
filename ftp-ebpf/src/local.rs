//! Whether an address is this host's: by its routing table, which knows one from its first moment on.

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::generated::bpf_fib_lookup;

use crate::packet::Packet;
use crate::scratch::scratch;

/// `struct bpf_fib_lookup`, as far as it is asked with; network byte order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Route {
    family: u8,
    protocol: u8,
    source_port: u16,
    destination_port: u16,
    length: u16,
    interface: u32,
    flow: u32,
    source: [u32; 4],
    destination: [u32; 4],
    vlan: u32,
    link_addresses: [u16; 6],
}

const _: () = assert!(size_of::<Route>() == 64);

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// BPF_FIB_LKUP_RET_NOT_FWDED and BPF_FIB_LKUP_RET_FWD_DISABLED: it is for this host, or for nobody.
const NOT_FORWARDED: i64 = 4;
const FORWARDING_DISABLED: i64 = 5;

/// Whether the destination is an address of this host, or the packet goes nowhere.
#[inline(never)]
pub(crate) fn is_local(skb: *mut __sk_buff, packet: &Packet) -> bool {
    let Some(scratch) = scratch() else { return false };
    let v4 = packet.destination.is_v4();
    let route = &mut scratch.route;
    *route = Route {
        family: if v4 { AF_INET } else { AF_INET6 },
        protocol: crate::packet::TCP,
        interface: packet.interface,
        ..Route::default()
    };
    if v4 {
        route.source[0] = packet.source.0[3];
        route.destination[0] = packet.destination.0[3];
    } else {
        route.source = packet.source.0;
        route.destination = packet.destination.0;
    }
    // SAFETY: the structure has the kernel's shape and size.
    let result = unsafe { bpf_fib_lookup(skb.cast(), (&raw mut *route).cast(), size_of::<Route>() as i32, 0) };
    result == NOT_FORWARDED || result == FORWARDING_DISABLED
}
