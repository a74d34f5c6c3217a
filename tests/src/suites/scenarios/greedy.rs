//! A greedy client, or somebody who forges its address.

use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{Location, Scenario, access};
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{CONTROL, Server, negotiated, transfer};
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::{Segment, flag};
use crate::packets::wire::Wire;
use crate::{INSIDE, PASSIVE_RANGE};

const GROUP: &str = "A greedy client, or somebody with its address";
pub(super) const ALL: &[&Scenario] = &[&GREEDY, &SWEPT, &ONE_LINE];

/// More sessions than ftptrack follows of one client.
pub static GREEDY: Scenario = Scenario {
    group: GROUP,
    name: "one client has 140 sessions; then a transfer of another host, and one of the client's first session",
    must: "both begin",
    expected: &["open", "open"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, third, .. } = testbed.network;
        let ftp = Server::on(server, Family::V4);
        let mut ends: Vec<_> = (0..140).map(|_| ftp.session_with(client)).collect();
        testbed.note(format!("{} of 140 sessions are followed", testbed.followed()));
        let begins = |host: &Host, (control, session): &mut (_, _), port| {
            access(transfer(host, server, (control, session), port) == Outcome::Opened)
        };
        let other = begins(third, &mut ftp.session_with(third), INSIDE);
        Ok(vec![other, begins(client, &mut ends[0], INSIDE + 1)])
    },
};

/// Connects as any client does: its SYN is repeated after one, and after three seconds.
pub(super) fn connect_patiently(client: &Host, target: SocketAddr, patience: Duration) -> io::Result<Duration> {
    let socket = client.namespace.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
    let begin = Instant::now();
    socket.connect_timeout(&target.into(), patience)?;
    Ok(begin.elapsed())
}

/// By packets that carry the client's address.
pub static SWEPT: Scenario = Scenario {
    group: GROUP,
    name: "after a 227, an attacker sends SYNs with the client's address to all 10,241 ports of the range, eight \
           times each; then the client connects",
    must: "the client gets in",
    expected: &["open"],
    unguarded: &["open"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, third, .. } = testbed.network;
        let ftp = Server::on(server, Family::V4);
        let (mut control, mut session) = ftp.session_with(client);
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        negotiated((&mut control, &mut session), target);
        let link = Wire::of(third);
        for from in 20_000..20_008 {
            for port in PASSIVE_RANGE {
                let (source, destination) = (client.at(Family::V4, from), server.at(Family::V4, port));
                let seq = u32::from(from);
                let forged = Segment { source, destination, seq, ack: 0, flags: flag::SYN, payload: Vec::new() };
                link.forge(&forged, server.mac());
            }
        }
        let took = connect_patiently(client, target, Duration::from_millis(3500));
        if let Ok(took) = &took {
            testbed.note(format!("it got in after {:.1} ms", took.as_secs_f64() * 1000.0));
        }
        Ok(vec![access(took.is_ok())])
    },
};

/// A line as long as this.
const GIBIBYTE: usize = 1 << 30;

/// And after it a session as usual.
pub static ONE_LINE: Scenario = Scenario {
    group: GROUP,
    name: "a command line of 1 GiB; then three commands and a PASV",
    must: "the line arrives within a minute, and the port opens",
    expected: &["in time", "open"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        const PIECE: usize = 1 << 20;
        let Network { server, client, .. } = testbed.network;
        let listener = probe::listen(server, server.at(Family::V4, CONTROL));
        let mut control = probe::connect(client, server.at(Family::V4, CONTROL))?;
        let (mut session, _) = listener.accept()?;
        session.set_read_timeout(Some(testbed.patience()))?;
        let mut reader = BufReader::new(control.try_clone()?);
        let mut says = |session: &mut TcpStream, line: &str| {
            session.write_all(line.as_bytes())?;
            let mut heard = String::new();
            reader.read_line(&mut heard)?;
            assert_eq!(heard, line);
            Ok::<_, io::Error>(())
        };
        says(&mut session, "220 ready\r\n")?;
        let begin = Instant::now();
        thread::scope(|scope| {
            let writing = scope.spawn(|| {
                let piece = vec![b'x'; PIECE];
                (0..GIBIBYTE / PIECE).try_for_each(|_| control.write_all(&piece))?;
                control.write_all(b"\r\n")
            });
            let mut piece = vec![0; PIECE];
            let mut left = GIBIBYTE + 2;
            while left != 0 {
                left -= session.read(&mut piece)?;
            }
            writing.join().expect("it doesn't panic")
        })?;
        let took = begin.elapsed();
        testbed.note(format!("the line took {:.1} s", took.as_secs_f64()));
        says(&mut session, "500 what?\r\n")?;
        // Retransmissions of what lies farther back than what is kept cost the session its synchronization, and a GiB may
        // have some.
        let mut exchange = |session: &mut TcpStream, command: &str, answer: &str| {
            control.write_all(command.as_bytes())?;
            session.read_exact(&mut vec![0; command.len()])?;
            says(session, answer)
        };
        for _ in 0..3 {
            exchange(&mut session, "NOOP\r\n", "200 ok\r\n")?;
        }
        exchange(&mut session, "PASV\r\n", "227 Entering Passive Mode (10,0,0,1,58,152).\r\n")?;
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        let in_time = if took < Duration::from_secs(60) { "in time" } else { "late" };
        Ok(vec![in_time, access(probe::to(client, target) == Outcome::Opened)])
    },
};
