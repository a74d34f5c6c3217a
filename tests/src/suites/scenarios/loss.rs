//! What deferring early segments costs, and a gateway that sees what its server never gets.

use ftp_common::counter::Counter;
use std::time::{Duration, Instant};

use super::encapsulations::ANNOUNCES;
use super::testbed::make_a_router;
use super::{Location, Scenario, Testbed, access};
use crate::INSIDE;
use crate::actors::client::Client;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{Server, Session};
use crate::hosts::network::{Family, Host, Network};
use crate::packets::tcp_peer::Odd;

const GROUP: &str = "Packet loss";
pub(super) const ALL: &[&Scenario] = &[&LOST, &ONLY_THE_GATEWAY];

/// One retransmission timeout, 200 ms at least on Linux (TCP_RTO_MIN), and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(500);

/// Lets `host` lose the next packet whose text begins with `LOST`.
#[track_caller]
fn lose_one(host: &Host) {
    // Behind a TCP header with timestamps; 52 bytes of headers and 8 of text are 60.
    let rule = "add table ip loss; flush table ip loss; \
        add chain ip loss forward { type filter hook forward priority 0; }; \
        add rule ip loss forward tcp dport 21 @th,256,32 0x4c4f5354 quota until 60 bytes counter drop";
    Testbed::run(host, &["nft", rule]);
}

/// How long three segments take to be read, when the first of them is lost once.
#[track_caller]
fn takes(router: &Host, control: &mut Client, session: &mut Session) -> Duration {
    lose_one(router);
    let begin = Instant::now();
    for line in ["LOST 1\r\n", "NOOP 2\r\n", "PASV\r\n"] {
        control.send(line);
    }
    for line in ["LOST 1", "NOOP 2", "PASV"] {
        session.hears(line);
    }
    let took = begin.elapsed();
    let rules = Testbed::run(router, &["nft", "list", "table", "ip", "loss"]);
    assert!(rules.contains("counter packets 1 "), "one was lost: {rules}");
    session.say("200 ok");
    session.say("200 ok");
    took
}

/// Five times.
pub static LOST: Scenario = Scenario {
    group: GROUP,
    name: "a router on the way to the server loses one segment of three; five times",
    must: "each port opens, and the fastest of the five costs no more than one retransmission timeout",
    expected: &["open", "open", "open", "open", "open", "in time"],
    unguarded: &["open", "open", "open", "open", "open", "in time"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, third, .. } = testbed.network;
        make_a_router(third);
        let route = format!("route add {}/32 via {}", server.address(Family::V4), third.address(Family::V4));
        client.namespace.ip(&route);
        let ftp = Server::on(server, Family::V4);
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        let (mut control, mut session) = ftp.session_with(client);
        let (mut observed, mut all) = (Vec::new(), Vec::new());
        for _ in 0..5 {
            all.push(takes(third, &mut control, &mut session));
            session.say_passive(target);
            for code in [200, 200, 227] {
                control.reply().must_be(code);
            }
            observed.push(access(probe::to(client, target) == Outcome::Opened));
        }
        let least = all.iter().min().expect("five");
        observed.push(if *least < BOUND { "in time" } else { "late" });
        testbed.note(format!("a lost segment costs {:.1} ms", least.as_secs_f64() * 1000.0));
        if let Some(ftptrack) = &testbed.ftptrack {
            assert!(ftptrack.stats().of(Counter::SegmentsDeferred) >= 10);
        }
        Ok(observed)
    },
};

/// The gateway reads a PASV with a hop limit of one, which goes no farther, and passes on a NOOP.
pub static ONLY_THE_GATEWAY: Scenario = Scenario {
    group: GROUP,
    name: "a PASV that goes no farther than the gateway, a NOOP in its place, and a 227; then a PASV that the server \
           gets",
    must: "the first opens nothing, the second opens",
    expected: &["shut", "open"],
    unguarded: &["open", "open"],
    filter_at: Location::Gateway,
    play: |testbed| {
        let server = &testbed.network.server;
        let ftp = Server::on(server, Family::V4);
        let _listener = probe::listen(server, server.at(Family::V4, INSIDE));
        let mut connection = testbed.connection(&ftp, 30_000);
        let ghost = connection.peer.segment("PASV\r\n");
        connection.peer.put_odd(&ghost, Odd { hops: Some(1), ..Odd::default() });
        connection.peer.say("NOOP\r\n");
        connection.hears("NOOP")?;
        connection.answer(ANNOUNCES)?;
        let mut observed = vec![access(connection.peer.reaches(INSIDE))];
        for _ in 0..3 {
            connection.exchange("NOOP", "200 ok")?;
        }
        connection.exchange("PASV", ANNOUNCES)?;
        observed.push(access(connection.peer.reaches(INSIDE)));
        Ok(observed)
    },
};
