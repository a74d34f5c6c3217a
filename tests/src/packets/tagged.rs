//! Whole Ethernet frames, for what the kernel would put in front of IP otherwise: VLAN tags.

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use crate::hosts::network::{Host, INTERFACE};

/// 802.1Q.
pub const C_TAG: u16 = 0x8100;
/// 802.1ad.
pub const S_TAG: u16 = 0x88a8;

/// Sends an IP packet from one host's link to another behind VLAN tags, the outermost first: each a
/// protocol number and a VLAN. VLAN 0 is none: only a priority, and any host takes such a frame.
#[track_caller]
pub fn send(from: &Host, to: &Host, tags: &[(u16, u16)], packet: &[u8]) {
    let mut frame = [to.mac(), from.mac()].concat();
    for (protocol, vlan) in tags {
        frame.extend(protocol.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    let protocol = if packet[0] >> 4 == 4 { libc::ETH_P_IP } else { libc::ETH_P_IPV6 };
    frame.extend(u16::try_from(protocol).expect("an EtherType").to_be_bytes());
    frame.extend(packet);

    let (socket, interface) = from.namespace.run(|| {
        let none = Some(Protocol::from(0));
        let socket = Socket::new(Domain::PACKET, Type::RAW, none).expect("root may");
        let index = rustix::net::netdevice::name_to_index(&socket, INTERFACE).expect("every host has one");
        (socket, index)
    });
    let mut address = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll is one of the shapes of a socket address.
    let link = unsafe { address.view_as::<libc::sockaddr_ll>() };
    link.sll_family = u16::try_from(libc::AF_PACKET).expect("a family");
    link.sll_ifindex = i32::try_from(interface).expect("a small number");
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_ll>()).expect("a few bytes");
    // SAFETY: the storage was zeroed, and holds a sockaddr_ll of that length.
    let address = unsafe { SockAddr::new(address, length) };
    let sent = socket.send_to(&frame, &address).expect("the link is up");
    assert_eq!(sent, frame.len());
}
