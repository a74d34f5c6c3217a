//! A TCP segment as it lies in an IP packet: read, and made.

use std::net::{IpAddr, SocketAddr};

use crate::packets::ip::{self, Ipv4, TCP, checksum};

/// Flags of the TCP header (RFC 9293 §3.1).
pub mod flag {
    /// The sender is done.
    pub const FIN: u8 = 1;
    /// A connection begins.
    pub const SYN: u8 = 2;
    /// The connection is no more.
    pub const RST: u8 = 4;
    /// Hand it to the reader now.
    pub const PSH: u8 = 8;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 16;
}

/// One TCP segment. Numbers in host byte order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Who it says it comes from.
    pub source: SocketAddr,
    /// Where it goes; of the same family.
    pub destination: SocketAddr,
    /// Sequence number of its first byte.
    pub seq: u32,
    /// The next sequence number that its sender waits for.
    pub ack: u32,
    /// Bits of [`flag`].
    pub flags: u8,
    /// The bytes it carries.
    pub payload: Vec<u8>,
}

impl Segment {
    /// The sequence number after it.
    #[must_use]
    pub fn next(&self) -> u32 {
        let length = u32::try_from(self.payload.len()).expect("less than a packet");
        let marks = u32::from(self.flags & flag::SYN != 0) + u32::from(self.flags & flag::FIN != 0);
        self.seq.wrapping_add(length).wrapping_add(marks)
    }

    /// The same, going the other way, as what comes next there: what its receiver could answer.
    #[must_use]
    pub fn answer(&self, flags: u8, payload: &[u8]) -> Self {
        Self {
            source: self.destination,
            destination: self.source,
            seq: self.ack,
            ack: self.next(),
            flags,
            payload: payload.to_vec(),
        }
    }

    /// The whole IP packet, checksums and all. IPv4 without options, IPv6 without extensions.
    #[must_use]
    pub fn to_packet(&self) -> Vec<u8> {
        let tcp = self.to_tcp(&[]);
        match (self.source.ip(), self.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ipv4::default().packet(source, destination, &tcp),
            (IpAddr::V6(source), IpAddr::V6(destination)) => ip::ipv6(source, destination, TCP, &tcp),
            _ => panic!("{} and {} are of two families", self.source, self.destination),
        }
    }

    /// The TCP header with `options`, a multiple of four bytes, and the payload.
    #[must_use]
    pub fn to_tcp(&self, options: &[u8]) -> Vec<u8> {
        let mut tcp = Vec::new();
        tcp.extend(self.source.port().to_be_bytes());
        tcp.extend(self.destination.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        let words = u8::try_from((20 + options.len()) / 4).expect("at most 15");
        // Header length; flags; window; checksum to come; urgent pointer.
        tcp.extend([words << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(options);
        tcp.extend(&self.payload);
        // RFC 9293 §3.1: over addresses, protocol and length, too.
        let mut summed = Vec::new();
        for address in [self.source.ip(), self.destination.ip()] {
            match address {
                IpAddr::V4(v4) => summed.extend(v4.octets()),
                IpAddr::V6(v6) => summed.extend(v6.octets()),
            }
        }
        summed.extend([0, TCP]);
        summed.extend(u16::try_from(tcp.len()).expect("less than a packet").to_be_bytes());
        summed.extend(&tcp);
        tcp[16..18].copy_from_slice(&checksum(&summed).to_be_bytes());
        tcp
    }

    /// Reads an IP packet; `None` if it isn't a whole TCP segment without IPv6 extensions.
    #[must_use]
    pub fn from_packet(packet: &[u8]) -> Option<Self> {
        let (source, destination, tcp) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 15) * 4;
                let length = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
                if *packet.get(9)? != TCP {
                    return None;
                }
                let address = |at: usize| Some(IpAddr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
                (address(12)?, address(16)?, packet.get(header..length)?)
            }
            6 => {
                let length = usize::from(u16::from_be_bytes(packet.get(4..6)?.try_into().ok()?));
                if *packet.get(6)? != TCP {
                    return None;
                }
                let address = |at: usize| Some(IpAddr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?));
                (address(8)?, address(24)?, packet.get(40..40 + length)?)
            }
            _ => return None,
        };
        let short = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let long = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        Some(Self {
            source: SocketAddr::new(source, short(0)?),
            destination: SocketAddr::new(destination, short(2)?),
            seq: long(4)?,
            ack: long(8)?,
            flags: *tcp.get(13)?,
            payload: tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)?.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_comes_back_as_it_was_sent() {
        for (source, destination) in [("10.0.0.2:40000", "10.0.0.1:21"), ("[fd00::2]:40000", "[fd00::1]:21")] {
            let segment = Segment {
                source: source.parse().unwrap(),
                destination: destination.parse().unwrap(),
                seq: u32::MAX - 2,
                ack: 9,
                flags: flag::ACK | flag::PSH,
                payload: b"NOOP\r\n".to_vec(),
            };
            let packet = segment.to_packet();
            assert_eq!(Segment::from_packet(&packet).as_ref(), Some(&segment));
            assert_eq!(segment.next(), 3);
        }
    }
}
