//! The TCP connections of this network namespace, by sock_diag(7).

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core_diag::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use netlink_sys::{Socket, SocketAddr};

/// What the kernel sends at a time: `NLMSG_GOODSIZE` of a dump, at most.
const ANSWER: usize = 32 * 1024;
/// Bytes of a `tcp_info` (linux/tcp.h) that are read, and where in it milliseconds stand.
const TCP_INFO: usize = 56;
const LAST_DATA_SENT: usize = 44;
const LAST_DATA_RECEIVED: usize = 52;

/// An established connection, IPv4 addresses as such.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Connection {
    /// This host's end.
    pub local: (IpAddr, u16),
    /// The other end.
    pub remote: (IpAddr, u16),
    /// The interface that it is bound to, or 0.
    pub interface: u32,
    /// Bytes that the program hasn't read, and bytes that the other end hasn't acknowledged.
    pub queued: (u32, u32),
    /// How long ago this end sent data, and got data. The clock ticks every 1 to 10 ms.
    pub silent: (Duration, Duration),
    /// The socket's number, by which /proc shows who holds it.
    pub inode: u32,
}

/// All established connections.
///
/// # Errors
///
/// The kernel's refusal.
pub fn established() -> io::Result<Vec<Connection>> {
    let mut connections = Vec::new();
    for (family, socket_id) in [(AF_INET, SocketId::new_v4()), (AF_INET6, SocketId::new_v6())] {
        dump(family, socket_id, &mut connections)?;
    }
    Ok(connections)
}

fn dump(family: u8, socket_id: SocketId, connections: &mut Vec<Connection>) -> io::Result<()> {
    let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = InetRequest {
        family,
        protocol: IPPROTO_TCP,
        extensions: ExtensionFlags::INFO,
        states: StateFlags::ESTABLISHED,
        socket_id,
    };
    let mut message = NetlinkMessage::new(header, SockDiagMessage::InetRequest(request).into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;
    let mut answer = Vec::with_capacity(ANSWER);
    loop {
        answer.clear();
        socket.recv(&mut answer, 0)?;
        let mut rest = &answer[..];
        while !rest.is_empty() {
            let message = NetlinkMessage::<SockDiagMessage>::deserialize(rest)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            match message.payload {
                NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(response)) => {
                    connections.extend(connection(&response));
                }
                NetlinkPayload::Done(_) => return Ok(()),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                _ => {}
            }
            let length = (message.header.length as usize).next_multiple_of(4);
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// What the kernel says of a socket; `None` without its `tcp_info`.
fn connection(response: &InetResponse) -> Option<Connection> {
    let info = response.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(info) => info.get(..TCP_INFO),
        _ => None,
    })?;
    let silent = |at: usize| {
        let milliseconds = [info[at], info[at + 1], info[at + 2], info[at + 3]];
        Duration::from_millis(u64::from(u32::from_ne_bytes(milliseconds)))
    };
    let id = &response.header.socket_id;
    Some(Connection {
        local: (id.source_address.to_canonical(), id.source_port),
        remote: (id.destination_address.to_canonical(), id.destination_port),
        interface: id.interface_id,
        queued: (response.header.recv_queue, response.header.send_queue),
        silent: (silent(LAST_DATA_SENT), silent(LAST_DATA_RECEIVED)),
        inode: response.header.inode,
    })
}
