//! One negotiation, and more than one connection on it: packets that only the filter takes, SYN cookies, Fast Open, and
//! a neighbour on the wire. What the server's own listener has accepted says what was let in.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use super::encapsulations::ANNOUNCES;
use super::fast_open::listen_for_data;
use super::{Location, Scenario, Testbed, access};
use crate::INSIDE;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{Server, negotiated};
use crate::hosts::network::{Family, Host, Network};
use crate::packets::ip::Ipv4;
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::{Odd, Peer};
use crate::packets::wire::Wire;
use crate::suites::evasions::{Connection, Hang};

const GROUP: &str = "Handshakes of data connections";
pub(super) const ALL: &[&Scenario] =
    &[&RESET_UNSEEN, &SYN_UNSEEN, &TWO_COOKIES, &COOKIE_AGAIN, &ACK_UNSEEN, &DATA_IN_SYN, &BURNT, &SHORT_LIVED];

/// Nobody but a filter takes such a packet.
const UNSEEN: Odd = Odd { urgent: None, bad_checksum: true, old: false, hops: None };

/// What the listener has accepted, once all has arrived that the peer sent.
#[track_caller]
fn accepted(peer: &mut Peer<'_>, listener: &TcpListener, kept: &mut Vec<TcpStream>) -> &'static str {
    peer.arrives();
    listener.set_nonblocking(true).expect("a socket");
    loop {
        match listener.accept() {
            Ok((stream, _)) => kept.push(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => panic!("accepting: {error}"),
        }
    }
    match kept.len() {
        0 => "none",
        1 => "one",
        _ => "two",
    }
}

/// A session that has negotiated [`INSIDE`], where the server listens.
#[track_caller]
fn expecting<'a>(testbed: &'a Testbed<'_>, ftp: &Server, port: u16) -> Result<(Connection<'a>, TcpListener), Hang> {
    let listener = probe::listen(&testbed.network.server, testbed.network.server.at(Family::V4, INSIDE));
    let mut connection = testbed.connection(ftp, port);
    connection.exchange("PASV", ANNOUNCES)?;
    Ok((connection, listener))
}

/// A SYN from one of the peer's ports.
fn syn(peer: &Peer<'_>, port: u16) -> Segment {
    let (source, destination) = (SocketAddr::new(peer.own.ip(), port), SocketAddr::new(peer.other.ip(), INSIDE));
    Segment { source, destination, seq: 1000, ack: 0, flags: flag::SYN, payload: Vec::new() }
}

/// After the first connection's SYN-ACK a packet that only the filter takes, made of its SYN and its acknowledgement; then
/// a second connection, and the acknowledgement. How many the server accepts.
#[track_caller]
fn after_an_unseen(
    testbed: &Testbed<'_>,
    port: u16,
    unseen: fn(&Segment, &Segment) -> Segment,
) -> Result<Vec<&'static str>, Hang> {
    let ftp = Server::on(&testbed.network.server, Family::V4);
    let (mut connection, listener) = expecting(testbed, &ftp, port)?;
    let peer = &mut connection.peer;
    let first = syn(peer, port + 6001);
    if let Some(answer) = peer.answer(&first) {
        let ack = answer.answer(flag::ACK, b"");
        peer.put_odd(&unseen(&first, &ack), UNSEEN);
        if let Some(answer) = peer.answer(&syn(peer, port + 6002)) {
            peer.put(&answer.answer(flag::ACK, b""));
        }
        peer.put(&ack);
    }
    Ok(vec![accepted(peer, &listener, &mut Vec::new())])
}

/// A SYN with TCP options, as an IPv4 packet.
#[track_caller]
fn with_options(syn: &Segment, options: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (syn.source.ip(), syn.destination.ip()) else {
        panic!("{syn:?}: not IPv4")
    };
    Ipv4::default().packet(from, to, &syn.to_tcp(options))
}

fn cookies(server: &Host) {
    server.namespace.run(|| fs::write("/proc/sys/net/ipv4/tcp_syncookies", "2")).expect("our own");
}

/// The server's half-open connection stays, and the client has two.
pub static RESET_UNSEEN: Scenario = Scenario {
    group: GROUP,
    name: "after the SYN-ACK a reset with a bad checksum, another connection on the same negotiation, then the \
           acknowledgement of the first",
    must: "the server accepts one",
    expected: &["one"],
    unguarded: &["two"],
    filter_at: Location::Server,
    play: |testbed| after_an_unseen(testbed, 39_000, |_, ack| Segment { flags: flag::RST, ..ack.clone() }),
};

/// The filter would take the second number for the connection's.
pub static SYN_UNSEEN: Scenario = Scenario {
    group: GROUP,
    name: "after the SYN-ACK a SYN with another number and a bad checksum, another connection, then the \
           acknowledgement of the first",
    must: "the server accepts one",
    expected: &["one"],
    unguarded: &["two"],
    filter_at: Location::Server,
    play: |testbed| after_an_unseen(testbed, 39_100, |syn, _| Segment { seq: 900_000, ..syn.clone() }),
};

/// A cookie depends on the segment size that the SYN names.
pub static TWO_COOKIES: Scenario = Scenario {
    group: GROUP,
    name: "a host with SYN cookies answers a SYN twice, for two segment sizes; the client completes both, one after \
           the other",
    must: "the server accepts one",
    expected: &["one"],
    unguarded: &["two"],
    filter_at: Location::Server,
    play: |testbed| {
        cookies(&testbed.network.server);
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let (mut connection, listener) = expecting(testbed, &ftp, 39_200)?;
        let peer = &mut connection.peer;
        let syn = syn(peer, 45_201);
        let mut kept = Vec::new();
        let answers: Vec<_> = [[2, 4, 0x02, 0x18], [2, 4, 0x05, 0xb4]]
            .iter()
            .filter_map(|size| peer.answer_to_packet(&syn, &with_options(&syn, size)))
            .collect();
        for answer in &answers {
            let ack = answer.answer(flag::ACK, b"");
            peer.put(&ack);
            peer.put(&Segment { flags: flag::RST | flag::ACK, ..ack });
            accepted(peer, &listener, &mut kept);
        }
        Ok(vec![accepted(peer, &listener, &mut kept)])
    },
};

/// The host has forgotten the connection, and takes its acknowledgement for a new one's.
pub static COOKIE_AGAIN: Scenario = Scenario {
    group: GROUP,
    name: "a host with SYN cookies: the client repeats the acknowledgement of a connection that has ended, as it was \
           and 50 numbers further on",
    must: "the server accepts one",
    expected: &["one", "one"],
    unguarded: &["two", "two"],
    filter_at: Location::Server,
    play: |testbed| {
        cookies(&testbed.network.server);
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let (mut connection, listener) = expecting(testbed, &ftp, 39_300)?;
        let peer = &mut connection.peer;
        let mut kept = Vec::new();
        let Some(answer) = peer.answer(&syn(peer, 45_301)) else { return Ok(vec!["none", "none"]) };
        let ack = answer.answer(flag::ACK, b"");
        peer.put(&Segment { payload: b"data".to_vec(), ..ack.clone() });
        accepted(peer, &listener, &mut kept);
        let reset = Segment { flags: flag::RST | flag::ACK, seq: ack.seq.wrapping_add(4), ..ack.clone() };
        peer.put(&reset);
        peer.put(&ack);
        let again = accepted(peer, &listener, &mut kept);
        let further = |segment: &Segment| Segment {
            seq: segment.seq.wrapping_add(50),
            ack: segment.ack.wrapping_add(50),
            ..segment.clone()
        };
        peer.put(&further(&reset));
        peer.put(&further(&ack));
        Ok(vec![again, accepted(peer, &listener, &mut kept)])
    },
};

/// The filter takes it for the connection's beginning; the host still waits for it.
pub static ACK_UNSEEN: Scenario = Scenario {
    group: GROUP,
    name: "the acknowledgement of the SYN-ACK has a bad checksum, the control connection ends, and the SYN and the \
           acknowledgement come again",
    must: "the server accepts none",
    expected: &["none"],
    unguarded: &["one"],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let (mut connection, listener) = expecting(testbed, &ftp, 39_400)?;
        let first = syn(&connection.peer, 45_401);
        if let Some(answer) = connection.peer.answer(&first) {
            let ack = answer.answer(flag::ACK, b"");
            connection.peer.put_odd(&ack, UNSEEN);
            drop(connection.session);
            connection.peer.hear_fin(true);
            connection.peer.put(&first);
            connection.peer.put(&ack);
        }
        Ok(vec![accepted(&mut connection.peer, &listener, &mut Vec::new())])
    },
};

/// The host would take the connection at once, and the next one, too.
pub static DATA_IN_SYN: Scenario = Scenario {
    group: GROUP,
    name: "two SYNs with data to a listener that takes them (Fast Open), and a connection without, on one negotiation",
    must: "the one without is accepted",
    expected: &["none", "one"],
    unguarded: &["two", "two"],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let server = &testbed.network.server;
        let listener = listen_for_data(server, server.at(Family::V4, INSIDE));
        let mut connection = testbed.connection(&ftp, 39_500);
        connection.exchange("PASV", ANNOUNCES)?;
        let peer = &mut connection.peer;
        let mut kept = Vec::new();
        for port in [45_501, 45_502] {
            let syn = Segment { payload: b"data".to_vec(), ..syn(peer, port) };
            // The option without a cookie asks for one (RFC 7413 §4.1.1); this listener needs none.
            peer.put_packet(&with_options(&syn, &[34, 2, 1, 1]));
        }
        let early = accepted(peer, &listener, &mut kept);
        if let Some(answer) = peer.answer(&syn(peer, 45_503)) {
            peer.put(&answer.answer(flag::ACK, b""));
        }
        Ok(vec![early, accepted(peer, &listener, &mut kept)])
    },
};

/// From the third host, which sees nothing of what the server answers.
pub static BURNT: Scenario = Scenario {
    group: GROUP,
    name: "a neighbour forges a whole handshake of the data connection that a client has negotiated, both ends of it; \
           then the client connects",
    must: "the client's connection begins",
    expected: &["open"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, third, .. } = testbed.network;
        let ftp = Server::on(server, Family::V4);
        let (mut control, mut session) = ftp.session_with(client);
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        negotiated((&mut control, &mut session), target);
        let mut servers_link = Wire::of(server);
        let link = Wire::of(third);
        let source = client.at(Family::V4, 45_601);
        let syn = Segment { source, destination: target, seq: 1000, ack: 0, flags: flag::SYN, payload: Vec::new() };
        let syn_ack = Segment { seq: 7000, ..syn.answer(flag::SYN | flag::ACK, b"") };
        let ack = syn_ack.answer(flag::ACK, b"");
        for segment in [&syn, &syn_ack, &ack, &ack.answer(flag::ACK, b"data")] {
            link.forge(segment, server.mac());
            servers_link.wait_for("the forged segment", |seen| seen == segment);
        }
        Ok(vec![access(probe::to(client, target) == Outcome::Opened)])
    },
};

/// More than one client may have.
const SHORT: u16 = 140;

/// None of them logs in.
pub static SHORT_LIVED: Scenario = Scenario {
    group: GROUP,
    name: "140 control connections of one client, each reset behind a byte with a bad checksum; then a transfer",
    must: "it begins",
    expected: &["open"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        for port in 46_000..46_000 + SHORT {
            let mut connection = testbed.connection(&ftp, port);
            let byte = connection.peer.segment("N");
            connection.peer.put_odd(&byte, UNSEEN);
            connection.peer.put(&Segment { flags: flag::RST | flag::ACK, payload: Vec::new(), ..byte });
            connection.peer.arrives();
        }
        let mut connection = testbed.connection(&ftp, 39_700);
        Ok(vec![access(connection.passive(INSIDE)?)])
    },
};
