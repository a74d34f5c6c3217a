//! ftptrack's TC program: the same both ways, one entry for each hook.
//!
//! A packet's way through it:
//!
//! - [`packet`] finds the TCP header on the fast path, [`slow_path`] where that is not enough;
//! - [`servers`] classifies its ports: without a meaning they pass after a few nanoseconds;
//! - [`transfer`] counts the inner packets of open flows;
//! - [`control`] follows control connections: [`handshake`] and [`lifecycle`] begin and end their sessions,
//!   [`control_stream`] parses their payload, [`expectations`] and [`ranges`] (of encrypted sessions) hold
//!   what was negotiated;
//! - [`data`] takes the rest on guarded ports: [`accept`] opens expected data connections, [`flows`] follows
//!   them;
//! - [`verdict`] denies, [`report`] counts and sends events.
//!
//! What all of them work on lies in [`maps`], [`scratch`] and [`globals`].
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "without the borrow a key or value would be copied to the stack, which has 512 bytes"
)]

mod accept;
mod adopt;
mod atomic;
mod clock;
mod control;
mod control_stream;
mod data;
mod expectations;
mod flows;
mod globals;
mod half_open;
mod half_open_table;
mod handshake;
mod lifecycle;
mod limit;
mod local;
mod maps;
mod owner;
mod packet;
mod ranges;
mod report;
mod scratch;
mod servers;
mod slow_path;
mod syn;
mod tcp_options;
mod transfer;
mod verdict;

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::macros::classifier;
use aya_ebpf::programs::TcContext;
use ftp_common::counter::Counter;
use ftp_common::flow::is_inner;
use ftp_common::keys::ConnectionKey;

use packet::{Layout, Located, Memory};
use scratch::Current;
use slow_path::found;
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
    let Some(config) = servers::config() else { return PASS };
    let generation = config.generation;
    // Put off until it is needed: most packets need none, and older kernels call a function for it.
    let (classes, current) = match packet::fast_path(Memory { skb }) {
        Located::Tcp(layout, header) => {
            let classes = servers::classes(generation, header.source, header.destination);
            if classes == 0 {
                return PASS; // most packets end here
            }
            if is_inner(header.flags) && transfer::passes(skb, &layout, header, classes, config) {
                return PASS;
            }
            let Some(current) = scratch::current() else { return PASS };
            // SAFETY: this CPU's own value, valid for the whole run.
            unsafe { (*current).layout = layout };
            (classes, current)
        }
        Located::Other => return PASS,
        Located::SlowPath => {
            let Some(current) = scratch::current() else { return PASS };
            (slow_path_classes(skb, current, generation), current)
        }
    };
    match classes {
        0 => PASS,
        UNCLASSIFIABLE_DENIED => DROP,
        classes => handle_tracked(skb, current, generation, classes, egress),
    }
}

/// Instead of classes: the packet could not be classified and was denied.
const UNCLASSIFIABLE_DENIED: u32 = 1 << 16;

/// Finds a packet's TCP header on the slow path: the classes of its ports, or [`UNCLASSIFIABLE_DENIED`].
#[inline(never)]
fn slow_path_classes(skb: *mut __sk_buff, current: *mut Current, generation: u32) -> u32 {
    let found = slow_path::locate(skb, current);
    if found == found::OTHER {
        return 0;
    }
    if found == found::TOO_MANY_TAGS {
        return if verdict::deny_tags() == DROP { UNCLASSIFIABLE_DENIED } else { 0 };
    }
    let memory = Memory { skb };
    // SAFETY: this CPU's own value, valid for the whole run; nothing writes it meanwhile.
    let layout = unsafe { &(*current).layout };
    if found != found::TCP {
        let fragment = found == found::FRAGMENT;
        let reason = if fragment { Counter::DeniedFragment } else { Counter::DeniedExtensionHeaders };
        return if deny_unclassifiable(memory, layout, generation, reason) == DROP { UNCLASSIFIABLE_DENIED } else { 0 };
    }
    let Some([source, destination]) = memory.load::<[u16; 2]>(layout.transport) else { return 0 };
    servers::classes(generation, source, destination)
}

/// A packet to or from a port with a meaning. A function of its own, so that the common packet's path
/// saves no registers and the verifier forgets what led here.
#[inline(never)]
fn handle_tracked(skb: *mut __sk_buff, current: *mut Current, generation: u32, classes: u32, egress: bool) -> i32 {
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
fn deny_unclassifiable(memory: Memory, layout: &Layout, generation: u32, reason: Counter) -> i32 {
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
