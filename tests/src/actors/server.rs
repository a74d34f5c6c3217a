//! An FTP server that says exactly what a test tells it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::actors::client::{Client, six_numbers};
use crate::actors::probe::{self, Outcome};
use crate::hosts::network::{Family, Host};
use crate::support::wait::patience;

/// The control port.
pub const CONTROL: u16 = 21;
/// The source port of active data connections.
pub const ACTIVE: u16 = 20;

/// It listens, and answers nothing by itself.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
}

/// A control connection, seen from the server.
#[derive(Debug)]
pub struct Session {
    stream: BufReader<TcpStream>,
}

impl Server {
    /// Listens on the address of `host`.
    #[track_caller]
    pub fn on(host: &Host, family: Family) -> Self {
        Self::at(host, host.at(family, CONTROL))
    }

    /// Listens on another address of `host`.
    #[track_caller]
    pub fn at(host: &Host, address: SocketAddr) -> Self {
        Self { listener: probe::listen(host, address) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("a listener")
    }

    /// Takes the next connection.
    #[track_caller]
    pub fn accept(&self) -> Session {
        let (stream, _) = self.listener.accept().expect("somebody connects");
        stream.set_read_timeout(Some(patience())).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Session { stream: BufReader::new(stream) }
    }

    /// Both ends of a new control connection from `host`, as after login.
    #[track_caller]
    pub fn session_with(&self, host: &Host) -> (Client, Session) {
        let mut client = Client::connect(host, self.address());
        let mut session = self.accept();
        session.say("220 ready");
        client.reply().must_be(220);
        client.send("USER anonymous\r\n");
        session.hears("USER anonymous");
        session.say("230 in");
        client.reply().must_be(230);
        (client, session)
    }
}

impl Session {
    /// Sends one line.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n"));
    }

    /// Sends bytes as they are, in one segment.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the client listens");
    }

    /// Says by a 227 that `address` listens.
    #[track_caller]
    pub fn say_passive(&mut self, address: SocketAddr) {
        self.say(&format!("227 Entering Passive Mode ({}).", six_numbers(address)));
    }

    /// Reads as many bytes as `expected` has, which must be these.
    #[track_caller]
    pub fn gets(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        self.stream.read_exact(&mut got).expect("the client says something");
        assert_eq!(got, expected);
    }

    /// Whether something that the client has said has arrived, and was not read yet.
    #[track_caller]
    pub fn has_more(&self) -> bool {
        let stream = self.stream.get_ref();
        stream.set_nonblocking(true).expect("a socket");
        let more = stream.peek(&mut [0]).is_ok();
        stream.set_nonblocking(false).expect("a socket");
        more || !self.stream.buffer().is_empty()
    }

    /// Reads one line, which must be `command`.
    #[track_caller]
    pub fn hears(&mut self, command: &str) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the client says something");
        assert_eq!(line.trim_end(), command);
    }
}

/// A command and its reply, at both ends.
#[track_caller]
pub fn exchange((control, session): (&mut Client, &mut Session), command: &str, reply: &str) {
    control.send(format!("{command}\r\n"));
    session.hears(command);
    session.say(reply);
    let code = reply.split(' ').next().and_then(|code| code.parse().ok());
    control.reply().must_be(code.expect("a reply begins with its code"));
}

/// PASV, and a 227 that names `target`: where the client may connect now.
#[track_caller]
pub fn negotiated((control, session): (&mut Client, &mut Session), target: SocketAddr) -> SocketAddr {
    control.send("PASV\r\n");
    session.hears("PASV");
    session.say_passive(target);
    assert_eq!(control.reply().six_numbers(), target);
    target
}

/// One transfer's beginning: PASV, its answer, and the connection.
#[track_caller]
pub fn transfer(host: &Host, server: &Host, ends: (&mut Client, &mut Session), port: u16) -> Outcome {
    let target = server.at(Family::V4, port);
    let _listener = probe::listen(server, target);
    probe::to(host, negotiated(ends, target))
}
