//! The link of a host, below IP: what passes, and putting there whatever one likes.

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::io::{self, Read as _};
use std::time::Instant;

use crate::hosts::network::{Host, INTERFACE};
use crate::packets::segment::Segment;
use crate::support::wait::patience;

/// A packet socket on a host's interface.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    interface: i32,
}

impl Wire {
    /// Opens it; from now on it hears every packet that comes or goes.
    #[track_caller]
    pub fn of(host: &Host) -> Self {
        Self::on(host, INTERFACE)
    }

    /// The same on another interface of the host.
    #[track_caller]
    pub fn on(host: &Host, interface: &str) -> Self {
        let (socket, interface) = host.namespace.run(|| {
            let every = i32::from(every_protocol().to_be());
            // DGRAM: the kernel takes off and puts on the Ethernet header.
            let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(every)));
            let index = rustix::net::netdevice::name_to_index(socket.as_ref().expect("root may"), interface);
            (socket.expect("root may"), index.expect("every host has one"))
        });
        let interface = i32::try_from(interface).expect("a small number");
        socket.bind(&link_address(interface, every_protocol(), None)).expect("the interface is there");
        Self { socket, interface }
    }

    /// Sends a segment to the host whose hardware address is `mac`, whatever its addresses say.
    #[track_caller]
    pub fn forge(&self, segment: &Segment, mac: [u8; 6]) {
        self.send(&segment.to_packet(), mac);
    }

    /// Sends an IP packet to the host whose hardware address is `mac`.
    #[track_caller]
    pub fn send(&self, packet: &[u8], mac: [u8; 6]) {
        let protocol = if packet[0] >> 4 == 4 { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
        let protocol = u16::try_from(protocol).expect("an EtherType");
        let to = link_address(self.interface, protocol, Some(mac));
        let sent = self.socket.send_to(packet, &to).expect("the link is up");
        assert_eq!(sent, packet.len());
    }

    /// Waits for a segment that is as `wanted` says; those before it are forgotten.
    #[track_caller]
    pub fn wait_for(&mut self, name: &str, wanted: impl Fn(&Segment) -> bool) -> Segment {
        self.all_until(name, wanted).pop().expect("the last one is it")
    }

    /// Waits for a segment that is as `wanted` says: it, and all before it.
    #[track_caller]
    pub fn all_until(&mut self, name: &str, wanted: impl Fn(&Segment) -> bool) -> Vec<Segment> {
        let end = Instant::now() + patience();
        let mut packet = vec![0; 1 << 17];
        let mut seen = Vec::new();
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.socket.set_read_timeout(Some(left)).expect("a socket");
            match self.socket.read(&mut packet) {
                Ok(length) => {
                    let Some(segment) = Segment::from_packet(&packet[..length]) else { continue };
                    let last = wanted(&segment);
                    seen.push(segment);
                    if last {
                        return seen;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("reading the wire: {error}"),
            }
        }
        panic!("{name}: not seen on the wire after {:?}", patience());
    }
}

fn every_protocol() -> u16 {
    u16::try_from(libc::ETH_P_ALL).expect("an EtherType")
}

fn link_address(interface: i32, protocol: u16, mac: Option<[u8; 6]>) -> SockAddr {
    let mut address = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the shapes of a socket address.
    let link = unsafe { address.view_as::<libc::sockaddr_ll>() };
    link.sll_family = u16::try_from(libc::AF_PACKET).expect("a family");
    link.sll_protocol = protocol.to_be();
    link.sll_ifindex = interface;
    if let Some(mac) = mac {
        link.sll_halen = 6;
        link.sll_addr[..6].copy_from_slice(&mac);
    }
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("a few bytes");
    // SAFETY: the storage was zeroed, and holds a sockaddr_ll of that length.
    unsafe { SockAddr::new(address, length) }
}
