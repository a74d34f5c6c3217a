//! What a transfer mostly consists of: segments that are neither the beginning nor the end of a connection. Only SYNs are
//! let in or not, so they pass without a look-up, by two numbers of arrays, before the rest of their headers is read.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use ftp_common::address::Address;
use ftp_common::flow::is_worth_a_look;
use ftp_common::policy::{Config, class, option};
use ftp_common::{closed, half_open};

use crate::clock::jiffies;
use crate::half_open_table;
use crate::maps::CLOSED_UNTIL;
use crate::packet::{Layout, Memory, TcpHeader, payload};

/// Classes of a source and a destination port, as `servers::classes` puts them.
const TO_PASSIVE: u32 = class::PASSIVE as u32;
const FROM_PASSIVE: u32 = TO_PASSIVE << 8;
const TO_ACTIVE: u32 = class::ACTIVE as u32;
const FROM_ACTIVE: u32 = TO_ACTIVE << 8;

/// Whether an inner segment can only pass, and has nothing to tell. False: look at it in full. `classes`: of its ports.
#[inline(always)]
pub(crate) fn passes(skb: *mut __sk_buff, layout: &Layout, header: &TcpHeader, classes: u32, config: &Config) -> bool {
    let from_client = classes == TO_PASSIVE || classes == TO_ACTIVE;
    if !from_client && classes != FROM_PASSIVE && classes != FROM_ACTIVE || config.options & option::MARKS != 0 {
        return false;
    }
    let memory = Memory { skb };
    if !from_client && config.options & option::NO_ACCOUNTING == 0 {
        let Some((_, length)) = payload(memory, layout, header) else { return false };
        if is_worth_a_look(u32::from_be(header.seq), u32::from_be(header.ack), length) {
            return false;
        }
    }
    let ports = [u16::from_be(header.source), u16::from_be(header.destination)];
    let ports = if from_client { ports } else { [ports[1], ports[0]] };
    let hash = if layout.v6 {
        let places = layout.network << 1 | u32::from(from_client);
        hash_of_v6(skb, places, u32::from(ports[0]) << 16 | u32::from(ports[1]), config.seed)
    } else {
        let Some([source, destination]) = memory.read::<[u32; 2]>(layout.network + 12) else { return false };
        let [client, server] = if from_client { [source, destination] } else { [destination, source] };
        half_open::hash(&Address::from_v4_word(client), &Address::from_v4_word(server), ports, 0, config.seed)
    };
    if hash == FULL_PATH {
        return false;
    }
    // Handshakes that are not over, and what was denied.
    if !half_open_table::is_empty(half_open::bucket(hash)) {
        return false;
    }
    // What begins a connection anew that the server has closed, or says something of that.
    if classes == TO_ACTIVE || classes == FROM_ACTIVE {
        return true;
    }
    let Some(until) = CLOSED_UNTIL.get_ptr(closed::place(hash)) else { return false };
    // SAFETY: a value of an array map lives as long as the program.
    let until = unsafe { *until };
    until == 0 || closed::is_over(until, jiffies())
}

/// Instead of a hash: the full path knows it. (Which one in 2^64 has costs a look-up.)
const FULL_PATH: u64 = 0;

/// The hash of a connection over IPv6; [`FULL_PATH`] for link-local and IPv4-mapped addresses. `places`: where the network
/// header is, and in the lowest bit whether the client has sent it; `ports`: the client's and the server's. A function of
/// its own, as up to 6.x the frames of all that call one another have 512 bytes of stack, 32 at least each.
#[inline(never)]
fn hash_of_v6(skb: *mut __sk_buff, places: u32, ports: u32, seed: u64) -> u64 {
    // LLVM would hand over what is read of the context in its place, and the pointers to the packet as plain numbers.
    let memory = Memory { skb: black_box(skb) };
    let Some([source, destination]) = memory.read::<[[u32; 4]; 2]>((places >> 1) + 8) else { return FULL_PATH };
    let (source, destination) = (Address(source), Address(destination));
    if source.is_v4() || destination.is_v4() || source.is_link_local() || destination.is_link_local() {
        return FULL_PATH;
    }
    let [client, server] = if places & 1 != 0 { [&source, &destination] } else { [&destination, &source] };
    half_open::hash(client, server, [(ports >> 16) as u16, ports as u16], 0, seed)
}
