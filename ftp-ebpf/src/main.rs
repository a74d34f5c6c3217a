//! ftptrack's TC program: the same both ways, one entry for each hook.
//!
//! A packet's way: [`packet`] finds the TCP header, [`servers`] classifies its ports (nothing: pass,
//! after a few nanoseconds), [`control`] follows control connections, reads their text by [`text`]
//! and makes [`expectations`] (of encrypted text [`ranges`]), of open flows [`transfer`] counts the packets, [`data`] lets
//! expected data connections in ([`claim`]) and follows [`flows`], [`verdict`] denies,
//! [`report`] counts and tells.
#![no_std]
#![no_main]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "without the borrow a key or value would be copied to the stack, which has 512 bytes"
)]

mod adopt;
mod claim;
mod clock;
mod control;
mod data;
mod expectations;
mod flows;
mod globals;
mod handshake;
mod lifecycle;
mod limit;
mod locate;
mod maps;
mod multipath;
mod packet;
mod ranges;
mod report;
mod scratch;
mod servers;
mod text;
mod transfer;
mod verdict;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use ftp_common::counter::Counter;
use ftp_common::keys::ConnectionKey;
use ftp_common::policy::Config;

use locate::found;
use packet::{Layout, Located, Memory};
use scratch::Current;
use verdict::{DROP, PASS, deny};

/// Packets that come in by the interface.
#[classifier]
pub(crate) fn ftptrack_ingress(context: TcContext) -> i32 {
    handle(context.skb.skb, false)
}

/// Packets that leave by the interface.
#[classifier]
pub(crate) fn ftptrack_egress(context: TcContext) -> i32 {
    handle(context.skb.skb, true)
}

#[inline(always)]
fn handle(skb: *mut __sk_buff, egress: bool) -> i32 {
    let Some(&Config { generation, options }) = servers::config() else { return PASS };
    let Some(current) = scratch::current() else { return PASS };
    let classes = match packet::quick_look(Memory { skb }) {
        Located::Tcp(layout, header) => {
            let classes = servers::classes(generation, header.source, header.destination);
            if classes == 0 {
                return PASS; // most packets end here
            }
            // SAFETY: this CPU's own value, valid for the whole run.
            unsafe { (*current).layout = layout };
            if transfer::is_inner(&header) && transfer::passes(skb, current, classes | options << 16, egress) {
                return PASS;
            }
            classes
        }
        Located::Other => return PASS,
        Located::Unusual => unusual(skb, current, generation),
    };
    match classes {
        0 => PASS,
        HIDDEN_DENIED => DROP,
        classes => matters(skb, current, generation, classes, egress),
    }
}

/// Instead of classes: the packet hides what it is and was denied.
const HIDDEN_DENIED: u32 = 1 << 16;

/// Takes a closer look at a packet: the classes of its ports, or [`HIDDEN_DENIED`].
#[inline(never)]
fn unusual(skb: *mut __sk_buff, current: *mut Current, generation: u32) -> u32 {
    let found = locate::closer_look(skb, current);
    if found == found::OTHER {
        return 0;
    }
    let memory = Memory { skb };
    // SAFETY: this CPU's own value, valid for the whole run; nothing writes it meanwhile.
    let layout = unsafe { &(*current).layout };
    if found != found::TCP {
        let fragment = found == found::FRAGMENT;
        let reason = if fragment { Counter::DeniedFragment } else { Counter::DeniedExtensionHeaders };
        return if hidden(memory, layout, generation, reason) == DROP { HIDDEN_DENIED } else { 0 };
    }
    let Some([source, destination]) = memory.load::<[u16; 2]>(layout.transport) else { return 0 };
    servers::classes(generation, source, destination)
}

/// A packet to or from a port with a meaning. A function of its own, so that the common packet's path
/// saves no registers and the verifier forgets what led here.
#[inline(never)]
fn matters(skb: *mut __sk_buff, current: *mut Current, generation: u32, classes: u32, egress: bool) -> i32 {
    let (source, destination) = ((classes >> 8 & 0xff) as u8, (classes & 0xff) as u8);
    // SAFETY: as in `handle`; nothing else refers to it yet.
    let Current { layout, packet, key } = unsafe { &mut *current };
    if !packet::read(Memory { skb }, layout, egress, packet) {
        return PASS;
    }
    match control::control(skb, packet, key, generation, source, destination) {
        Some(verdict) => verdict,
        None => data::data(skb, packet, key, generation, source, destination),
    }
}

/// A packet that can't be classified: denied on the way to a guarded server.
#[inline(always)]
fn hidden(memory: Memory, layout: &Layout, generation: u32, reason: Counter) -> i32 {
    let Some((client, server, _)) = packet::addresses(memory, layout) else { return PASS };
    let Some(policy) = servers::policy(generation, &server) else { return PASS };
    // SAFETY: the context is valid for the whole run.
    let interface = unsafe { (*memory.skb).ifindex };
    deny(policy, reason, &ConnectionKey { client, server, ..ConnectionKey::default() }, 0, interface)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel asks for a licence that its helpers accept.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
