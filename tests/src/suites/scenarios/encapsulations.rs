//! Control connections in every wrapping: IP fragments, IPv6 extension headers, VLAN tags, segments of
//! many packets, with the card's help and without.

use ftp_common::counter::Counter;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use super::{Ground, Place, Trial, access};
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
use crate::suites::evasions::Stuck;
use crate::support::file;

const GROUP: &str = "Wrappings of a control connection";
pub(super) const ALL: &[&Trial] = &[&FRAGMENTED, &EXTENDED, &MAPPED, &TAGGED, &HELPED, &LONG];

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
pub static FRAGMENTED: Trial = Trial {
    group: GROUP,
    name: "a PASV in IP fragments: tiny ones, cut behind the fixed header, overlapping, cut in the text, the last one \
           first",
    must: "what is not read opens nothing, and each session goes on to its next transfer",
    must_be: &["shut", "open", "shut", "open", "shut", "open", "shut", "open", "shut", "open"],
    unguarded: &["open"; 10],
    place: Place::Server,
    play: |ground| {
        let ftp = Server::on(&ground.network.server, Family::V4);
        let text = format!("NOOP {}\r\nPASV\r\n", "x".repeat(100));
        let mut met = Vec::new();
        for (cuts, port) in CUTS.iter().zip(42_000..) {
            let hidden = || ground.ftptrack.as_ref().map(|ftptrack| ftptrack.stats().of(Counter::DeniedFragment));
            let before = hidden();
            let mut bout = ground.bout(&ftp, port);
            let segment = bout.peer.segment(&text);
            for packet in fragments(&bout.peer.tcp(&segment, Odd::default()), port, cuts) {
                bout.peer.put_packet(&packet);
            }
            bout.look();
            if bout.session.has_more() {
                bout.peer.next = segment.next();
                bout.hears(text.lines().next().expect("two lines"))?;
                bout.hears("PASV")?;
            } else {
                bout.exchange("NOOP", "200 ok")?;
            }
            bout.answer(ANNOUNCES)?;
            met.push(access(bout.peer.opens(INSIDE)));
            if ground.ftptrack.is_some() {
                let hides = cuts.iter().any(|(from, to)| *from == 0 && *to < 60);
                assert_eq!(hidden() != before, hides, "{cuts:?}");
            }
            met.push(access(bout.finds_its_footing()?));
        }
        Ok(met)
    },
};

/// One to seven.
pub static EXTENDED: Trial = Trial {
    group: GROUP,
    name: "an EPSV behind one to seven IPv6 extension headers",
    must: "it is read, and its port opens",
    must_be: &["open"; 7],
    unguarded: &[],
    place: Place::Server,
    play: |ground| {
        let ftp = Server::on(&ground.network.server, Family::V6);
        let mut met = Vec::new();
        for (headers, port) in (1..=7).zip(43_000..) {
            let mut bout = ground.bout(&ftp, port);
            let peer = &mut bout.peer;
            let segment = peer.segment("EPSV\r\n");
            let mut payload = destination_options(DESTINATION_OPTIONS, 8).repeat(headers - 1);
            payload.extend(destination_options(TCP, 8));
            payload.extend(peer.tcp(&segment, Odd::default()));
            let (IpAddr::V6(source), IpAddr::V6(destination)) = (peer.own.ip(), peer.other.ip()) else {
                panic!("{peer:?}: not IPv6")
            };
            peer.put_packet(&ipv6(source, destination, DESTINATION_OPTIONS, &payload));
            peer.next = segment.next();
            bout.hears("EPSV")?;
            bout.answer(&format!("229 Extended (|||{INSIDE}|)"))?;
            met.push(access(bout.peer.opens(INSIDE)));
        }
        Ok(met)
    },
};

/// Linux itself takes no such packet.
pub static MAPPED: Trial = Trial {
    group: GROUP,
    name: "SYNs over IPv6 from an IPv4-mapped address, to the control port and to the range",
    must: "nobody answers",
    must_be: &["shut", "shut"],
    unguarded: &["shut", "shut"],
    place: Place::Server,
    play: |ground| {
        let (server, client) = (&ground.network.server, &ground.network.client);
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
pub static TAGGED: Trial = Trial {
    group: GROUP,
    name: "a SYN to the range, and a PASV, each without a VLAN tag and behind three that say a priority only",
    must: "a tag hides no SYN, and the PASV behind it is read",
    must_be: &["shut", "shut", "shut", "shut", "open", "open", "open", "open"],
    unguarded: &["open"; 8],
    place: Place::Server,
    play: |ground| {
        let (server, client) = (&ground.network.server, &ground.network.client);
        let mut met = Vec::new();
        for (tags, port) in TAGS.iter().zip(51_000..) {
            met.push(access(is_answered(client, server, tags, port)));
        }
        let ftp = Server::on(server, Family::V4);
        let mut bout = ground.bout(&ftp, 44_000);
        for tags in TAGS {
            let segment = bout.peer.segment("PASV\r\n");
            send(client, server, tags, &bout.peer.packet(&segment, Odd::default()));
            bout.peer.next = segment.next();
            bout.hears("PASV")?;
            bout.answer(ANNOUNCES)?;
            met.push(access(bout.peer.opens(INSIDE)));
        }
        Ok(met)
    },
};

/// Switches the card's help on or off.
#[track_caller]
fn offload(host: &Host, state: &str) {
    let help = ["tx", "rx", "gso", "tso", "gro"].into_iter().flat_map(|what| [what, state]);
    let words: Vec<_> = ["ethtool", "-K", INTERFACE].into_iter().chain(help).collect();
    Ground::run(host, &words);
}

/// Off and on.
pub static HELPED: Trial = Trial {
    group: GROUP,
    name: "a MiB from vsftpd by PASV, by PORT and by EPSV over IPv6, without the card's help (checksums, GSO, GRO) and \
           with it",
    must: "each file arrives byte for byte",
    must_be: &["arrives"; 6],
    unguarded: &[],
    place: Place::Server,
    play: |ground| {
        let (server, client) = (&ground.network.server, &ground.network.client);
        let vsftpd = Vsftpd::on(server);
        let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
        file::write_random(&original, 1 << 20);
        let mut met = Vec::new();
        for state in ["off", "on"] {
            offload(server, state);
            offload(client, state);
            for (family, mode) in [(Family::V4, Mode::Pasv), (Family::V4, Mode::Port), (Family::V6, Mode::Epsv)] {
                curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
                let same = file::hash(&arrived) == file::hash(&original);
                met.push(if same { "arrives" } else { "is another" });
            }
        }
        Ok(met)
    },
};

/// 15 commands in 60 KiB, and a reply of as much: each one segment, where the card cuts it.
pub static LONG: Trial = Trial {
    group: GROUP,
    name: "fifteen commands in one segment of 60 KiB, and a reply of 60 KiB that names a port in its inner lines and \
           ends with a 227; cut by the card, and by TCP",
    must: "the inner lines open nothing, and the 227 at the end does",
    must_be: &["shut", "open", "shut", "open"],
    unguarded: &["open"; 4],
    place: Place::Server,
    play: |ground| {
        let mut met = Vec::new();
        for state in ["on", "off"] {
            offload(&ground.network.server, state);
            offload(&ground.network.client, state);
            met.extend(long_segments(ground, state)?);
        }
        Ok(met)
    },
};

#[track_caller]
fn long_segments(ground: &Ground<'_>, state: &str) -> Result<Vec<&'static str>, Stuck> {
    let (server, client) = (&ground.network.server, &ground.network.client);
    let listener = probe::listen(server, server.at(Family::V4, CONTROL));
    let mut control = probe::connect(client, server.at(Family::V4, CONTROL))?;
    let (mut session, _) = listener.accept()?;
    for stream in [&control, &session] {
        stream.set_read_timeout(Some(ground.patience()))?;
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
