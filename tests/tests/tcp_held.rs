//! What holding back early segments costs, and a gateway that sees what its server never gets.

use ftp_common::counter::Counter;
use ftptrack_tests::client::Client;
use ftptrack_tests::ftptrack::{Ftptrack, PinDirectory};
use ftptrack_tests::network::{Family, Host, INTERFACE, Network};
use ftptrack_tests::probe::{self, Outcome};
use ftptrack_tests::server::{Server, Session};
use ftptrack_tests::tcp_peer::{Odd, Peer};
use ftptrack_tests::{INSIDE, process};
use std::fs;
use std::time::{Duration, Instant};

/// One retransmission timeout, 200 ms at least on Linux (TCP_RTO_MIN), and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(500);

/// Lets `host` pass packets on, and doesn't let it tell anyone of a better way.
#[track_caller]
fn make_a_router(host: &Host) {
    host.namespace.run(|| {
        fs::write("/proc/sys/net/ipv4/ip_forward", "1").expect("our own");
        for scope in ["all", INTERFACE] {
            fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/send_redirects"), "0").expect("our own");
        }
    });
}

/// Lets `host` lose the next packet whose text begins with `LOST`.
#[track_caller]
fn lose_one(host: &Host) {
    // Behind a TCP header with timestamps; 52 bytes of headers and 8 of text are 60.
    let rule = "add table ip loss; flush table ip loss; \
        add chain ip loss forward { type filter hook forward priority 0; }; \
        add rule ip loss forward tcp dport 21 @th,256,32 0x4c4f5354 quota until 60 bytes counter drop";
    let output = process::finish(host.namespace.command("nft").arg(rule));
    assert!(output.status.success(), "{}", output.stderr);
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
    let rules = process::finish(router.namespace.command("nft").args(["list", "table", "ip", "loss"]));
    assert!(rules.stdout.contains("counter packets 1 "), "one was lost: {}", rules.stdout);
    session.say("200 ok");
    session.say("200 ok");
    took
}

#[test]
fn a_lost_segment_costs_no_more_than_one_retransmission_timeout() {
    let Network { server, client, third, .. } = &Network::new();
    make_a_router(third);
    client.namespace.ip(&format!("route add {}/32 via {}", server.address(Family::V4), third.address(Family::V4)));
    let ftp = Server::on(server, Family::V4);
    let target = server.at(Family::V4, INSIDE);
    let fastest = || {
        let _listener = probe::listen(server, target);
        let (mut control, mut session) = ftp.session_with(client);
        let mut all = Vec::new();
        for _ in 0..5 {
            all.push(takes(third, &mut control, &mut session));
            session.say_passive(target);
            for code in [200, 200, 227] {
                control.reply().must_be(code);
            }
            assert_eq!(probe::to(client, target), Outcome::Opened);
        }
        println!("{all:?}");
        all.into_iter().min().expect("five")
    };
    let without = fastest();
    let pins = PinDirectory::new();
    let ftptrack = Ftptrack::guarding(server, &pins);
    let with = fastest();
    println!("a lost segment costs {without:?} without ftptrack and {with:?} with it");
    assert!(with < BOUND, "{with:?}");
    let stats = ftptrack.stats();
    assert!(stats.of(Counter::HeldBack) >= 10, "{stats:?}");
    assert_eq!((stats.of(Counter::StepsLost), stats.denied()), (0, 0), "{stats:?}");
    assert_eq!(stats.of(Counter::FlowsEstablished), 5);
    ftptrack.stop();
}

/// The gateway reads a PASV with a hop limit of one, which goes no farther, and passes on a NOOP.
#[test]
fn what_does_not_survive_the_way_behind_a_gateway_was_never_said() {
    let Network { server, client, third: gateway, .. } = &Network::new();
    make_a_router(gateway);
    let inner = format!("link add name inner type veth peer name inner netns {}", server.namespace.path());
    gateway.namespace.ip(&inner);
    for (host, address) in [(gateway, "10.9.0.3/24"), (server, "10.9.0.1/24")] {
        host.namespace.ip("link set inner up");
        host.namespace.ip(&format!("address add {address} dev inner"));
        host.namespace.run(|| {
            for scope in ["all", "inner", INTERFACE] {
                fs::write(format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0").expect("our own");
            }
        });
    }
    let address = server.address(Family::V4);
    gateway.namespace.ip(&format!("route add {address}/32 via 10.9.0.1 dev inner"));
    server.namespace.ip("route add 10.0.0.77/32 via 10.9.0.3 dev inner");
    let ftp = Server::on(server, Family::V4);
    let _listener = probe::listen(server, server.at(Family::V4, INSIDE));
    let play = |port: u16| {
        let (mut peer, mut session) = Peer::logged_in((client, gateway), &ftp, port);
        let ghost = peer.segment("PASV\r\n");
        peer.put_odd(&ghost, Odd { hops: Some(1), ..Odd::default() });
        peer.say("NOOP\r\n");
        session.hears("NOOP");
        session.say("227 Entering Passive Mode (10,0,0,1,58,152).");
        peer.hear("227 Entering Passive Mode (10,0,0,1,58,152).\r\n");
        let opened = peer.reaches(INSIDE);
        for _ in 0..3 {
            peer.exchange(&mut session, "NOOP", "200 ok");
        }
        peer.exchange(&mut session, "PASV", "227 Entering Passive Mode (10,0,0,1,58,152).");
        (opened, peer.reaches(INSIDE))
    };
    assert_eq!(play(30_000), (true, true), "nothing is attached");

    let pins = PinDirectory::new();
    let server_address = address.to_string();
    let options = ["-i", INTERFACE, "--passive-range", "10240-20480", "--server", &server_address];
    let ftptrack = Ftptrack::run(gateway, &pins, &options);
    assert_eq!(play(31_000), (false, true));
    let stats = ftptrack.stats();
    assert_eq!((stats.of(Counter::OverlapsDiffer), stats.of(Counter::StepsLost)), (1, 1), "{stats:?}");
    assert_eq!(stats.of(Counter::DeniedPassive), 1);
    ftptrack.stop();
}
