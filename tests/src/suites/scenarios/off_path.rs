//! An off-path attacker: packets from somebody who is no end of the connection.

use ftp_common::counter::Counter;

use super::{Location, Scenario, access};
use crate::INSIDE;
use crate::actors::client::{Client, six_numbers};
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{CONTROL, Server, Session, exchange, negotiated};
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::{Segment, flag};
use crate::packets::wire::Wire;
use crate::suites::evasions::blind::BLIND;

const GROUP: &str = "Off-path attacker";
pub(super) const ALL: &[&Scenario] = &[&ALL_FORGED, &BLIND_SERVERS];

/// Nobody listens on the control port.
pub static ALL_FORGED: Scenario = Scenario {
    group: GROUP,
    name: "a client forges a whole session with the server: both ends of it, handshake, greeting, PASV and 227",
    must: "the port is shut",
    expected: &["shut"],
    unguarded: &["open"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let target = server.at(Family::V4, INSIDE);
        let (from, to) = (client.at(Family::V4, 50_000), server.at(Family::V4, CONTROL));
        let _listener = probe::listen(server, target);
        let own_link = Wire::of(client);
        let mut servers_link = Wire::of(server);
        let passive = format!("227 Entering Passive Mode ({}).\r\n", six_numbers(target));
        // Both directions of it, each segment in sequence.
        let hello = Segment { source: from, destination: to, seq: 1000, ack: 0, flags: flag::SYN, payload: vec![] };
        let mut turn = Segment { ack: 5000, ..hello.clone() };
        let mut sent = vec![hello];
        for (flags, payload) in [
            (flag::SYN | flag::ACK, &b""[..]),
            (flag::ACK, b""),
            (flag::ACK | flag::PSH, b"220 ready\r\n"),
            (flag::ACK | flag::PSH, b"PASV\r\n"),
            (flag::ACK | flag::PSH, passive.as_bytes()),
            (flag::ACK, b""),
        ] {
            turn = turn.answer(flags, payload);
            sent.push(turn.clone());
        }
        for segment in &sent {
            own_link.forge(segment, server.mac());
            servers_link.wait_for("the forged segment", |seen| seen == segment);
        }
        Ok(vec![access(probe::to(client, target) == Outcome::Opened)])
    },
};

/// A session of a real client, and the next segment that its server would send.
#[track_caller]
fn session_of(client: &Host, ftp: &Server) -> (Client, Session, Segment) {
    let (mut control, mut session) = ftp.session_with(client);
    let mut link = Wire::of(client);
    exchange((&mut control, &mut session), "NOOP", "200 ok");
    let said = link.wait_for("the answer", |seen| seen.payload == b"200 ok\r\n");
    let next = Segment { seq: said.next(), payload: Vec::new(), ..said };
    (control, session, next)
}

/// With `servers-beyond` anyone can send the servers' packets, with any number.
pub static BLIND_SERVERS: Scenario = Scenario {
    group: GROUP,
    name: "the blind packets of the evasion cases, with the server's address, to a client's host that runs the \
           filter; then two transfers",
    must: "both begin, after each of the packets",
    expected: &["open"; BLIND.len()],
    unguarded: &[],
    filter_at: Location::Client,
    play: |testbed| {
        let Network { server, client, third, .. } = testbed.network;
        let ftp = Server::on(server, Family::V4);
        let blinds = Wire::of(third);
        let lost = || testbed.ftptrack.as_ref().map(|ftptrack| ftptrack.stats().of(Counter::Desyncs));
        let mut observed = Vec::new();
        for (blind, port) in BLIND.iter().zip(INSIDE..) {
            let before = lost();
            let (mut control, mut session, next) = session_of(client, &ftp);
            blinds.forge(&blind.segment(&next), client.mac());
            let opened = [port, port + 1000].map(|port| {
                let target = server.at(Family::V4, port);
                let _listener = probe::listen(server, target);
                negotiated((&mut control, &mut session), target);
                probe::to(client, target) == Outcome::Opened
            });
            let both = opened == [true; 2];
            if !both || lost() != before {
                testbed.note(format!("{}: {opened:?}, desyncs {before:?} to {:?}", blind.name, lost()));
            }
            observed.push(access(both));
        }
        Ok(observed)
    },
};
