//! Control connections of this host that were there before the attach: their sockets know the next
//! positions of both sides.

use aya_ebpf::bindings::{__sk_buff, bpf_sock_tuple};
use aya_ebpf::helpers::{bpf_sk_lookup_tcp, bpf_sk_release, bpf_tcp_sock};

use crate::packet::Packet;
use crate::scratch::Scratch;

/// This network namespace (`BPF_F_CURRENT_NETNS`).
const HERE: u64 = u64::MAX;
/// Bytes of a `bpf_sock_tuple` of IPv4, and of IPv6.
const V4: u32 = 12;
const V6: u32 = 36;

/// Whether the server's socket is on this host and has got all before this segment of the client, and
/// the client all that the socket has sent.
#[inline(never)]
pub(crate) fn socket_agrees(skb: *mut __sk_buff, packet: &Packet, scratch: &mut Scratch) -> bool {
    let (source, destination) = (packet.source.0, packet.destination.0);
    let ports = ports(packet.source_port, packet.destination_port);
    let tuple = &mut scratch.tuple;
    let size = if packet.source.is_v4() {
        tuple.0[..3].copy_from_slice(&[source[3], destination[3], ports]);
        V4
    } else {
        tuple.0[..4].copy_from_slice(&source);
        tuple.0[4..8].copy_from_slice(&destination);
        tuple.0[8] = ports;
        V6
    };
    let tuple = (&raw mut tuple.0).cast::<bpf_sock_tuple>();
    // SAFETY: the tuple has that many bytes.
    let socket = unsafe { bpf_sk_lookup_tcp(skb.cast(), tuple, size, HERE, 0) };
    if socket.is_null() {
        return false;
    }
    // SAFETY: a socket that was found is referenced until it is released below.
    let tcp = unsafe { bpf_tcp_sock(socket) };
    let mut agrees = false;
    if !tcp.is_null() {
        // SAFETY: valid as long as the socket is.
        let received = unsafe { (*tcp).rcv_nxt };
        // SAFETY: as above.
        let sent = unsafe { (*tcp).snd_nxt };
        agrees = received == packet.segment.seq && sent == packet.segment.ack;
    }
    // SAFETY: the reference is this function's.
    unsafe { bpf_sk_release(socket.cast()) };
    agrees
}

/// Two ports, host byte order, as they lie in a tuple.
const fn ports(source: u16, destination: u16) -> u32 {
    let ([a, b], [c, d]) = (source.to_be_bytes(), destination.to_be_bytes());
    u32::from_ne_bytes([a, b, c, d])
}
