//! Established data connections, packet by packet.

use aya_ebpf::bindings::__sk_buff;
use ftp_common::counter::Counter;
use ftp_common::event::EventKind;
use ftp_common::flow::tcp::FIN;
use ftp_common::flow::{Flow, state};
use ftp_common::keys::ConnectionKey;

use crate::maps::{FLOWS, session};
use crate::packet::Packet;
use crate::report;
use crate::scratch::{Scratch, scratch};

/// A segment of an established flow, which has been counted: it may end it.
#[inline(always)]
pub(crate) fn follow(packet: &Packet, key: &ConnectionKey, flow: &mut Flow, from_client: bool) {
    if flow.state != state::ESTABLISHED {
        return;
    }
    if flow.is_ended_by(from_client, packet.segment.flags) {
        end(packet, key, flow);
    } else if packet.segment.has(FIN) {
        flow.marks |= Flow::fin_mark(from_client);
    }
}

/// How many packets a packet stands for: the kernel keeps several of a flow as one.
#[inline(always)]
pub(crate) fn segments(skb: *mut __sk_buff) -> u32 {
    // SAFETY: the context is valid for the whole run.
    let segments = unsafe { (*skb).gso_segs };
    if segments > 1 { segments } else { 1 }
}

#[inline(always)]
fn end(packet: &Packet, key: &ConnectionKey, flow: &mut Flow) {
    flow.state = state::ENDED;
    report::count(Counter::FlowsEnded);
    report_flow(packet, key, flow, EventKind::FlowEnded);
    // Some servers leave an aborted transfer without a final reply: what is pending may be dropped then.
    if let Some(Scratch { other, .. }) = scratch() {
        *other = *key;
        other.client_port = flow.control_client_port;
        other.server_port = flow.control_server_port;
        if let Some(owner) = session(other).filter(|owner| owner.session_id == flow.session_id) {
            owner.server.transfer = 0;
        }
    }
    let _gone = FLOWS.remove(key);
}

#[inline(never)]
pub(crate) fn report_flow(packet: &Packet, key: &ConnectionKey, flow: &Flow, kind: EventKind) {
    let Some(scratch) = scratch() else { return };
    report::event(scratch, kind, key, packet.interface);
    scratch.event.session = flow.session_id;
    scratch.event.mode = flow.mode;
    scratch.event.packets = flow.packets;
    scratch.event.bytes = flow.bytes;
    report::send();
}
