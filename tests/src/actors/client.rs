//! An FTP client that says exactly what a test tells it to.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::actors::probe;
use crate::hosts::network::Host;

/// A control connection, seen from the client.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
}

/// One whole reply.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Its three digits.
    pub code: u16,
    /// The text of its last line, behind the digits.
    pub text: String,
}

impl Client {
    /// Connects, and leaves the banner unread.
    #[track_caller]
    pub fn connect(host: &Host, server: SocketAddr) -> Self {
        let stream = probe::connect(host, server).expect("the control port is open");
        Self { stream: BufReader::new(stream) }
    }

    /// As [`Self::connect`], from a port of the test's choice.
    #[track_caller]
    pub fn connect_from(host: &Host, port: u16, server: SocketAddr) -> Self {
        let stream = probe::connect_from(host, port, server).expect("the control port is open");
        Self { stream: BufReader::new(stream) }
    }

    /// Connects and logs in as `anonymous`.
    #[track_caller]
    pub fn logged_in(host: &Host, server: SocketAddr) -> Self {
        let mut client = Self::connect(host, server);
        client.reply().must_be(220);
        client.command("USER anonymous").must_be(331);
        client.command("PASS test@").must_be(230);
        client
    }

    /// Its own end of the control connection.
    pub fn address(&self) -> SocketAddr {
        self.stream.get_ref().local_addr().expect("a connection")
    }

    /// The server's end of the control connection.
    pub fn peer(&self) -> SocketAddr {
        self.stream.get_ref().peer_addr().expect("a connection")
    }

    /// Sends bytes as they are, in one segment.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the server listens");
    }

    /// Reads as many bytes as `expected` has, which must be these.
    #[track_caller]
    pub fn gets(&mut self, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        self.stream.read_exact(&mut got).expect("the server says something");
        assert_eq!(got, expected);
    }

    /// Sends one command and reads its reply.
    #[track_caller]
    pub fn command(&mut self, command: &str) -> Reply {
        self.send(format!("{command}\r\n"));
        self.reply()
    }

    /// Reads one reply, of several lines maybe (RFC 959 §4.2).
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        let mut end = None;
        loop {
            let mut line = String::new();
            let length = self.stream.read_line(&mut line).expect("the server answers");
            assert_ne!(length, 0, "the server hung up");
            let Some((digits, rest)) = line.trim_end().split_at_checked(3) else { continue };
            let end = end.get_or_insert_with(|| digits.to_owned());
            if digits == end && !rest.starts_with('-') {
                return Reply { code: digits.parse().expect("three digits"), text: rest.trim_start().to_owned() };
            }
        }
    }

    /// PASV: where the server says that it listens.
    #[track_caller]
    pub fn passive(&mut self) -> SocketAddr {
        self.command("PASV").six_numbers()
    }

    /// EPSV: the port that the server says it listens on.
    #[track_caller]
    pub fn extended_passive(&mut self) -> u16 {
        let reply = self.command("EPSV");
        reply.must_be(229);
        let port = reply.text.split('|').nth(3).expect("(|||port|)");
        port.parse().expect("a port")
    }
}

impl Reply {
    /// Panics unless it has this code.
    #[track_caller]
    pub fn must_be(&self, code: u16) {
        assert_eq!(self.code, code, "{self:?}");
    }

    /// The address in a 227.
    #[track_caller]
    pub fn six_numbers(&self) -> SocketAddr {
        self.must_be(227);
        let (_, numbers) = self.text.split_once('(').expect("(h1,h2,h3,h4,p1,p2)");
        let (numbers, _) = numbers.split_once(')').expect("(h1,h2,h3,h4,p1,p2)");
        let octets: Vec<u8> = numbers.split(',').map(|n| n.parse().expect("an octet")).collect();
        let [a, b, c, d, high, low] = octets[..] else { panic!("{self:?}: not six numbers") };
        ([a, b, c, d], u16::from_be_bytes([high, low])).into()
    }
}

/// An address as `h1,h2,h3,h4,p1,p2`, for a PORT and in a 227 (RFC 959 §4.1.2).
#[track_caller]
pub fn six_numbers(address: SocketAddr) -> String {
    let SocketAddr::V4(v4) = address else { panic!("{address}: not IPv4") };
    let [a, b, c, d] = v4.ip().octets();
    let [high, low] = v4.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

/// The command by which a client asks the server to connect to `address`: PORT, over IPv6 EPRT.
pub fn active_command(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(_) => format!("PORT {}", six_numbers(address)),
        SocketAddr::V6(v6) => format!("EPRT |2|{}|{}|", v6.ip(), v6.port()),
    }
}
