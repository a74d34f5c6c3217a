//! Traffic that is none of ftptrack's business: UDP and ping.

use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::actors::probe::SILENCE;
use crate::hosts::network::Host;
use crate::packets::ip::checksum;
use crate::support::wait;

/// Sends `payload` by UDP to `target`, a port of `receiver` where it is then awaited: whether it
/// arrives as it was sent.
#[track_caller]
pub fn datagram_arrives(sender: &Host, receiver: &Host, target: SocketAddr, payload: &[u8]) -> bool {
    // As for TCP listeners: one that was closed a moment ago may still be open in a child.
    let receiving = wait::until("the port is free", || receiver.namespace.run(|| UdpSocket::bind(target)).ok());
    receiving.set_read_timeout(Some(SILENCE)).expect("a socket");
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let sending = sender.namespace.run(|| UdpSocket::bind(any)).expect("a socket");
    sending.send_to(payload, target).expect("sending is not prevented");
    let mut got = vec![0; payload.len() + 1];
    match receiving.recv(&mut got) {
        Ok(length) => got[..length] == *payload,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => panic!("receiving: {error}"),
    }
}

/// Sends one echo request from `host` to `target`: whether it is answered.
#[track_caller]
pub fn ping_answered(host: &Host, target: SocketAddr) -> bool {
    let (protocol, request, reply) = match target {
        SocketAddr::V4(_) => (Protocol::ICMPV4, 8, 0),
        SocketAddr::V6(_) => (Protocol::ICMPV6, 128, 129),
    };
    let domain = Domain::for_address(target);
    let socket = host.namespace.run(|| Socket::new(domain, Type::RAW, Some(protocol)));
    let mut socket = socket.expect("a raw socket");
    socket.set_read_timeout(Some(SILENCE)).expect("a socket");
    // Type, code, checksum, identifier, sequence number. The kernel fills in ICMPv6's checksum.
    let mut message = [request, 0, 0, 0, 0xf7, 0x21, 0, 1];
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    socket.send_to(&message, &target.into()).expect("sending is not prevented");
    let mut buffer = [0; 2048];
    loop {
        match socket.read(&mut buffer) {
            Ok(length) => {
                // A raw IPv4 socket hands out the IP header too.
                let header = if target.is_ipv4() { usize::from(buffer[0] & 15) * 4 } else { 0 };
                let got = &buffer[header..length];
                if got[0] == reply && got[4..8] == message[4..8] {
                    return true;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => panic!("receiving: {error}"),
        }
    }
}
