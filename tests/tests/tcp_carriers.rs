//! Control connections in every wrapping: IP fragments, IPv6 extension headers, VLAN tags, segments of
//! many packets, with the card's help and without.

use ftp_common::counter::Counter;
use ftptrack_tests::INSIDE;
use ftptrack_tests::curl::{self, Mode};
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::packet::{DESTINATION_OPTIONS, Ipv4, MORE_FRAGMENTS, TCP, destination_options, ipv6};
use ftptrack_tests::probe::{self, Outcome};
use ftptrack_tests::segment::{Segment, flag};
use ftptrack_tests::server::{CONTROL, Server};
use ftptrack_tests::tagged::{C_TAG, S_TAG, send};
use ftptrack_tests::tcp_peer::{Odd, Peer};
use ftptrack_tests::vsftpd::{self, Vsftpd};
use ftptrack_tests::wire::Wire;
use ftptrack_tests::{file, process};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};

const ANNOUNCES: &str = "227 Entering Passive Mode (10,0,0,1,58,152).";

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

struct Fragmented {
    name: &'static str,
    /// Where each fragment begins and ends.
    cuts: &'static [(usize, usize)],
    /// Whether the server gets the whole.
    arrives: bool,
}

#[rustfmt::skip]
const FRAGMENTED: &[Fragmented] = &[
    Fragmented { name: "tiny ones", arrives: false, cuts: &[(0, 8), (8, 16), (16, 64), (64, 999)] },
    Fragmented { name: "cut behind the fixed header", arrives: false, cuts: &[(0, 24), (24, 999)] },
    Fragmented { name: "overlapping behind the header", arrives: false, cuts: &[(0, 96), (72, 999)] },
    Fragmented { name: "cut in the text", arrives: true, cuts: &[(0, 96), (96, 999)] },
    Fragmented { name: "the last one first", arrives: true, cuts: &[(96, 999), (0, 96)] },
];

/// Tiny ones hide the header: denied. Overlapping ones Linux drops. What arrives whole is not read, so
/// it opens nothing, and the session goes on.
#[test]
fn commands_in_fragments_open_nothing_and_stop_nothing() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V4);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let text = format!("NOOP {}\r\nPASV\r\n", "x".repeat(100));
    for (Fragmented { name, cuts, arrives }, port) in FRAGMENTED.iter().zip(42_000..) {
        let before = ftptrack.stats();
        let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, port);
        let segment = peer.segment(&text);
        for packet in fragments(&peer.tcp(&segment, Odd::default()), port, cuts) {
            peer.put_packet(&packet);
        }
        if *arrives {
            peer.next = segment.next();
            session.hears(text.lines().next().expect("two lines"));
            session.hears("PASV");
        } else {
            peer.exchange(&mut session, "NOOP", "200 ok");
        }
        session.say(ANNOUNCES);
        peer.hear(&format!("{ANNOUNCES}\r\n"));
        assert!(!peer.opens(INSIDE), "{name}");
        let after = ftptrack.stats();
        let hidden = after.of(Counter::DeniedFragment) - before.of(Counter::DeniedFragment);
        assert_eq!(hidden != 0, cuts.iter().any(|(from, to)| *from == 0 && *to < 60), "{name}");
        peer.finds_its_footing(&mut session);
    }
    ftptrack.stop();
}

#[test]
fn commands_behind_ipv6_extension_headers_are_read() {
    let Network { server, client, .. } = &Network::new();
    let ftp = Server::on(server, Family::V6);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    for (headers, port) in (1..=7).zip(43_000..) {
        let (mut peer, mut session) = Peer::logged_in((client, server), &ftp, port);
        let segment = peer.segment("EPSV\r\n");
        let mut payload = destination_options(DESTINATION_OPTIONS, 8).repeat(headers - 1);
        payload.extend(destination_options(TCP, 8));
        payload.extend(peer.tcp(&segment, Odd::default()));
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (peer.own.ip(), peer.other.ip()) else {
            panic!("{peer:?}: not IPv6")
        };
        peer.put_packet(&ipv6(source, destination, DESTINATION_OPTIONS, &payload));
        peer.next = segment.next();
        session.hears("EPSV");
        let answer = format!("229 Extended (|||{INSIDE}|)");
        session.say(&answer);
        peer.hear(&format!("{answer}\r\n"));
        assert!(peer.opens(INSIDE), "{headers} headers");
    }
    assert_eq!((ftptrack.stats().of(Counter::StepsLost), ftptrack.stats().denied()), (0, 0));
    ftptrack.stop();
}

#[test]
fn an_ipv4_mapped_address_on_the_wire_is_denied() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let link = Wire::of(client);
    let mapped = Ipv4Addr::new(10, 0, 0, 2).to_ipv6_mapped();
    let IpAddr::V6(address) = server.address(Family::V6) else { panic!("not IPv6") };
    let syn = |port: u16| {
        let segment = Segment {
            source: (mapped, 40_000).into(),
            destination: (address, port).into(),
            seq: 1,
            ack: 0,
            flags: flag::SYN,
            payload: Vec::new(),
        };
        segment.to_packet()
    };
    link.send(&syn(CONTROL), server.mac());
    link.send(&syn(INSIDE), server.mac());
    link.send(&syn(80), server.mac());
    assert_eq!(probe::to(client, server.at(Family::V4, 9)), Outcome::Refused, "all have arrived");
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::DeniedMappedAddress), stats.denied()), (2, 2), "{stats:?}");
    ftptrack.stop();
}

/// VLAN 0 says a priority only, so any host takes such frames (IEEE 802.1Q §9.6).
#[test]
fn a_priority_tag_hides_nothing() {
    let Network { server, client, .. } = &Network::new();
    let tags: [&[(u16, u16)]; 4] = [&[], &[(C_TAG, 0)], &[(C_TAG, 5 << 13)], &[(S_TAG, 0)]];
    let answered = |tags: &[(u16, u16)], port: u16| {
        let _listener = probe::listen(server, server.at(Family::V4, INSIDE));
        let mut link = Wire::of(client);
        let syn = Segment {
            source: client.at(Family::V4, port),
            destination: server.at(Family::V4, INSIDE),
            seq: 1,
            ack: 0,
            flags: flag::SYN,
            payload: Vec::new(),
        };
        let closed = Segment { destination: server.at(Family::V4, 9), ..syn.clone() };
        send(client, server, tags, &syn.to_packet());
        link.forge(&closed, server.mac());
        let seen = link.all_until("the answer to a SYN where nobody listens", |segment| {
            segment.source == closed.destination && segment.flags & flag::RST != 0
        });
        seen.iter().any(|segment| segment.source == syn.destination && segment.flags & flag::SYN != 0)
    };
    for (tags, port) in tags.iter().zip(50_000..) {
        assert!(answered(tags, port), "nothing is attached: {tags:x?}");
    }

    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    for (tags, port) in tags.iter().zip(51_000..) {
        assert!(!answered(tags, port), "{tags:x?}");
    }
    assert_eq!(ftptrack.stats().of(Counter::DeniedPassive), 4);

    // And a command behind one is read.
    let ftp = Server::on(server, Family::V4);
    let (mut peer, mut session) = Peer::connect((client, server), &ftp, 44_000, 1);
    peer.log_in(&mut session);
    for tags in tags {
        let segment = peer.segment("PASV\r\n");
        send(client, server, tags, &segment.to_packet());
        peer.next = segment.next();
        session.hears("PASV");
        session.say(ANNOUNCES);
        peer.hear(&format!("{ANNOUNCES}\r\n"));
        assert!(peer.opens(INSIDE), "{tags:x?}");
    }
    ftptrack.stop();
}

/// Switches the card's help on or off.
#[track_caller]
fn offload(host: &Host, what: &[&str], state: &str) {
    let mut command = host.namespace.command("ethtool");
    command.args(["-K", INTERFACE]);
    for what in what {
        command.args([what, state]);
    }
    let output = process::finish(&mut command);
    assert!(output.status.success(), "{}", output.stderr);
}

const HELP: [&str; 5] = ["tx", "rx", "gso", "tso", "gro"];

#[test]
fn with_the_cards_help_and_without_the_same_is_read() {
    let Network { server, client, .. } = &Network::new();
    let vsftpd = Vsftpd::on(server);
    let [original, arrived] = [vsftpd.file("original"), vsftpd.client_directory().join("arrived")];
    file::write_random(&original, 1 << 20);
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    for (state, count) in [("off", 1), ("on", 2)] {
        offload(server, &HELP, state);
        offload(client, &HELP, state);
        for (family, mode) in [(Family::V4, Mode::Pasv), (Family::V4, Mode::Port), (Family::V6, Mode::Epsv)] {
            curl::download(client, mode, &vsftpd::url(server, family, "original"), &arrived);
            assert_eq!(file::hash(&arrived), file::hash(&original), "{state} {mode:?} {family:?}");
        }
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::FlowsEstablished), stats.denied()), (3 * count, 0), "{state}");
        assert_eq!(stats.of(Counter::StepsLost), 0, "{state}");
    }
    ftptrack.stop();
}

/// 15 commands in 60 KiB, and a reply of as much: each one segment, where the card cuts it.
#[test]
fn a_segment_of_sixty_kibibytes_is_read_to_its_end() {
    let Network { server, client, .. } = &Network::new();
    let pins = PinDirectory::new();
    for state in ["on", "off"] {
        offload(server, &HELP, state);
        offload(client, &HELP, state);
        let ftptrack = Ftptrack::guarding(server, &pins);
        let listener = probe::listen(server, server.at(Family::V4, CONTROL));
        let mut control = probe::connect(client, server.at(Family::V4, CONTROL)).expect("it listens");
        let (mut session, _) = listener.accept().expect("it connects");
        let mut link = Wire::of(server);
        session.write_all(b"220 ready\r\n").expect("the client listens");
        control.read_exact(&mut [0; 11]).expect("the server speaks");

        let long = format!("NOOP {}\r\n", "x".repeat(4081));
        let commands = format!("{}PASV\r\n", long.repeat(14));
        control.write_all(commands.as_bytes()).expect("the server listens");
        let mut heard = vec![0; commands.len()];
        session.read_exact(&mut heard).expect("the client speaks");
        assert!(heard == commands.as_bytes());
        let whole = link.all_until("all of it", |seen| seen.payload.ends_with(b"PASV\r\n"));
        let longest = whole.iter().map(|segment| segment.payload.len()).max().expect("some");
        assert_eq!(longest > 1500, state == "on", "{state}: {longest}");

        let inner = format!("227 Entering Passive Mode (10,0,0,1,78,32) {}\r\n", "x".repeat(950));
        let help = format!("214-Help\r\n{}214 end\r\n", inner.repeat(60));
        let replies = format!("{}{help}{ANNOUNCES}\r\n", "200 ok\r\n".repeat(13));
        session.write_all(replies.as_bytes()).expect("the client listens");
        let mut heard = vec![0; replies.len()];
        control.read_exact(&mut heard).expect("the server speaks");
        assert!(heard == replies.as_bytes());

        for (port, met) in [(20_000, Outcome::Silence), (INSIDE, Outcome::Opened)] {
            let target = server.at(Family::V4, port);
            let _listener = probe::listen(server, target);
            assert_eq!(probe::to(client, target), met, "{state} {port}");
        }
        let stats = ftptrack.stats();
        assert_eq!((stats.of(Counter::Commands), stats.of(Counter::Replies)), (15, 16), "{state}: {stats:?}");
        assert_eq!((stats.of(Counter::StepsLost), stats.of(Counter::LongLines)), (0, 0), "{state}: {stats:?}");
        drop((control, session));
        ftptrack.stop();
    }
}
