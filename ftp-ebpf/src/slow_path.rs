//! The slow path, for unusual packets: VLAN tags in packet memory, IPv6 extension headers, fragments,
//! headers outside of linear memory.
//!
//! Everything is read by `bpf_skb_load_bytes`, and the position is kept in a map value: the verifier
//! then knows nothing of it, and each turn of the loop looks the same to it.

use core::hint::black_box;

use aya_ebpf::bindings::__sk_buff;

use crate::globals::LINK_HEADER;
use crate::packet::{
    FRAGMENT_OFFSET, IPV4, IPV6, Ipv4Front, Ipv6Front, Layout, MORE_FRAGMENTS, Memory, TCP, TCP_HEADER, is_vlan,
};
use crate::scratch::Current;

/// What the slow path found.
pub(crate) mod found {
    /// No TCP.
    pub(crate) const OTHER: u32 = 0;
    /// TCP, the whole header.
    pub(crate) const TCP: u32 = 1;
    /// TCP behind a fragment that hides, or could overwrite, the header.
    pub(crate) const FRAGMENT: u32 = 2;
    /// More IPv6 extension headers than are followed.
    pub(crate) const TOO_MANY_HEADERS: u32 = 3;
    /// More priority tags than are followed.
    pub(crate) const TOO_MANY_TAGS: u32 = 4;
}

/// IPv6 extension headers that are followed before giving up; RFC 8504 §5.3 lets hosts give up too.
const EXTENSION_HEADERS: u32 = 8;
/// No header is searched beyond this offset.
const FARTHEST: u32 = 0xf00;
/// VLAN tags that are followed in packet memory (the outermost is usually in the skb's metadata).
const VLAN_TAGS: u32 = 2;
/// As above, where all of them are priority tags (VID 0). Those Linux strips at this very interface, however many they
/// are (`__netif_receive_skb_core`); with any other tag the packet belongs to another.
const PRIORITY_TAGS: u32 = 8;
const VLAN_ID: u16 = 0xfff;
/// The longest TCP header. A fragment that begins before this offset could overwrite one.
const LONGEST_TCP_HEADER: u32 = 60;

/// Finds the TCP header and leaves its place in `current`. One of [`found`].
#[inline(never)]
pub(crate) fn locate(skb: *mut __sk_buff, current: *mut Current) -> u32 {
    let memory = Memory { skb };
    // SAFETY: this CPU's own value; nothing else refers to it yet.
    let layout = unsafe { &mut (*current).layout };
    look(memory, layout).unwrap_or(found::OTHER)
}

/// `None`: the packet ends inside a header.
#[inline(always)]
fn look(memory: Memory, layout: &mut Layout) -> Option<u32> {
    let mut offset = u32::from(LINK_HEADER.load());
    let mut protocol = memory.protocol();
    if offset != 0 {
        protocol = u16::from_be(memory.load::<u16>(12)?);
        let mut elsewhere = memory.vlan_tag() & VLAN_ID != 0;
        let mut tags = 0;
        while tags < PRIORITY_TAGS && is_vlan(protocol) {
            if elsewhere && tags >= VLAN_TAGS {
                return None;
            }
            let [tag, inner] = memory.load::<[u16; 2]>(offset)?;
            elsewhere |= u16::from_be(tag) & VLAN_ID != 0;
            protocol = u16::from_be(inner);
            offset += 4;
            tags += 1;
        }
        if is_vlan(protocol) {
            return if elsewhere { None } else { Some(found::TOO_MANY_TAGS) };
        }
    }
    *layout = Layout { network: offset, ..Layout::default() };
    let layout = black_box(layout);
    match protocol {
        IPV4 => ipv4(memory, layout),
        IPV6 => ipv6(memory, layout),
        _ => None,
    }
}

#[inline(always)]
fn ipv4(memory: Memory, layout: &mut Layout) -> Option<u32> {
    let header = memory.load::<Ipv4Front>(layout.network)?;
    if header.protocol != TCP {
        return None;
    }
    let total = u32::from(u16::from_be(header.total_length));
    let fragment = u16::from_be(header.fragment);
    layout.transport = layout.network + u32::from(header.version_and_length & 15) * 4;
    layout.end = if total == 0 { 0 } else { layout.network + total };
    layout.fragmented = fragment & MORE_FRAGMENTS != 0;
    let begins = u32::from(fragment & FRAGMENT_OFFSET) * 8;
    if begins != 0 {
        return (begins < LONGEST_TCP_HEADER).then_some(found::FRAGMENT);
    }
    Some(transport(memory, layout))
}

#[inline(always)]
fn ipv6(memory: Memory, layout: &mut Layout) -> Option<u32> {
    let header = memory.load::<Ipv6Front>(layout.network)?;
    let length = u32::from(u16::from_be(header.payload_length));
    layout.v6 = true;
    layout.transport = layout.network + 40;
    layout.end = if length == 0 { 0 } else { layout.network + 40 + length };
    let mut next = header.next_header;
    let mut followed = 0;
    while followed < EXTENSION_HEADERS {
        let layout = black_box(&mut *layout);
        if next == TCP {
            return Some(transport(memory, layout));
        }
        // The IPv6 extension headers of RFC 8200, RFC 4302, RFC 6275, RFC 7401 and RFC 5533.
        if !matches!(next, 0 | 43 | 44 | 51 | 60 | 135 | 139 | 140) {
            return None;
        }
        let at = layout.transport;
        if at > FARTHEST {
            return Some(found::TOO_MANY_HEADERS);
        }
        // The chain of headers is cut: the rest is in another fragment (RFC 7112 forbids that).
        let Some([then, units, high, low]) = memory.load::<[u8; 4]>(at) else { return Some(found::FRAGMENT) };
        let units = u32::from(units);
        layout.transport = at
            + match next {
                44 => 8,
                51 => (units + 2) * 4,
                _ => (units + 1) * 8,
            };
        if next == 44 {
            layout.fragmented = true;
            let begins = u32::from(u16::from_be_bytes([high, low]) & 0xfff8);
            if begins != 0 {
                return (begins < LONGEST_TCP_HEADER).then_some(found::FRAGMENT);
            }
        }
        next = then;
        followed += 1;
    }
    Some(if next == TCP { transport(memory, layout) } else { found::TOO_MANY_HEADERS })
}

/// Whether the whole TCP header, with its options, is in this packet. A header that goes on in the next
/// fragment is none that can be judged by its first one.
#[inline(always)]
fn transport(memory: Memory, layout: &Layout) -> u32 {
    if layout.transport > FARTHEST {
        return found::TOO_MANY_HEADERS;
    }
    let Some(offset) = memory.load::<u8>(layout.transport + 12) else { return found::FRAGMENT };
    let length = u32::from(offset >> 4) * 4;
    let header_end = layout.transport + if length > TCP_HEADER { length } else { TCP_HEADER };
    if header_end > memory.length() || layout.end != 0 && header_end > layout.end {
        found::FRAGMENT
    } else {
        found::TCP
    }
}
