//! Segments that no TCP sends: forged ones, repeated ones, ones in another order.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::ErrorKind;
use std::net::SocketAddr;

use super::{Forged, Origin, reach};
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::{Segment, flag};

/// Sends `segments` from `from`, and returns when they have arrived at the other end of the link.
pub(super) fn send(network: &Network, from: Origin, segments: &[Segment], bad_checksum: bool) {
    let host = place(network, from);
    // The neighbour on the link, whatever address the packet names.
    let to = if from == Origin::Server { &network.client } else { &network.server };
    for segment in segments {
        let mut packet = segment.to_packet();
        if bad_checksum {
            let header = if segment.source.is_ipv4() { 20 } else { 40 };
            packet[header + 16] ^= 0xff;
        }
        by_ip(host, &packet, SocketAddr::new(to.address(family(segment.source)), 0));
    }
    if let Some(segment) = segments.first() {
        reach::settle(host, to.address(family(segment.source)));
    }
}

/// Segments for the pieces, one behind the other from `first` on.
pub(super) fn segments(first: &Segment, pieces: &[Vec<u8>]) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for piece in pieces {
        let seq = segments.last().map_or(first.seq, Segment::next);
        segments.push(Segment { seq, payload: piece.clone(), ..first.clone() });
    }
    segments
}

/// The segments of a forged line; `next` is what that sender's next segment is like.
pub(super) fn forged(forged: &Forged, next: Segment) -> Vec<Segment> {
    let seq = next.seq.wrapping_add_signed(forged.offset);
    let ack = if forged.flags & flag::ACK == 0 { 0 } else { next.ack };
    let first = Segment { seq, ack, flags: forged.flags, ..next };
    if forged.pieces.is_empty() { vec![first] } else { segments(&first, &forged.pieces) }
}

/// Sends an IP packet to `neighbour` by the way of a host's own packets, so that netfilter, too, sees it.
fn by_ip(host: &Host, packet: &[u8], neighbour: SocketAddr) {
    let socket = host
        .namespace
        .run(|| Socket::new(Domain::for_address(neighbour), Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))));
    match socket.expect("root may").send_to(packet, &neighbour.into()) {
        // What a filter drops on its way out is no failure of ours.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        sent => assert_eq!(sent.expect("the link is up"), packet.len()),
    }
}

fn place(network: &Network, place: Origin) -> &Host {
    match place {
        Origin::Client => &network.client,
        Origin::Server => &network.server,
        Origin::Third => &network.third,
    }
}

fn family(address: SocketAddr) -> Family {
    if address.is_ipv4() { Family::V4 } else { Family::V6 }
}
