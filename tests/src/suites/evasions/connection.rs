//! A control connection made of raw segments: data that doesn't arrive ends the case, not the test.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::INSIDE;
use crate::actors::server::{Server, Session};
use crate::hosts::network::Host;
use crate::packets::segment::{Segment, flag};
use crate::packets::tcp_peer::Peer;
use crate::packets::wire::Wire;

/// The control connection hangs: the data that did not arrive.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hang(String);

impl From<io::Error> for Hang {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for Hang {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?} did not arrive", self.0)
    }
}

/// Both ends of a control connection.
#[derive(Debug)]
pub struct Connection<'a> {
    /// The client's end.
    pub peer: Peer<'a>,
    /// The server's end.
    pub session: Session,
    wire: Wire,
    patience: Duration,
    /// The position up to which the server has acknowledged, and the one up to which it has spoken.
    acknowledged: u32,
    spoken: u32,
    marker_port: u16,
}

impl<'a> Connection<'a> {
    /// A session as after login, from `port`. Whatever is sent must arrive within `patience`.
    #[track_caller]
    pub fn new(hosts: (&Host, &'a Host), ftp: &Server, port: u16, patience: Duration) -> Self {
        let wire = Wire::of(hosts.0);
        let (peer, session) = Peer::logged_in(hosts, ftp, port);
        let (acknowledged, spoken) = (peer.next, peer.heard);
        Self { peer, session, wire, patience, acknowledged, spoken, marker_port: 4000 }
    }

    /// The server reads one line, which must be `command`.
    ///
    /// # Errors
    ///
    /// Not all that the client has said did arrive.
    #[track_caller]
    pub fn hears(&mut self, command: &str) -> Result<(), Hang> {
        self.arrives(command)?;
        self.session.hears(command);
        Ok(())
    }

    /// The server reads these bytes.
    ///
    /// # Errors
    ///
    /// Not all that the client has said did arrive.
    #[track_caller]
    pub fn gets(&mut self, expected: &[u8]) -> Result<(), Hang> {
        self.arrives(&String::from_utf8_lossy(expected))?;
        self.session.gets(expected);
        Ok(())
    }

    /// The server says a line, and the client hears it.
    ///
    /// # Errors
    ///
    /// It did not arrive.
    #[track_caller]
    pub fn answer(&mut self, line: &str) -> Result<(), Hang> {
        self.session.say(line);
        let text = format!("{line}\r\n");
        let end = self.peer.heard.wrapping_add(u32::try_from(text.len()).expect("a line"));
        self.wait(line, |connection| !is_before(connection.spoken, end))?;
        self.peer.hear(&text);
        Ok(())
    }

    /// One command and its answer.
    ///
    /// # Errors
    ///
    /// One of them did not arrive.
    #[track_caller]
    pub fn exchange(&mut self, command: &str, answer: &str) -> Result<(), Hang> {
        self.peer.say(format!("{command}\r\n"));
        self.hears(command)?;
        self.answer(answer)
    }

    /// PASV, answered by `port`: whether a data connection can then begin there.
    ///
    /// # Errors
    ///
    /// The PASV or the 227 did not arrive.
    #[track_caller]
    pub fn passive(&mut self, port: u16) -> Result<bool, Hang> {
        let [high, low] = port.to_be_bytes();
        self.exchange("PASV", &format!("227 Entering Passive Mode (10,0,0,1,{high},{low})."))?;
        Ok(self.peer.opens(port))
    }

    /// Whether another transfer works, after the commands that a session takes to resynchronize.
    ///
    /// # Errors
    ///
    /// Data did not arrive.
    #[track_caller]
    pub fn resyncs(&mut self) -> Result<bool, Hang> {
        for _ in 0..3 {
            self.exchange("NOOP", "200 ok")?;
        }
        self.passive(INSIDE + 77)
    }

    #[track_caller]
    fn arrives(&mut self, data: &str) -> Result<(), Hang> {
        let end = self.peer.next;
        self.wait(data, |connection| !is_before(connection.acknowledged, end))
    }

    #[track_caller]
    fn wait(&mut self, data: &str, done: impl Fn(&Self) -> bool) -> Result<(), Hang> {
        // Longer and longer: each look leaves two more packets in the peer's own queue, which has an end.
        let (end, mut pause) = (Instant::now() + self.patience, Duration::from_millis(1));
        loop {
            // Looked once more after the end: a machine that was slow to get here has still to look.
            let over = Instant::now() >= end;
            self.look();
            if done(self) {
                return Ok(());
            }
            if over {
                return Err(Hang(data.to_owned()));
            }
            thread::sleep(pause);
            pause *= 2;
        }
    }

    /// Takes note of all that has come from the server until now. The server's host has then got all
    /// that was sent.
    #[track_caller]
    pub fn look(&mut self) {
        // Nobody guards this port and nobody listens there: it is answered, whatever happened before.
        let (own, other) = (self.peer.own, self.peer.other);
        self.marker_port += 1;
        let source = SocketAddr::new(own.ip(), self.marker_port);
        let closed = SocketAddr::new(other.ip(), 9);
        let syn = Segment { source, destination: closed, seq: 1, ack: 0, flags: flag::SYN, payload: Vec::new() };
        self.peer.put(&syn);
        let seen = self.wire.all_until("the answer to a SYN where nobody listens", |seen| {
            (seen.source, seen.destination) == (closed, source) && seen.flags & flag::RST != 0
        });
        for segment in seen.iter().filter(|seen| (seen.source, seen.destination) == (other, own)) {
            if segment.flags & flag::ACK != 0 && is_before(self.acknowledged, segment.ack) {
                self.acknowledged = segment.ack;
            }
            if is_before(self.spoken, segment.next()) {
                self.spoken = segment.next();
            }
        }
    }
}

/// Whether a position is before another, around the wrap.
fn is_before(position: u32, other: u32) -> bool {
    position.wrapping_sub(other).cast_signed() < 0
}
