//! Control connections in every encapsulation: IP fragments, IPv6 extension headers, VLAN tags, segments of
//! many packets, with offloads and without.

use ftp_common::counter::Counter;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use super::{Location, Scenario, Testbed, access};
use crate::INSIDE;
use crate::actors::curl::{self, Mode};
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{CONTROL, Server};
use crate::actors::vsftpd::{self, Vsftpd};
use crate::hosts::network::{Family, Host, INTERFACE};
use crate::packets::ip::{DESTINATION_OPTIONS, Ipv4, MORE_FRAGMENTS, TCP, destination_options, ipv6};
use crate::packets::segment::{Segment, flag};
use crate::packets::tagged::{C_TAG, S_TAG, send};
use crate::packets::tcp_peer::Odd;
use crate::packets::wire::Wire;
use crate::suites::evasions::Hang;
use crate::support::file;

const GROUP: &str = "Encapsulation of the control connection";
pub(super) const ALL: &[&Scenario] = &[&FRAGMENTED, &EXTENDED, &MAPPED, &TAGGED, &STACKED, &HELPED, &LONG];

/// What the server says, so that [`INSIDE`] would open.
pub(super) const ANNOUNCES: &str = "227 Entering Passive Mode (10,0,0,1,58,152).";

/// Fragments of a TCP segment from the peer: where each begins, in bytes, and where it ends.
fn fragments(tcp: &[u8], identification: u16, cuts: &[(usize, usize)]) -> Vec<Vec<u8>> {
    let piece = |(from, to): &(usize, usize)| {
        let to = (*to).min(tcp.len());
        let more = if to == tcp.len() { 0 } else { MORE_FRAGMENTS };
        let fragment = u16::try_from(from / 8).expect("a small number") | more;
        let header = Ipv4 { identification, fragment, ..Ipv4::default() };
        header.packet(Ipv4Addr::new(10, 0, 0, 77), Ipv4Addr::new(10, 0, 0, 1), &tcp[*from..to])
    };
    cuts.iter().map(piece).collect()
}

/// Where each fragment begins and ends. Overlapping ones Linux drops, the others it puts together.
const CUTS: &[&[(usize, usize)]] = &[
    &[(0, 8), (8, 16), (16, 64), (64, 999)],
    &[(0, 24), (24, 999)],
    &[(0, 96), (72, 999)],
    &[(0, 96), (96, 999)],
    &[(96, 999), (0, 96)],
];

/// Tiny fragments hide the header: denied. What arrives whole is not read, so it opens nothing.
pub static FRAGMENTED: Scenario = Scenario {
    group: GROUP,
    name: "a PASV in IP fragments: tiny ones, cut behind the fixed header, overlapping, cut in the command, the last \
           one first",
    must: "what is not read opens nothing, and each session goes on to its next transfer",
    expected: &["shut", "open", "shut", "open", "shut", "open", "shut", "open", "shut", "open"],
    unguarded: &["open"; 10],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let text = format!("NOOP {}\r\nPASV\r\n", "x".repeat(100));
        let mut observed = Vec::new();
        for (cuts, port) in CUTS.iter().zip(42_000..) {
            let hidden = || testbed.ftptrack.as_ref().map(|ftptrack| ftptrack.stats().of(Counter::DeniedFragment));
            let before = hidden();
            let mut connection = testbed.connection(&ftp, port);
            let segment = connection.peer.segment(&text);
            for packet in fragments(&connection.peer.tcp(&segment, Odd::default()), port, cuts) {
                connection.peer.put_packet(&packet);
            }
            connection.look();
            if connection.session.has_more() {
                connection.peer.next = segment.next();
                connection.hears(text.lines().next().expect("two lines"))?;
                connection.hears("PASV")?;
            } else {
                connection.exchange("NOOP", "200 ok")?;
            }
            connection.answer(ANNOUNCES)?;
            observed.push(access(connection.peer.opens(INSIDE)));
            if testbed.ftptrack.is_some() {
                let hides = cuts.iter().any(|(from, to)| *from == 0 && *to < 60);
                assert_eq!(hidden() != before, hides, "{cuts:?}");
            }
            observed.push(access(connection.resyncs()?));
        }
        Ok(observed)
    },
};

/// One to seven.
pub static EXTENDED: Scenario = Scenario {
    group: GROUP,
    name: "an EPSV behind one to seven IPv6 extension headers",
    must: "it is read, and its port opens",
    expected: &["open"; 7],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V6);
        let mut observed = Vec::new();
        for (headers, port) in (1..=7).zip(43_000..) {
            let mut connection = testbed.connection(&ftp, port);
            let peer = &mut connection.peer;
            let segment = peer.segment("EPSV\r\n");
            let mut payload = destination_options(DESTINATION_OPTIONS, 8).repeat(headers - 1);
            payload.extend(destination_options(TCP, 8));
            payload.extend(peer.tcp(&segment, Odd::default()));
            let (IpAddr::V6(source), IpAddr::V6(destination)) = (peer.own.ip(), peer.other.ip()) else {
                panic!("{peer:?}: not IPv6")
            };
            peer.put_packet(&ipv6(source, destination, DESTINATION_OPTIONS, &payload));
            peer.next = segment.next();
            connection.hears("EPSV")?;
            connection.answer(&format!("229 Extended (|||{INSIDE}|)"))?;
            observed.push(access(connection.peer.opens(INSIDE)));
        }
        Ok(observed)
    },
};

/// Linux itself takes no such packet.
pub static MAPPED: Scenario = Scenario {
    group: GROUP,
    name: "SYNs over IPv6 from an IPv4-mapped address, to the control port and to the range",
    must: "nobody answers",
    expected: &["shut", "shut"],
    unguarded: &["shut", "shut"],
    filter_at: Location::Server,
    play: |testbed| {
        let (server, client) = (&testbed.network.server, &testbed.network.client);
        let ports = [CONTROL, INSIDE];
        let _listeners = ports.map(|port| probe::listen(server, server.at(Family::V6, port)));
        let mut link = Wire::of(client);
        let IpAddr::V6(address) = server.address(Family::V6) else { panic!("not IPv6") };
        let source = (Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped(), 40_000).into();
        let syn = |source, to: u16| {
            let destination = (address, to).into();
            Segment { source, destination, seq: 1, ack: 0, flags: flag::SYN, payload: Vec::new() }
        };
        // No server listens on the last: ftptrack has nothing to say to it.
        for to in [CONTROL, INSIDE, 80] {
            link.forge(&syn(source, to), server.mac());
        }
        let marker = syn(client.at(Family::V6, 40_000), 9);
        link.forge(&marker, server.mac());
        let seen = link.all_until("the answer to a SYN where nobody listens", |segment| {
            segment.source == marker.destination && segment.flags & flag::RST != 0
        });
        let is_answered = |port| seen.iter().any(|seen| seen.source.port() == port);
        Ok(ports.map(|port| access(is_answered(port))).to_vec())
    },
};

/// VLAN 0 says a priority only, so any host takes such frames (IEEE 802.1Q §9.6).
const TAGS: [&[(u16, u16)]; 4] = [&[], &[(C_TAG, 0)], &[(C_TAG, 5 << 13)], &[(S_TAG, 0)]];

/// Whether the server answers a SYN to the range behind VLAN tags.
#[track_caller]
fn is_answered(client: &Host, server: &Host, tags: &[(u16, u16)], port: u16) -> bool {
    let _listener = probe::listen(server, server.at(Family::V4, INSIDE));
    let mut link = Wire::of(client);
    let source = client.at(Family::V4, port);
    let destination = server.at(Family::V4, INSIDE);
    let syn = Segment { source, destination, seq: 1, ack: 0, flags: flag::SYN, payload: Vec::new() };
    let closed = Segment { destination: server.at(Family::V4, 9), ..syn.clone() };
    send(client, server, tags, &syn.to_packet());
    link.forge(&closed, server.mac());
    let seen = link.all_until("the answer to a SYN where nobody listens", |segment| {
        segment.source == closed.destination && segment.flags & flag::RST != 0
    });
    seen.iter().any(|segment| segment.source == syn.destination && segment.flags & flag::SYN != 0)
}

/// Without a tag, and three with a priority.
pub static TAGGED: Scenario = Scenario {
    group: GROUP,
    name: "a SYN to the range, and a PASV, each without a VLAN tag and behind three that say a priority only",
    must: "a tag hides no SYN, and the PASV behind it is read",
    expected: &["shut", "shut", "shut", "shut", "open", "open", "open", "open"],
    unguarded: &["open"; 8],
    filter_at: Location::Server,
    play: |testbed| {
        let (server, client) = (&testbed.network.server, &testbed.network.client);
        let mut observed = Vec::new();
        for (tags, port) in TAGS.iter().zip(51_000..) {
            observed.push(access(is_answered(client, server, tags, port)));
        }
        let ftp = Server::on(server, Family::V4);
        let mut connection = testbed.connection(&ftp, 44_000);
        for tags in TAGS {
            let segment = connection.peer.segment("PASV\r\n");
            send(client, server, tags, &connection.peer.packet(&segment, Odd::default()));
            connection.peer.next = segment.next();
            connection.hears("PASV")?;
            connection.answer(ANNOUNCES)?;
            observed.push(access(connection.peer.opens(INSIDE)));
        }
        Ok(observed)
    },
};

/// Linux takes off as many as there are.
const STACKS: [&[(u16, u16)]; 4] = [
    &[(C_TAG, 0); 4],
    &[(S_TAG, 0); 8],
    &[(C_TAG, 0); 12],
    &[(S_TAG, 0), (C_TAG, 0), (S_TAG, 0), (C_TAG, 0), (C_TAG, 0)],
];

/// Four to twelve.
pub static STACKED: Scenario = Scenario {
    group: GROUP,
    name: "a SYN to the range behind stacks of four to twelve VLAN tags that say a priority only",
    must: "a stack hides no SYN",
    expected: &["shut"; 4],
    unguarded: &["open"; 4],
    filter_at: Location::Server,
    play: |testbed| {
        let (server, client) = (&testbed.network.server, &testbed.network.client);
        let answered = STACKS.iter().zip(51_100..).map(|(tags, port)| access(is_answered(client, server, tags, port)));
        Ok(answered.collect())
    },
};

/// Switches the card's help on or off.
#[track_caller]
fn offload(host: &Host, state: &str) {
    let help = ["tx", "rx", "gso", "tso", "gro"].into_iter().flat_map(|what| [what, state]);
    let words: Vec<_> = ["ethtool", "-K", INTERFACE].into_iter().chain(help).collect();
    Testbed::run(host, &words);
}

/// Off and on.
pub static HELPED: Scenario = Scenario {
    group: GROUP,
    name: "a MiB from vsftpd by PASV, by PORT and by EPSV over IPv6, without offloads (checksums, GSO, GRO) and with \
           them",
    must: "each file arrives byte for byte",
    expected: &["arrives"; 6],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let (server, client) = (&testbed.network.server, &testbed.network.client);
        let vsftpd = Vsftpd::on(server);
        let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
        file::write_random(&original, 1 << 20);
        let mut observed = Vec::new();
        for state in ["off", "on"] {
            offload(server, state);
            offload(client, state);
            for (family, mode) in [(Family::V4, Mode::Pasv), (Family::V4, Mode::Port), (Family::V6, Mode::Epsv)] {
                curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
                let same = file::hash(&arrived) == file::hash(&original);
                observed.push(if same { "arrives" } else { "is another" });
            }
        }
        Ok(observed)
    },
};

/// 15 commands in 60 KiB, and a reply of as much: each one segment, where the card cuts it.
pub static LONG: Scenario = Scenario {
    group: GROUP,
    name: "fifteen commands in one segment of 60 KiB, and a reply of 60 KiB that names a port in its inner lines and \
           ends with a 227; segmented by offload, and by TCP",
    must: "the inner lines open nothing, and the 227 at the end does",
    expected: &["shut", "open", "shut", "open"],
    unguarded: &["open"; 4],
    filter_at: Location::Server,
    play: |testbed| {
        let mut observed = Vec::new();
        for state in ["on", "off"] {
            offload(&testbed.network.server, state);
            offload(&testbed.network.client, state);
            observed.extend(long_segments(testbed, state)?);
        }
        Ok(observed)
    },
};

#[track_caller]
fn long_segments(testbed: &Testbed<'_>, state: &str) -> Result<Vec<&'static str>, Hang> {
    let (server, client) = (&testbed.network.server, &testbed.network.client);
    let listener = probe::listen(server, server.at(Family::V4, CONTROL));
    let mut control = probe::connect(client, server.at(Family::V4, CONTROL))?;
    let (mut session, _) = listener.accept()?;
    for stream in [&control, &session] {
        stream.set_read_timeout(Some(testbed.patience()))?;
    }
    let mut link = Wire::of(server);
    session.write_all(b"220 ready\r\n")?;
    control.read_exact(&mut [0; 11])?;

    let long = format!("NOOP {}\r\n", "x".repeat(4081));
    let commands = format!("{}PASV\r\n", long.repeat(14));
    control.write_all(commands.as_bytes())?;
    let mut heard = vec![0; commands.len()];
    session.read_exact(&mut heard)?;
    assert!(heard == commands.as_bytes());
    let whole = link.all_until("all of it", |seen| seen.payload.ends_with(b"PASV\r\n"));
    let longest = whole.iter().map(|segment| segment.payload.len()).max().expect("some");
    assert_eq!(longest > 1500, state == "on", "{state}: {longest}");

    let inner = format!("227 Entering Passive Mode (10,0,0,1,78,32) {}\r\n", "x".repeat(950));
    let help = format!("214-Help\r\n{}214 end\r\n", inner.repeat(60));
    let replies = format!("{}{help}{ANNOUNCES}\r\n", "200 ok\r\n".repeat(13));
    session.write_all(replies.as_bytes())?;
    let mut heard = vec![0; replies.len()];
    control.read_exact(&mut heard)?;
    assert!(heard == replies.as_bytes());

    let opens = |port| {
        let target = server.at(Family::V4, port);
        let _listener = probe::listen(server, target);
        access(probe::to(client, target) == Outcome::Opened)
    };
    Ok(vec![opens(20_000), opens(INSIDE)])
}
