//! A SYN to the guarded range in every disguise that the server's own TCP still takes for one.

use ftp_common::counter::Counter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::INSIDE;
use crate::hosts::network::{Family, Host};
use crate::packets::ip::{DESTINATION_OPTIONS, FRAGMENT, Ipv4, MORE_FRAGMENTS, TCP};
use crate::packets::ip::{destination_options, fragment, ipv6};
use crate::packets::segment::{Segment, flag};
use crate::packets::wire::Wire;

/// Echo of congestion, and its answer: in a SYN, an offer (RFC 3168 §6.1.1).
const ECE_AND_CWR: u8 = 0xc0;
const URG: u8 = 0x20;
/// A kind of TCP option that nobody knows, to fill the header's forty bytes of options.
const OPTIONS: [u8; 40] = {
    let mut options = [0; 40];
    options[0] = 253;
    options[1] = 40;
    options
};

/// A SYN, and how it is dressed up.
#[derive(Debug)]
pub struct Disguise {
    /// What it is.
    pub name: &'static str,
    /// The family of the connection.
    pub family: Family,
    /// Makes the packets of a SYN, to be sent in this order.
    packets: fn(&Segment) -> Vec<Vec<u8>>,
    /// Raised by ftptrack.
    pub counter: Counter,
}

/// All of them. Some need packets of up to 9000 bytes.
#[rustfmt::skip]
pub const DISGUISES: &[Disguise] = &[
    Disguise { name: "none", family: Family::V4, counter: Counter::DeniedPassive,
        packets: |syn| vec![syn.to_packet()] },
    Disguise { name: "none, IPv6", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| vec![syn.to_packet()] },
    Disguise { name: "an offer of congestion notification", family: Family::V4, counter: Counter::DeniedPassive,
        packets: |syn| vec![Segment { flags: flag::SYN | ECE_AND_CWR, ..syn.clone() }.to_packet()] },
    Disguise { name: "urgent and pushed", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| vec![Segment { flags: flag::SYN | flag::PSH | URG, ..syn.clone() }.to_packet()] },
    Disguise { name: "data in the SYN", family: Family::V4, counter: Counter::DeniedPassive,
        packets: |syn| vec![Segment { payload: vec![b'x'; 99], ..syn.clone() }.to_packet()] },
    Disguise { name: "IPv4 options", family: Family::V4, counter: Counter::DeniedPassive,
        packets: |syn| vec![Ipv4 { options: &[1; 40], ..Ipv4::default() }.packet(v4(syn.source), v4(syn.destination), &syn.to_tcp(&[]))] },
    Disguise { name: "IPv4 fragments that cut the TCP header before the flags", family: Family::V4, counter: Counter::DeniedFragment,
        packets: |syn| in_v4_fragments(syn, &syn.to_tcp(&OPTIONS), 8) },
    Disguise { name: "IPv4 fragments that cut the TCP header behind the flags", family: Family::V4, counter: Counter::DeniedFragment,
        packets: |syn| in_v4_fragments(syn, &syn.to_tcp(&OPTIONS), 24) },
    Disguise { name: "IPv4 fragments that cut the TCP header, the last one first", family: Family::V4, counter: Counter::DeniedFragment,
        packets: |syn| in_v4_fragments(syn, &syn.to_tcp(&OPTIONS), 8).into_iter().rev().collect() },
    Disguise { name: "IPv4 fragments that cut behind the TCP header", family: Family::V4, counter: Counter::DeniedPassive,
        packets: |syn| in_v4_fragments(syn, &Segment { payload: vec![b'x'; 99], ..syn.clone() }.to_tcp(&[]), 64) },
    Disguise { name: "an IPv6 extension header", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| vec![v6(syn, DESTINATION_OPTIONS, &[destination_options(TCP, 8), syn.to_tcp(&[])].concat())] },
    Disguise { name: "four IPv6 extension headers", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| vec![v6(syn, DESTINATION_OPTIONS, &behind_headers(4, &syn.to_tcp(&[])))] },
    Disguise { name: "sixteen IPv6 extension headers", family: Family::V6, counter: Counter::DeniedExtensionHeaders,
        packets: |syn| vec![v6(syn, DESTINATION_OPTIONS, &behind_headers(16, &syn.to_tcp(&[])))] },
    Disguise { name: "the longest IPv6 extension header", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| vec![v6(syn, DESTINATION_OPTIONS, &[destination_options(TCP, 2048), syn.to_tcp(&[])].concat())] },
    // A packet socket puts what is longer than a page into pages, as a network card does with all.
    Disguise { name: "the longest IPv6 extension header, not in linear memory", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| {
            let long = Segment { payload: vec![b'x'; 4096], ..syn.clone() };
            vec![v6(syn, DESTINATION_OPTIONS, &[destination_options(TCP, 2048), long.to_tcp(&[])].concat())]
        } },
    Disguise { name: "an IPv6 fragment header on a whole packet", family: Family::V6, counter: Counter::DeniedPassive,
        packets: |syn| vec![v6(syn, FRAGMENT, &[fragment(TCP, 0, false, 1), syn.to_tcp(&[])].concat())] },
    Disguise { name: "IPv6 fragments that cut the TCP header behind the flags", family: Family::V6, counter: Counter::DeniedFragment,
        packets: |syn| in_v6_fragments(syn, TCP, &syn.to_tcp(&OPTIONS), 24) },
    Disguise { name: "IPv6 fragments that cut the TCP header behind an extension header", family: Family::V6, counter: Counter::DeniedFragment,
        packets: |syn| {
            let whole = [destination_options(TCP, 40), syn.to_tcp(&OPTIONS)].concat();
            in_v6_fragments(syn, DESTINATION_OPTIONS, &whole, 64)
        } },
];

fn v4(address: SocketAddr) -> Ipv4Addr {
    let IpAddr::V4(v4) = address.ip() else { panic!("{address} is not IPv4") };
    v4
}

fn v6(syn: &Segment, next: u8, payload: &[u8]) -> Vec<u8> {
    let address = |address: SocketAddr| -> Ipv6Addr {
        let IpAddr::V6(v6) = address.ip() else { panic!("{address} is not IPv6") };
        v6
    };
    ipv6(address(syn.source), address(syn.destination), next, payload)
}

/// `count` extension headers in front of a TCP segment.
fn behind_headers(count: usize, tcp: &[u8]) -> Vec<u8> {
    let mut headers = destination_options(DESTINATION_OPTIONS, 8).repeat(count - 1);
    headers.extend(destination_options(TCP, 8));
    headers.extend(tcp);
    headers
}

fn in_v4_fragments(syn: &Segment, tcp: &[u8], cut: usize) -> Vec<Vec<u8>> {
    let (front, back) = tcp.split_at(cut);
    let offset = u16::try_from(cut / 8).expect("a small number");
    let piece = |fragment, bytes| {
        let header = Ipv4 { identification: syn.source.port(), fragment, ..Ipv4::default() };
        header.packet(v4(syn.source), v4(syn.destination), bytes)
    };
    vec![piece(MORE_FRAGMENTS, front), piece(offset, back)]
}

fn in_v6_fragments(syn: &Segment, next: u8, whole: &[u8], cut: usize) -> Vec<Vec<u8>> {
    let (front, back) = whole.split_at(cut);
    let offset = u16::try_from(cut).expect("a small number");
    let piece = |offset, more, bytes: &[u8]| {
        let header = fragment(next, offset, more, syn.source.port().into());
        v6(syn, FRAGMENT, &[&header, bytes].concat())
    };
    vec![piece(0, true, front), piece(offset, false, back)]
}

/// Whether the server's TCP answers a SYN to [`INSIDE`] that comes from `port` in these packets.
#[track_caller]
#[must_use]
pub fn is_answered(client: &Host, server: &Host, disguise: &Disguise, port: u16) -> bool {
    let syn = Segment {
        source: client.at(disguise.family, port),
        destination: server.at(disguise.family, INSIDE),
        seq: 1000,
        ack: 0,
        flags: flag::SYN,
        payload: Vec::new(),
    };
    let mut link = Wire::of(client);
    for packet in (disguise.packets)(&syn) {
        link.send(&packet, server.mac());
    }
    // What the server answers to this one, it answers after it has seen the others.
    let marker = Segment { destination: server.at(disguise.family, 9), ..syn.clone() };
    link.forge(&marker, server.mac());
    let seen = link.all_until("the answer to a SYN where nobody listens", |segment| {
        segment.source == marker.destination && segment.flags & flag::RST != 0
    });
    let both = flag::SYN | flag::ACK;
    seen.iter().any(|segment| segment.source == syn.destination && segment.flags & both == both)
}
