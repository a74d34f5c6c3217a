//! Does a TCP connection begin?

use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::hosts::network::Host;
use crate::support::wait::{self, patience};

/// How long an attempt may go unanswered: it stands for one SYN only, with room for a busy machine
/// before the second one (RFC 6298 §2: after a second), or denials could not be counted.
pub const SILENCE: Duration = Duration::from_millis(600);

/// What came of an attempt to connect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The handshake was done.
    Opened,
    /// A reset came back: nobody listens, but the SYN arrived.
    Refused,
    /// Nothing came back.
    Silence,
}

/// Tries to connect from `host` to `target`, and hangs up.
#[track_caller]
pub fn to(host: &Host, target: SocketAddr) -> Outcome {
    outcome(connect(host, target))
}

/// Tries to connect from a chosen port of `host` to `target`, and hangs up.
#[track_caller]
pub fn from_port(host: &Host, port: u16, target: SocketAddr) -> Outcome {
    outcome(connect_from(host, port, target))
}

/// Connects from `host` to `target`; an error of the kind `TimedOut` after [`SILENCE`].
pub fn connect(host: &Host, target: SocketAddr) -> io::Result<TcpStream> {
    connect_from(host, 0, target)
}

/// Connects from a chosen port (0: any) of `host`; an error of the kind `TimedOut` after [`SILENCE`].
pub fn connect_from(host: &Host, port: u16, target: SocketAddr) -> io::Result<TcpStream> {
    let socket = host.namespace.run(|| Socket::new(Domain::for_address(target), Type::STREAM, None))?;
    if port != 0 {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(any, port).into())?;
        // Hang up by a reset: no TIME-WAIT stands in the way of the port's next use.
        socket.set_linger(Some(Duration::ZERO))?;
    }
    socket.connect_timeout(&target.into(), SILENCE)?;
    socket.set_read_timeout(Some(patience()))?;
    socket.set_write_timeout(Some(patience()))?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Listens on `address`, an address of `host`; accepting has a time limit.
#[track_caller]
pub fn listen(host: &Host, address: SocketAddr) -> TcpListener {
    // A listener that was closed a moment ago may still be open in a child that is about to become
    // another program: until then it has a copy of everything.
    let listener = wait::until("the port is free", || match host.namespace.run(|| TcpListener::bind(address)) {
        Ok(listener) => Some(listener),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
        Err(error) => panic!("listening on {address}: {error}"),
    });
    // Linux lets accept time out by this, too.
    socket2::SockRef::from(&listener).set_read_timeout(Some(patience())).expect("a socket");
    listener
}

#[track_caller]
fn outcome(attempt: io::Result<TcpStream>) -> Outcome {
    match attempt {
        Ok(_) => Outcome::Opened,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Refused,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Outcome::Silence,
        // While the link comes up: no neighbour answers yet.
        Err(error) if error.kind() == io::ErrorKind::HostUnreachable => Outcome::Silence,
        Err(error) => panic!("connecting: {error}"),
    }
}
