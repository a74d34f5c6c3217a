//! What a transfer mostly consists of: segments that are neither the beginning nor the end of a connection. Only SYNs are
//! let in or not, so they pass without a look-up, by two numbers of arrays, before the rest of their headers is read.

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
    let Some(hash) = hash(memory, layout, header, from_client, config.seed) else { return false };
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

/// The hash of the connection; `None` for addresses that need the full path: IPv6 ones that are link-local or
/// IPv4-mapped.
#[inline(always)]
fn hash(memory: Memory, layout: &Layout, header: &TcpHeader, from_client: bool, seed: u64) -> Option<u64> {
    let (source, destination) = if layout.v6 {
        let [source, destination] = memory.read::<[[u32; 4]; 2]>(layout.network + 8)?;
        let (source, destination) = (Address(source), Address(destination));
        if source.is_v4() || destination.is_v4() || source.is_link_local() || destination.is_link_local() {
            return None;
        }
        (source, destination)
    } else {
        let [source, destination] = memory.read::<[u32; 2]>(layout.network + 12)?;
        (Address::from_v4_word(source), Address::from_v4_word(destination))
    };
    let ports = [u16::from_be(header.source), u16::from_be(header.destination)];
    Some(if from_client {
        half_open::hash(&source, &destination, ports, 0, seed)
    } else {
        half_open::hash(&destination, &source, [ports[1], ports[0]], 0, seed)
    })
}
