//! Whether a data connection can begin, found out at once: no time has to pass to know that
//! nothing comes back.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use super::Access;
use crate::hosts::network::Host;
use crate::support::wait::{self, patience};

/// A port where nobody listens, and which nothing guards.
pub(super) const MARKER: u16 = 9;
/// How long an answer may still take when one to a later packet has come.
const GRACE: Timespec = Timespec { tv_sec: 0, tv_nsec: 60_000_000 };

/// Tries to connect from a port (0: any) of `from` to a port of `to`, where somebody listens
/// meanwhile. It is open if the attempt arrives there.
pub(super) fn attempt(from: &Host, source_port: u16, to: &Host, target: SocketAddr) -> Access {
    // Nobody can listen on port 0; a reset then says that the attempt arrived.
    let _listener = (target.port() != 0).then(|| listen(to, target));
    from.namespace
        .run(|| connects(source_port, target))
        .unwrap_or_else(|error| panic!("connecting to {target}: {error}"))
}

// A process that another thread has just started holds our last sockets until it has become its
// program: hence the waiting.

fn listen(host: &Host, address: SocketAddr) -> TcpListener {
    wait::until("the port is free", || match host.namespace.run(|| TcpListener::bind(address)) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => None,
        listening => Some(listening.unwrap_or_else(|error| panic!("listening on {address}: {error}"))),
    })
}

/// Waits until all that `from` has sent before has arrived at the host of `to`.
pub(super) fn settle(from: &Host, to: IpAddr) {
    from.namespace.run(|| marker(to)).unwrap_or_else(|error| panic!("connecting to {to}: {error}"));
}

fn connects(source_port: u16, target: SocketAddr) -> io::Result<Access> {
    let begun = wait::until("the last attempt's socket is gone", || match begin(source_port, target) {
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => None,
        begun => Some(begun),
    });
    let socket = begun?;
    // Packets don't overtake each other here: when this one is answered, the first has arrived, too.
    marker(target.ip())?;
    let mut waited = [PollFd::new(&socket, PollFlags::OUT)];
    if poll(&mut waited, Some(&GRACE))? == 0 {
        return Ok(Access::Shut);
    }
    match socket.take_error()? {
        None => Ok(Access::Open),
        Some(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Access::Open),
        Some(error) => Err(error),
    }
}

/// Sends the SYN, and waits for nothing.
fn begin(source_port: u16, target: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    socket.set_linger(Some(Duration::ZERO))?;
    if source_port != 0 {
        let any: IpAddr = match target {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::new(any, source_port).into())?;
    }
    socket.set_nonblocking(true)?;
    match socket.connect(&target.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// A connection that is refused at once.
fn marker(host: IpAddr) -> io::Result<()> {
    let target = SocketAddr::new(host, MARKER);
    let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
    match socket.connect_timeout(&target.into(), patience()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Err(io::Error::other("somebody listens on the marker port")),
    }
}
