//! Which ports and which servers have a policy.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::maps::lpm_trie::Key;
use ftp_common::address::Address;
use ftp_common::keys::{Mode, ServerKey};
use ftp_common::policy::{Config, MAX_POLICIES, ServerPolicy, class, option};

use crate::local;
use crate::maps::{CONFIG, POLICIES, PORTS, SERVERS};
use crate::packet::Packet;

/// What selects the active policy. One word selects everything, so applying is atomic.
#[inline(always)]
pub(crate) fn config() -> Option<&'static Config> {
    let config = CONFIG.get_ptr(0)?;
    // SAFETY: a value of an array map lives as long as the program.
    Some(unsafe { &*config })
}

/// Bits of `policy::option`.
#[inline(always)]
pub(crate) fn options() -> u32 {
    config().map_or(0, |config| config.options)
}

/// Classes of two ports (network byte order), source in the second byte and destination in the first:
/// constant time whatever the policy's size. 0: the packet is none of our business.
#[inline(always)]
pub(crate) fn classes(generation: u32, source: u16, destination: u16) -> u32 {
    let Some(classes) = PORTS.get_ptr(generation & 1) else { return 0 };
    // SAFETY: as above.
    let classes = unsafe { &*classes };
    u32::from(classes.of(source)) << 8 | u32::from(classes.of(destination))
}

/// The class of a port (host byte order) in the active policy.
#[inline(always)]
pub(crate) fn class_of(port: u16) -> u8 {
    config().map_or(0, |config| classes(config.generation, 0, in_network_order(port))) as u8
}

/// The black box makes LLVM bound the number again after the swap: before 6.19 the verifier can't.
#[inline(always)]
fn in_network_order(port: u16) -> u16 {
    black_box(port.to_be())
}

/// Makes packets to and from a client's port (host byte order) tracked: a data connection is expected
/// there, from any port of the server. The mark stays; it costs later packets of that port a lookup.
#[inline(always)]
pub(crate) fn expect_at(port: u16) {
    let port = in_network_order(port);
    // In the next generation's classes too: they may be about to become active.
    // The active half first: who copies its marks into the other then sees this one, or is overwritten by it.
    let active = config().map_or(0, |config| config.generation & 1);
    for half in [active, active ^ 1] {
        let Some(classes) = PORTS.get_ptr_mut(half) else { return };
        // SAFETY: a value of an array map lives as long as the program; one byte is changed, and another
        // CPU's change to the same byte could only be the same one.
        unsafe { (*classes).mark_network(port, class::EXPECTED) };
    }
}

/// The policy of a server, if the address is one. A function of its own, as the key takes room on the
/// stack, of which all frames together have 512 bytes.
#[inline(never)]
pub(crate) fn policy(generation: u32, address: &Address) -> Option<&'static ServerPolicy> {
    let key = Key::new(ServerKey::BITS, ServerKey { generation, address: *address });
    let place = *SERVERS.get(&key)?;
    if place >= MAX_POLICIES {
        return None;
    }
    let policy = POLICIES.get_ptr((generation & 1) * MAX_POLICIES + place)?;
    // SAFETY: a value of an array map lives as long as the program, and this half of it is written
    // only while another generation is active.
    Some(unsafe { &*policy })
}

/// The policy for this host's own addresses, where a SYN goes to or comes from one that SERVERS has not got: it was
/// given to the host a moment ago.
#[inline(always)]
pub(crate) fn own_policy(
    skb: *mut __sk_buff,
    packet: &Packet,
    generation: u32,
    mode: Mode,
) -> Option<&'static ServerPolicy> {
    let own = options() & option::OWN_ADDRESSES != 0
        && if mode == Mode::Passive {
            !packet.egress && packet.to_us && local::is_local(skb, packet)
        } else {
            packet.local
        };
    if !own {
        return None;
    }
    let policy = POLICIES.get_ptr((generation & 1) * MAX_POLICIES)?;
    // SAFETY: as in `policy`.
    Some(unsafe { &*policy })
}
