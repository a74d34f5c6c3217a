//! Data in a SYN (RFC 7413).

use socket2::{Domain, Socket, Type};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;

use super::{Location, Scenario, access};
use crate::INSIDE;
use crate::actors::probe::{self, Outcome};
use crate::actors::server::CONTROL;
use crate::hosts::network::{Family, Host, Network};
use crate::packets::segment::flag;
use crate::packets::wire::Wire;

pub(super) const ALL: &[&Scenario] = &[&FAST_OPEN];

/// A listener that takes data in a SYN, without a cookie (`TFO_SERVER_COOKIE_NOT_REQD`), and a client
/// that sends it so (`TFO_CLIENT_NO_COOKIE`).
#[track_caller]
fn fast_open(client: &Host, server: &Host, address: SocketAddr, says: &[u8]) -> io::Result<(TcpStream, TcpListener)> {
    allow_data(client);
    let listener = listen_for_data(server, address);
    let socket = client.namespace.run(|| Socket::new(Domain::for_address(address), Type::STREAM, None))?;
    let sent = socket.send_to_with_flags(says, &address.into(), libc::MSG_FASTOPEN)?;
    assert_eq!(sent, says.len());
    Ok((socket.into(), listener))
}

fn allow_data(host: &Host) {
    let path = "/proc/sys/net/ipv4/tcp_fastopen";
    host.namespace.run(|| fs::write(path, "519")).expect("Fast Open is there");
}

/// Listens where data in a SYN is taken.
#[track_caller]
pub(super) fn listen_for_data(server: &Host, address: SocketAddr) -> TcpListener {
    allow_data(server);
    let listener = probe::listen(server, address);
    let queue: libc::c_int = 16;
    // SAFETY: the kernel reads one int.
    let set = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_FASTOPEN,
            (&raw const queue).cast(),
            libc::socklen_t::try_from(size_of_val(&queue)).expect("four"),
        )
    };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
    listener
}

/// The client repeats without data what is not answered.
pub static FAST_OPEN: Scenario = Scenario {
    group: "Connection setup and teardown",
    name: "a control connection whose SYN has a command in it (Fast Open)",
    must: "it is established, with the command in its stream, and its PASV opens the port",
    expected: &["open"],
    unguarded: &["open"],
    filter_at: Location::Server,
    play: |testbed| {
        let Network { server, client, .. } = testbed.network;
        // That it is sent so: a SYN with data, which nobody who follows the stream can read.
        let mut link = Wire::of(client);
        let (mut stream, listener) = fast_open(client, server, server.at(Family::V4, CONTROL), b"NOOP\r\n")?;
        let (mut session, _) = listener.accept()?;
        for stream in [&stream, &session] {
            stream.set_read_timeout(Some(testbed.patience()))?;
        }
        link.wait_for("data in a SYN", |seen| seen.flags & flag::SYN != 0 && seen.payload == b"NOOP\r\n");
        let mut said = [0; 6];
        session.read_exact(&mut said)?;
        assert_eq!(&said, b"NOOP\r\n");
        session.write_all(b"220 ready\r\n200 ok\r\n")?;
        stream.read_exact(&mut [0; 19])?;
        stream.write_all(b"PASV\r\n")?;
        session.read_exact(&mut said)?;
        session.write_all(b"227 Entering Passive Mode (10,0,0,1,58,152)\r\n")?;
        stream.read_exact(&mut [0; 45])?;
        let target = server.at(Family::V4, INSIDE);
        let _listener = probe::listen(server, target);
        Ok(vec![access(probe::to(client, target) == Outcome::Opened)])
    },
};
