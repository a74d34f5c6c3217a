//! What a transfer mostly consists of: segments of an open flow that are neither its beginning nor its
//! end. They are handled before the rest of their headers is read.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::address::Address;
use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::{ConnectionKey, Mode};
use ftp_common::policy::{class, option};

use crate::clock::coarse_now;
use crate::flows::segments;
use crate::globals::LOOPBACK;
use crate::half_open_table;
use crate::maps::{CLOSED, FLOWS};
use crate::packet::{Layout, Memory, TcpHeader, payload};
use crate::scratch::{Current, scratch};

/// Classes of a source and a destination port, as `servers::classes` puts them.
const TO_PASSIVE: u32 = class::PASSIVE as u32;
const FROM_PASSIVE: u32 = TO_PASSIVE << 8;
const TO_ACTIVE: u32 = class::ACTIVE as u32;
const FROM_ACTIVE: u32 = TO_ACTIVE << 8;

/// Whether a segment is neither the beginning nor the end of a connection.
#[inline(always)]
pub(crate) fn is_inner(header: &TcpHeader) -> bool {
    header.flags & (SYN | FIN | RST | ACK) == ACK
}

/// Whether an inner segment can only pass, and was counted. False: look at it in full. `what`: classes of
/// its ports, and `policy::option` in the upper half.
#[inline(never)]
pub(crate) fn passes(skb: *mut __sk_buff, current: *mut Current, what: u32, egress: bool) -> bool {
    let (classes, options) = (what & 0xffff, what >> 16);
    if options & option::MARKS != 0 {
        return false;
    }
    let from_client = classes == TO_PASSIVE || classes == TO_ACTIVE;
    if !from_client && classes != FROM_PASSIVE && classes != FROM_ACTIVE {
        return false;
    }
    let accounts = options & option::NO_ACCOUNTING == 0;
    // SAFETY: this CPU's own value, valid for the whole run; no other reference to it is in use.
    let Current { layout, key, .. } = unsafe { &mut *current };
    let memory = Memory { skb };
    let Some(header) = memory.read::<TcpHeader>(layout.transport) else { return false };
    if !set_key(key, memory, layout, &header, from_client) {
        return false;
    }
    // Only handshakes that are not over make a difference to what passes.
    if !half_open_table::is_empty(half_open_table::bucket(key)) {
        return false;
    }
    // What isn't open passes, as it is no SYN: unless it begins a connection anew that the server has closed, or says
    // something of that.
    let closed = |key| (classes == TO_PASSIVE || classes == FROM_PASSIVE) && CLOSED.get_ptr(key).is_some();
    if !accounts {
        return !closed(&*key);
    }
    let Some(flow) = FLOWS.get_ptr_mut(&*key) else { return !closed(&*key) };
    // SAFETY: valid until the program returns; see `data::packet_of`.
    let flow = unsafe { &mut *flow };
    if !flow.is_open() {
        return false;
    }
    let Some((_, length)) = payload(memory, layout, &header) else { return false };
    let from_opener = (flow.mode == Mode::Passive.number()) == from_client;
    // SAFETY: the context is valid for the whole run.
    let interface = unsafe { (*skb).ifindex };
    if flow.counts_here(interface, egress, LOOPBACK.load() != 0, from_opener) {
        let Some(scratch) = scratch() else { return false };
        flow.account(from_client, segments(skb), length, coarse_now(&mut scratch.clock));
    }
    true
}

/// Sets the connection's key; false for addresses that need the full path: IPv6 ones that are link-local or
/// IPv4-mapped.
#[inline(always)]
fn set_key(key: &mut ConnectionKey, memory: Memory, layout: &Layout, header: &TcpHeader, from_client: bool) -> bool {
    let ConnectionKey { client, server, client_port, server_port, scope } = key;
    let (source, destination) = if from_client { (client, server) } else { (server, client) };
    if layout.v6 {
        let Some([from, to]) = memory.read::<[[u32; 4]; 2]>(layout.network + 8) else { return false };
        (*source, *destination) = (Address(from), Address(to));
        if source.is_v4() || destination.is_v4() || source.is_link_local() || destination.is_link_local() {
            return false;
        }
    } else {
        let Some([from, to]) = memory.read::<[u32; 2]>(layout.network + 12) else { return false };
        (*source, *destination) = (Address::from_v4_word(from), Address::from_v4_word(to));
    }
    let (source_port, destination_port) = (u16::from_be(header.source), u16::from_be(header.destination));
    (*client_port, *server_port) =
        if from_client { (source_port, destination_port) } else { (destination_port, source_port) };
    *scope = 0;
    true
}
