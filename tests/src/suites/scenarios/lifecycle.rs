//! Connection setup and teardown out of the ordinary.

use super::encapsulations::ANNOUNCES;
use super::{Location, Scenario, access};
use crate::INSIDE;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::Server;
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::Peer;
use crate::suites::evasions::Hang;

const GROUP: &str = "Connection setup and teardown";
pub(super) const ALL: &[&Scenario] = &[&HALF_CLOSED, &USED_AGAIN, &ECHO, &LATE, &REFUSED, &WRAPPED];

/// A FIN with the client's last command.
pub static HALF_CLOSED: Scenario = Scenario {
    group: GROUP,
    name: "a client half-closes with its PASV, which is answered; it connects twice",
    must: "the first connection begins, the second doesn't",
    expected: &["open", "shut"],
    unguarded: &["open", "open"],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let mut connection = testbed.connection(&ftp, 37_000);
        let last = Segment { flags: flag::ACK | flag::FIN, ..connection.peer.segment("PASV\r\n") };
        connection.peer.put(&last);
        connection.peer.next = last.next();
        connection.hears("PASV")?;
        connection.answer(ANNOUNCES)?;
        if let Some(ftptrack) = &testbed.ftptrack {
            assert_eq!(ftptrack.sessions().len(), 1);
        }
        let observed = vec![access(connection.peer.opens(INSIDE)), access(connection.peer.opens(INSIDE))];
        // The server closes its half, too: that is the end.
        drop(connection.session);
        connection.peer.hear_fin(false);
        Ok(observed)
    },
};

/// The server closes first, so its TIME-WAIT stands when the same ports are used again
/// (RFC 9293 §3.6.1 lets a SYN with a higher number through).
pub static USED_AGAIN: Scenario = Scenario {
    group: GROUP,
    name: "a session ends with its 227 unused, and another begins on the same ports",
    must: "what the first one had negotiated is shut, and what the second one negotiates opens",
    expected: &["shut", "open"],
    unguarded: &["open", "open"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let ftp = Server::on(server, Family::V4);
        let mut connection = testbed.connection(&ftp, 38_000);
        connection.exchange("PASV", ANNOUNCES)?;
        drop(connection.session);
        connection.peer.hear_fin(true);
        let next = connection.peer.next.wrapping_add(100_000);
        let (mut peer, mut session) = Peer::connect((client, server), &ftp, 38_000, next);
        peer.log_in(&mut session);
        let inherited = peer.opens(INSIDE);
        Ok(vec![access(inherited), access(peer.passive(&mut session, INSIDE + 1))])
    },
};

/// What comes late for a connection that is over is answered by the server's TIME-WAIT: that is no
/// session.
pub static ECHO: Scenario = Scenario {
    group: GROUP,
    name: "a client retransmits its FIN after its control connection has ended",
    must: "it is not taken for an open control connection",
    expected: &["over", "over"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let mut connection = testbed.connection(&ftp, 38_500);
        drop(connection.session);
        connection.peer.hear_fin(true);
        let mut observed = vec![if testbed.followed() == 0 { "over" } else { "open" }];
        // The last acknowledgement was lost, say, so the client repeats its FIN.
        let last = connection.peer.segment("");
        connection.peer.put(&Segment { seq: last.seq.wrapping_sub(1), flags: flag::ACK | flag::FIN, ..last });
        connection.peer.arrives();
        observed.push(if testbed.followed() == 0 { "over" } else { "open" });
        Ok(observed)
    },
};

/// QUIT was lost, the FIN behind it was not; then QUIT is repeated.
pub static LATE: Scenario = Scenario {
    group: GROUP,
    name: "a client's FIN arrives before its QUIT, then both in order",
    must: "the QUIT and its reply arrive, and the control connection is not taken for open",
    expected: &["arrives", "over"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let ftp = Server::on(&testbed.network.server, Family::V4);
        let mut connection = testbed.connection(&ftp, 38_600);
        let quit = connection.peer.segment("QUIT\r\n");
        let fin = Segment { seq: quit.next(), flags: flag::ACK | flag::FIN, ..connection.peer.segment("") };
        connection.peer.put(&fin);
        connection.peer.put(&quit);
        // Where the early FIN was deferred, it is retransmitted as well.
        connection.peer.put(&fin);
        connection.peer.next = fin.next();
        connection.hears("QUIT")?;
        connection.answer("221 bye")?;
        drop(connection.session);
        connection.peer.hear_fin(false);
        Ok(vec!["arrives", if testbed.followed() == 0 { "over" } else { "open" }])
    },
};

/// More often than unfinished connections may stand.
const REFUSALS: usize = 9;

#[track_caller]
fn refusals(hosts: (&Host, &Host), family: Family) -> Vec<&'static str> {
    let (client, server) = hosts;
    let ftp = Server::on(server, family);
    let (mut control, mut session) = ftp.session_with(client);
    let target = server.at(family, INSIDE);
    control.send("EPSV\r\n");
    session.hears("EPSV");
    session.say(&format!("229 Entering Extended Passive Mode (|||{INSIDE}|)"));
    control.reply().must_be(229);
    let refused = (0..REFUSALS).all(|_| probe::to(client, target) == Outcome::Refused);
    let _listener = probe::listen(server, target);
    let opens = || access(probe::to(client, target) == Outcome::Opened);
    vec![if refused { "refused" } else { "shut" }, opens(), opens()]
}

/// The server's stack refuses, because it doesn't listen yet.
pub static REFUSED: Scenario = Scenario {
    group: GROUP,
    name: "a data connection is refused nine times because the server doesn't listen yet, then tried twice; over both \
           families",
    must: "the client is refused by the server each time and not shut out; then it gets in, once",
    expected: &["refused", "open", "shut", "refused", "open", "shut"],
    unguarded: &["refused", "open", "open", "refused", "open", "open"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        Ok(Family::BOTH.into_iter().flat_map(|family| refusals((client, server), family)).collect())
    },
};

/// USER and its line end are 16 bytes, PASV or EPSV 6.
const BEFORE: std::ops::RangeInclusive<u32> = 0..=24;

/// At each byte, over both families.
pub static WRAPPED: Scenario = Scenario {
    group: GROUP,
    name: "a client's sequence number wraps at each of the first 25 bytes, over both families",
    must: "each session goes on and its port opens",
    expected: &["open"; 50],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let mut observed = Vec::new();
        for family in Family::BOTH {
            let ftp = Server::on(server, family);
            for before in BEFORE {
                let port = 39_000 + u16::try_from(before).expect("a few");
                let hosts = (client, server);
                let (mut peer, mut session) = Peer::connect(hosts, &ftp, port, 0u32.wrapping_sub(before));
                peer.log_in(&mut session);
                peer.exchange(&mut session, "EPSV", &format!("229 Extended (|||{INSIDE}|)"));
                observed.push(access(peer.opens(INSIDE)));
                // Ones from before the wrap are old.
                peer.put(&Segment { seq: 0u32.wrapping_sub(before), ..peer.segment("USER anonymous\r\n") });
                peer.exchange(&mut session, "NOOP", "200 ok");
            }
        }
        Ok::<_, Hang>(observed)
    },
};
