//! Frames as bytes, from the TCP segment outwards.

use std::net::{IpAddr, SocketAddr};

use ftp_common::flow::tcp::ACK;

use crate::packets::ip::{self, FRAGMENT, Ipv4, MORE_FRAGMENTS, TCP, checksum};

/// The ethernet type of IPv4.
pub const IPV4: u16 = 0x0800;
/// The ethernet type of IPv6.
pub const IPV6: u16 = 0x86dd;
/// The ethernet type of a VLAN tag (802.1Q).
pub const VLAN: u16 = 0x8100;
/// The ethernet type of an outer VLAN tag (802.1ad).
pub const SERVICE_VLAN: u16 = 0x88a8;

/// A TCP segment (RFC 9293 §3.1). Numbers in host byte order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tcp {
    /// Who it says it comes from.
    pub source: SocketAddr,
    /// Where it goes; of the same family.
    pub destination: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// The header's fourteenth byte.
    pub flags: u8,
    /// Urgent pointer.
    pub urgent: u16,
    /// Options; a multiple of four bytes, at most 40.
    pub options: Vec<u8>,
    /// What it carries.
    pub payload: Vec<u8>,
    /// What the data offset field says, in words, where that isn't the truth.
    pub data_offset: Option<u8>,
    /// The checksum is wrong: its receiver will never take it.
    pub wrong_checksum: bool,
}

impl Tcp {
    /// An acknowledgement without anything else.
    ///
    /// # Panics
    ///
    /// If an address can't be read.
    #[must_use]
    pub fn new(source: &str, destination: &str) -> Self {
        Self::between(source.parse().expect("an address"), destination.parse().expect("an address"))
    }

    /// An acknowledgement without anything else.
    #[must_use]
    pub const fn between(source: SocketAddr, destination: SocketAddr) -> Self {
        Self {
            source,
            destination,
            seq: 0,
            ack: 0,
            flags: ACK,
            urgent: 0,
            options: Vec::new(),
            payload: Vec::new(),
            data_offset: None,
            wrong_checksum: false,
        }
    }

    /// With these numbers.
    #[must_use]
    pub const fn at(mut self, seq: u32, ack: u32) -> Self {
        (self.seq, self.ack) = (seq, ack);
        self
    }

    /// With these flags only.
    #[must_use]
    pub const fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// With this payload.
    #[must_use]
    pub fn says(mut self, text: impl AsRef<[u8]>) -> Self {
        self.payload = text.as_ref().to_vec();
        self
    }

    /// Bytes of payload.
    ///
    /// # Panics
    ///
    /// If it is no segment at all.
    #[must_use]
    pub fn length(&self) -> u32 {
        u32::try_from(self.payload.len()).expect("less than a packet")
    }

    /// Whether it is IPv6.
    #[must_use]
    pub const fn is_v6(&self) -> bool {
        self.source.is_ipv6()
    }

    /// Header and payload.
    ///
    /// # Panics
    ///
    /// If the options are longer than a header can be.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.source.port().to_be_bytes());
        tcp.extend(self.destination.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let words = u8::try_from((20 + self.options.len()) / 4).expect("at most 15");
        // Header length; flags; window; checksum to come; urgent pointer.
        tcp.extend([self.data_offset.unwrap_or(words) << 4, self.flags, 0xff, 0xff, 0, 0]);
        tcp.extend(self.urgent.to_be_bytes());
        tcp.extend(&self.options);
        tcp.extend(&self.payload);
        let mut summed = [bytes_of(self.source.ip()), bytes_of(self.destination.ip())].concat();
        summed.extend([0, TCP]);
        summed.extend(u16::try_from(tcp.len()).expect("less than a packet").to_be_bytes());
        summed.extend(&tcp);
        let sum = checksum(&summed) ^ u16::from(self.wrong_checksum);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }

    /// The IP packet, without options or extension headers.
    #[must_use]
    pub fn packet(&self) -> Vec<u8> {
        self.around(&self.bytes(), Ipv4::default(), &[])
    }

    /// The first fragment of the IP packet: more follow.
    #[must_use]
    pub fn first_fragment(&self) -> Vec<u8> {
        let header = ip::fragment(TCP, 0, true, 7);
        self.around(&self.bytes(), Ipv4 { fragment: MORE_FRAGMENTS, ..Ipv4::default() }, &[(FRAGMENT, header)])
    }

    /// A fragment with these bytes of the segment, at an offset in bytes.
    #[must_use]
    pub fn fragment(&self, bytes: &[u8], offset: u16, more: bool) -> Vec<u8> {
        let header = ip::fragment(TCP, offset, more, 7);
        let fragment = (offset / 8) | if more { MORE_FRAGMENTS } else { 0 };
        self.around(bytes, Ipv4 { fragment, ..Ipv4::default() }, &[(FRAGMENT, header)])
    }

    /// An IP packet around `bytes` with this IPv4 header, or these IPv6 extension headers: each with
    /// its number, and made for TCP to follow; the chain of numbers is put right here.
    ///
    /// # Panics
    ///
    /// If the two addresses are of two families.
    #[must_use]
    pub fn around(&self, bytes: &[u8], v4: Ipv4<'_>, extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => v4.packet(source, destination, bytes),
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut inner = Vec::new();
                for (at, (_, header)) in extensions.iter().enumerate() {
                    let next = extensions.get(at + 1).map_or(TCP, |(number, _)| *number);
                    inner.push(next);
                    inner.extend(&header[1..]);
                }
                inner.extend(bytes);
                ip::ipv6(source, destination, extensions.first().map_or(TCP, |(number, _)| *number), &inner)
            }
            _ => panic!("{} and {} are of two families", self.source, self.destination),
        }
    }

    /// The ethernet frame.
    #[must_use]
    pub fn frame(&self) -> Vec<u8> {
        ethernet(&self.packet())
    }
}

fn bytes_of(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The ethernet frame around an IP packet.
#[must_use]
pub fn ethernet(packet: &[u8]) -> Vec<u8> {
    tagged(packet, &[])
}

/// The ethernet frame around an IP packet, with VLAN tags of these types, the outermost first.
#[must_use]
pub fn tagged(packet: &[u8], tags: &[u16]) -> Vec<u8> {
    let tags: Vec<_> = tags.iter().map(|tag| (*tag, 42)).collect();
    of_vlans(packet, &tags)
}

/// The same, each tag with its VLAN: 0 says a priority only.
#[must_use]
pub fn of_vlans(packet: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for (tag, vlan) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(vlan.to_be_bytes());
    }
    let protocol = if packet[0] >> 4 == 6 { IPV6 } else { IPV4 };
    frame.extend(protocol.to_be_bytes());
    frame.extend(packet);
    frame
}
