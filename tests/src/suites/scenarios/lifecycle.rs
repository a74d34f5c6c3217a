//! Beginnings and ends of connections that are not the usual ones.

use super::encapsulations::ANNOUNCES;
use super::{Place, Trial, access};
use crate::INSIDE;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::Server;
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::Peer;
use crate::suites::evasions::Stuck;

const GROUP: &str = "Beginnings and ends";
pub(super) const ALL: &[&Trial] = &[&HALF_CLOSED, &USED_AGAIN, &ECHO, &LATE, &REFUSED, &WRAPPED];

/// A FIN with the client's last command.
pub static HALF_CLOSED: Trial = Trial {
    group: GROUP,
    name: "a client closes its half with a PASV, and is answered; it connects twice",
    must: "the first connection begins, the second doesn't",
    must_be: &["open", "shut"],
    unguarded: &["open", "open"],
    place: Place::Server,
    play: |ground| {
        let ftp = Server::on(&ground.network.server, Family::V4);
        let mut bout = ground.bout(&ftp, 37_000);
        let last = Segment { flags: flag::ACK | flag::FIN, ..bout.peer.segment("PASV\r\n") };
        bout.peer.put(&last);
        bout.peer.next = last.next();
        bout.hears("PASV")?;
        bout.answer(ANNOUNCES)?;
        if let Some(ftptrack) = &ground.ftptrack {
            assert_eq!(ftptrack.sessions().len(), 1);
        }
        let met = vec![access(bout.peer.opens(INSIDE)), access(bout.peer.opens(INSIDE))];
        // The server closes its half, too: that is the end.
        drop(bout.session);
        bout.peer.hear_fin(false);
        Ok(met)
    },
};

/// The server closes first, so its TIME-WAIT stands when the same ports are used again
/// (RFC 9293 §3.6.1 lets a SYN with a higher number through).
pub static USED_AGAIN: Trial = Trial {
    group: GROUP,
    name: "a session ends with a 227 that nobody has followed, and another begins on the same ports",
    must: "what the first one had negotiated is shut, and what the second one negotiates opens",
    must_be: &["shut", "open"],
    unguarded: &["open", "open"],
    place: Place::Server,
    play: |ground| {
        let Network { server, client, .. } = ground.network;
        let ftp = Server::on(server, Family::V4);
        let mut bout = ground.bout(&ftp, 38_000);
        bout.exchange("PASV", ANNOUNCES)?;
        drop(bout.session);
        bout.peer.hear_fin(true);
        let next = bout.peer.next.wrapping_add(100_000);
        let (mut peer, mut session) = Peer::connect((client, server), &ftp, 38_000, next);
        peer.log_in(&mut session);
        let inherited = peer.opens(INSIDE);
        Ok(vec![access(inherited), access(peer.passive(&mut session, INSIDE + 1))])
    },
};

/// What comes late for a connection that is over is answered by the server's TIME-WAIT: that is no
/// session.
pub static ECHO: Trial = Trial {
    group: GROUP,
    name: "a client repeats its FIN when its control connection is over",
    must: "nobody takes it for an open control connection",
    must_be: &["over", "over"],
    unguarded: &[],
    place: Place::Server,
    play: |ground| {
        let ftp = Server::on(&ground.network.server, Family::V4);
        let mut bout = ground.bout(&ftp, 38_500);
        drop(bout.session);
        bout.peer.hear_fin(true);
        let mut met = vec![if ground.followed() == 0 { "over" } else { "open" }];
        // The last acknowledgement was lost, say, so the client repeats its FIN.
        let last = bout.peer.segment("");
        bout.peer.put(&Segment { seq: last.seq.wrapping_sub(1), flags: flag::ACK | flag::FIN, ..last });
        bout.peer.arrives();
        met.push(if ground.followed() == 0 { "over" } else { "open" });
        Ok(met)
    },
};

/// QUIT was lost, the FIN behind it was not; then QUIT is repeated.
pub static LATE: Trial = Trial {
    group: GROUP,
    name: "a client's FIN comes before its QUIT, and both again in order",
    must: "the QUIT arrives, its answer too, and nobody takes the control connection for open",
    must_be: &["arrives", "over"],
    unguarded: &[],
    place: Place::Server,
    play: |ground| {
        let ftp = Server::on(&ground.network.server, Family::V4);
        let mut bout = ground.bout(&ftp, 38_600);
        let quit = bout.peer.segment("QUIT\r\n");
        let fin = Segment { seq: quit.next(), flags: flag::ACK | flag::FIN, ..bout.peer.segment("") };
        bout.peer.put(&fin);
        bout.peer.put(&quit);
        // Where the early FIN was held back, it is repeated as well.
        bout.peer.put(&fin);
        bout.peer.next = fin.next();
        bout.hears("QUIT")?;
        bout.answer("221 bye")?;
        drop(bout.session);
        bout.peer.hear_fin(false);
        Ok(vec!["arrives", if ground.followed() == 0 { "over" } else { "open" }])
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
pub static REFUSED: Trial = Trial {
    group: GROUP,
    name: "a data connection is refused nine times because the server doesn't listen yet, then tried twice; over both \
           families",
    must: "the client is refused by the server each time and not shut out; then it gets in, once",
    must_be: &["refused", "open", "shut", "refused", "open", "shut"],
    unguarded: &["refused", "open", "open", "refused", "open", "open"],
    place: Place::Server,
    play: |ground| {
        let Network { server, client, .. } = ground.network;
        Ok(Family::BOTH.into_iter().flat_map(|family| refusals((client, server), family)).collect())
    },
};

/// USER and its line end are 16 bytes, PASV or EPSV 6.
const BEFORE: std::ops::RangeInclusive<u32> = 0..=24;

/// At each byte, over both families.
pub static WRAPPED: Trial = Trial {
    group: GROUP,
    name: "a client's sequence number wraps at each of the first 25 bytes, over both families",
    must: "each session goes on and its port opens",
    must_be: &["open"; 50],
    unguarded: &[],
    place: Place::Server,
    play: |ground| {
        let Network { server, client, .. } = ground.network;
        let mut met = Vec::new();
        for family in Family::BOTH {
            let ftp = Server::on(server, family);
            for before in BEFORE {
                let port = 39_000 + u16::try_from(before).expect("a few");
                let hosts = (client, server);
                let (mut peer, mut session) = Peer::connect(hosts, &ftp, port, 0u32.wrapping_sub(before));
                peer.log_in(&mut session);
                peer.exchange(&mut session, "EPSV", &format!("229 Extended (|||{INSIDE}|)"));
                met.push(access(peer.opens(INSIDE)));
                // Ones from before the wrap are old.
                peer.put(&Segment { seq: 0u32.wrapping_sub(before), ..peer.segment("USER anonymous\r\n") });
                peer.exchange(&mut session, "NOOP", "200 ok");
            }
        }
        Ok::<_, Stuck>(met)
    },
};
