//! Races: two at the same instant.

use socket2::{Domain, Socket, Type};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use super::{Location, Scenario, access};
use crate::INSIDE;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::{CONTROL, Server, negotiated};
use crate::hosts::network::{Family, Network};

const GROUP: &str = "Races";
pub(super) const ALL: &[&Scenario] = &[&BUSY, &TWO_FOR_ONE];

/// Commands, each with a reply.
pub const BUSY_COMMANDS: u32 = 8_000;
/// One in so many is a PASV.
pub const PASSIVE_EVERY: u32 = 40;

/// The client says the next commands before the replies are there.
pub static BUSY: Scenario = Scenario {
    group: GROUP,
    name: "8,000 commands, up to twelve ahead of their replies, while the server answers; one in forty is a PASV, the \
           other replies name another port in an inner line",
    must: "each of the 200 ports opens, and the one of the inner lines is shut",
    expected: &["200 open", "shut"],
    unguarded: &[],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let listener = probe::listen(server, server.at(Family::V4, CONTROL));
        let data = probe::listen(server, server.at(Family::V4, INSIDE));
        let mut control = probe::connect(client, server.at(Family::V4, CONTROL))?;
        let (mut session, _) = listener.accept()?;
        session.set_nodelay(true)?;
        for stream in [&control, &session] {
            stream.set_read_timeout(Some(testbed.patience()))?;
        }
        let replies = BufReader::new(control.try_clone()?);
        let (heard, over) = (AtomicU32::new(0), AtomicBool::new(false));
        let opened = thread::scope(|scope| {
            // The server: a reply to each line, in order. When the client hangs up, it is done.
            scope.spawn(|| {
                session.write_all(b"220 ready\r\n")?;
                for line in BufReader::new(session.try_clone()?).lines().take(BUSY_COMMANDS as usize) {
                    let reply: &[u8] = match line?.as_str() {
                        "PASV" => b"227 Entering Passive Mode (10,0,0,1,58,152).\r\n",
                        _ => b"214-Help\r\n227 Entering Passive Mode (10,0,0,1,78,32).\r\n214 end\r\n",
                    };
                    session.write_all(reply)?;
                }
                Ok::<_, io::Error>(())
            });
            scope.spawn(|| {
                for n in 1..=BUSY_COMMANDS {
                    while n >= heard.load(Ordering::Acquire) + 12 && !over.load(Ordering::Acquire) {
                        thread::yield_now();
                    }
                    if over.load(Ordering::Acquire) {
                        break;
                    }
                    let command: &[u8] = if n % PASSIVE_EVERY == 0 { b"PASV\r\n" } else { b"HELP\r\n" };
                    control.write_all(command)?;
                }
                Ok::<_, io::Error>(())
            });
            let mut opened = 0;
            for line in replies.lines() {
                let Ok(line) = line else { break };
                if line.starts_with("227 Entering Passive Mode (10,0,0,1,58") {
                    let connection = probe::connect(client, data.local_addr().expect("a listener"));
                    if connection.is_err() || data.accept().is_err() {
                        break;
                    }
                    opened += 1;
                } else if !line.starts_with("214 ") {
                    continue;
                }
                if heard.fetch_add(1, Ordering::AcqRel) + 1 == BUSY_COMMANDS {
                    break;
                }
            }
            over.store(true, Ordering::Release);
            opened
        });
        let all = opened == BUSY_COMMANDS / PASSIVE_EVERY;
        if !all {
            testbed.note(format!("{opened} ports opened, after {} replies", heard.load(Ordering::Acquire)));
        }
        let decoy = server.at(Family::V4, 20_000);
        let _listener = probe::listen(server, decoy);
        let decoy = access(probe::to(client, decoy) == Outcome::Opened);
        Ok(vec![if all { "200 open" } else { "not all open" }, decoy])
    },
};

/// Expectations that two connections want.
pub const ROUNDS: u16 = 20;
/// How long a SYN may go unanswered that is one too many: most rounds have one.
const SILENCE: Duration = Duration::from_millis(300);

/// From two threads, at the same time.
pub static TWO_FOR_ONE: Scenario = Scenario {
    group: GROUP,
    name: "two connections of the client begin at once for one 227; twenty times",
    must: "the server gets one of them each time",
    expected: &["one"; ROUNDS as usize],
    unguarded: &["two"; ROUNDS as usize],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        let ftp = Server::on(server, Family::V4);
        let (mut control, mut session) = ftp.session_with(client);
        let mut observed = Vec::new();
        for round in 0..ROUNDS {
            let target = server.at(Family::V4, INSIDE + round);
            let listener = probe::listen(server, target);
            negotiated((&mut control, &mut session), target);
            let together = Barrier::new(2);
            let connections = thread::scope(|scope| {
                let connect = || {
                    let socket = client.namespace.run(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
                    together.wait();
                    socket.connect_timeout(&target.into(), SILENCE).map(|()| socket)
                };
                let threads = [scope.spawn(connect), scope.spawn(connect)];
                threads.map(|thread| thread.join().expect("it doesn't panic"))
            });
            // What the server answers to this one, it answers after it has seen the others.
            assert_eq!(probe::to(client, server.at(Family::V4, 9)), Outcome::Refused);
            listener.set_nonblocking(true)?;
            let got = (0..2).filter(|_| listener.accept().is_ok()).count();
            observed.push(["none", "one", "two"][got]);
            drop(connections);
        }
        Ok(observed)
    },
};
