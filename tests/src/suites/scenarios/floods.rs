//! Floods: more connections than there is room for, from as many addresses, over real links.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::testbed::{INNER, INNER_MAC};
use super::{Location, Scenario, Testbed, access};
use crate::INSIDE;
use crate::actors::client::Client;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{CONTROL, Server, Session, exchange, negotiated, transfer};
use crate::hosts::network::{Family, Network};
use crate::packets::flood::spoofed;
use crate::packets::segment::{Segment, flag};
use crate::packets::wire::Wire;
use crate::subject::conntrack;
use crate::subject::hooks;
use crate::suites::dialogues::Guard;

const GROUP: &str = "Floods";
pub(super) const ALL: &[&Scenario] = &[&SYNS, &SESSIONS];

/// SYNs to either port.
const EACH: u32 = 50_000;
/// More than the kernel's helper has room for: 262,144 on a machine of 4 GiB and more.
const MANY: u32 = 270_000;
/// Packets that are on the way at a time: fewer than a host keeps waiting (`netdev_max_backlog`).
const AT_A_TIME: u32 = 500;

/// A port that is not special, for the `n`th.
fn some_port(n: u32) -> u16 {
    u16::try_from(n % 50_000).expect("small") + 10_000
}

fn syn(n: u32, destination: SocketAddr) -> Segment {
    let source = SocketAddr::from((spoofed(n), some_port(n)));
    Segment { source, destination, seq: n, ack: 0, flags: flag::SYN, payload: Vec::new() }
}

#[track_caller]
fn noop(control: &mut Client, session: &mut Session) {
    exchange((control, session), "NOOP", "200 ok");
}

/// Whether somebody new can begin a session and a transfer; after the exchanges that a session takes
/// to be followed whose handshake was evicted.
#[track_caller]
fn newcomer(testbed: &Testbed<'_>, ftp: &Server, port: u16) -> bool {
    let Network { server, client, .. } = testbed.network;
    if probe::to(client, ftp.address()) != Outcome::Opened {
        return false;
    }
    drop(ftp.accept());
    let (mut control, mut session) = ftp.session_with(client);
    for _ in 0..2 {
        noop(&mut control, &mut session);
    }
    transfer(client, server, (&mut control, &mut session), port) == Outcome::Opened
}

/// What the server answers goes nowhere.
pub static SYNS: Scenario = Scenario {
    group: GROUP,
    name: "100,000 SYNs from as many addresses, half to the control port and half to the range; meanwhile ten transfers \
           of another session, then a new client",
    must: "all transfers begin, and the new client gets in",
    expected: &["open"; 11],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, third, .. } = testbed.network;
        let before = testbed.ftptrack.as_ref().map(|_| hooks::memory(server));
        server.namespace.ip(&format!("route add 11.0.0.0/8 via {}", third.address(Family::V4)));
        let ftp = Server::on(server, Family::V4);
        let (mut control, mut session) = ftp.session_with(client);
        let link = Wire::of(third);
        let mut observed = Vec::new();
        for part in 0..10 {
            for n in part * EACH / 10..(part + 1) * EACH / 10 {
                for to in [CONTROL, INSIDE + 1000] {
                    link.forge(&syn(n, server.at(Family::V4, to)), server.mac());
                }
            }
            let port = INSIDE + u16::try_from(part).expect("ten");
            let opened = transfer(client, server, (&mut control, &mut session), port) == Outcome::Opened;
            observed.push(access(opened));
        }
        observed.push(access(newcomer(testbed, &ftp, INSIDE + 20)));
        testbed.note(testbed.memory());
        assert_eq!(testbed.ftptrack.as_ref().map(|_| hooks::memory(server)), before);
        Ok(observed)
    },
};

/// The three packets of a handshake, each batch of them from its end of the gateway.
#[track_caller]
fn handshakes(testbed: &Testbed<'_>, numbers: std::ops::Range<u32>, wires: &[Wire; 2]) {
    let server = testbed.network.server.at(Family::V4, CONTROL);
    let macs = [testbed.host().mac(), INNER_MAC];
    for step in 0..3 {
        for n in numbers.clone() {
            let hello = syn(n, server);
            let answer = Segment { seq: 77, ack: hello.next(), ..hello.answer(flag::SYN | flag::ACK, b"") };
            let (segment, end) = match step {
                0 => (hello, 0),
                1 => (answer, 1),
                _ => (answer.answer(flag::ACK, b""), 0),
            };
            wires[end].forge(&segment, macs[end]);
        }
    }
}

/// More than the helper's table and ftptrack's have room for. The server itself knows nothing of them.
pub static SESSIONS: Scenario = Scenario {
    group: GROUP,
    name: "270,000 control connections from as many addresses through a gateway, each with its whole handshake; \
           meanwhile a transfer goes on whose own control connection is idle; then that session's next transfer, and a \
           new client",
    must: "the open transfer goes on, the next one begins, and the new client gets in",
    expected: &["goes on", "open", "open"],
    unguarded: &[],
    filter_at: Location::Gateway,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let before = testbed.ftptrack.as_ref().map(|_| hooks::memory(testbed.host()));
        if testbed.guard == Guard::Conntrack {
            let room = conntrack::room(testbed.host());
            assert!(
                room < MANY,
                "nf_conntrack_max is {room}: to fill it, more than {MANY} connections must be tried here"
            );
        }
        let ftp = Server::on(server, Family::V4);
        let (mut control, mut session) = ftp.session_with(client);
        let target = server.at(Family::V4, INSIDE);
        let listener = probe::listen(server, target);
        negotiated((&mut control, &mut session), target);
        let mut data = probe::connect(client, target)?;
        let (mut sending, _) = listener.accept()?;
        drop(listener);
        let mut piece = [7; 1 << 14];
        let mut some =
            |data: &mut TcpStream| sending.write_all(&piece).and_then(|()| data.read_exact(&mut piece)).is_ok();
        // What answers a spoofed SYN comes from here, and not from the server's own stack.
        Testbed::run(
            server,
            &[
                "nft",
                "add table ip deaf; add chain ip deaf input { type filter hook input priority 0; }; \
            add rule ip deaf input ip saddr 11.0.0.0/8 drop",
            ],
        );
        let wires = [Wire::of(client), Wire::on(server, INNER)];
        let mut goes_on = true;
        for from in (0..MANY).step_by(AT_A_TIME as usize) {
            handshakes(testbed, from..from + AT_A_TIME, &wires);
            goes_on &= from % 10_000 != 0 || some(&mut data);
        }
        goes_on &= some(&mut data);
        drop(data);
        testbed.note(testbed.memory());
        assert_eq!(testbed.ftptrack.as_ref().map(|_| hooks::memory(testbed.host())), before);
        let mut observed = vec![if goes_on { "goes on" } else { "breaks" }];
        session.say("226 done");
        control.reply().must_be(226);
        for _ in 0..2 {
            noop(&mut control, &mut session);
        }
        observed.push(access(transfer(client, server, (&mut control, &mut session), INSIDE + 1) == Outcome::Opened));
        observed.push(access(newcomer(testbed, &ftp, INSIDE + 2)));
        Ok(observed)
    },
};
