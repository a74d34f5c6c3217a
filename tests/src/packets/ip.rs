//! IP packets as bytes, with what may stand between the IP header and TCP.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The protocol number of TCP.
pub const TCP: u8 = 6;
/// The number of the IPv6 destination options header (RFC 8200 §4.6).
pub const DESTINATION_OPTIONS: u8 = 60;
/// The number of the IPv6 fragment header (RFC 8200 §4.5).
pub const FRAGMENT: u8 = 44;
/// In [`Ipv4::fragment`]: more fragments follow.
pub const MORE_FRAGMENTS: u16 = 0x2000;

/// What an IPv4 header says, where it isn't the usual (RFC 791 §3.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Ipv4<'a> {
    /// Tells the fragments of one packet from another's.
    pub identification: u16,
    /// [`MORE_FRAGMENTS`], and the offset in units of eight bytes.
    pub fragment: u16,
    /// Options; a multiple of four bytes, at most 40.
    pub options: &'a [u8],
}

impl Ipv4<'_> {
    /// A TCP packet of this kind around `payload`.
    #[must_use]
    pub fn packet(&self, source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let header_length = 20 + self.options.len();
        let words = u8::try_from(header_length / 4).expect("at most 15");
        let mut packet = vec![0x40 | words, 0];
        packet.extend(short(header_length + payload.len()));
        packet.extend(self.identification.to_be_bytes());
        packet.extend(self.fragment.to_be_bytes());
        // Hops, protocol, checksum to come.
        packet.extend([64, TCP, 0, 0]);
        packet.extend(source.octets());
        packet.extend(destination.octets());
        packet.extend(self.options);
        let sum = checksum(&packet);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// An IPv6 packet: `next` is the number of what `payload` begins with.
#[must_use]
pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(short(payload.len()));
    packet.extend([next, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// A destination options header of `length` bytes, a multiple of eight up to 2,048, in front of
/// what has the number `next`. Its options are unknown ones that may be skipped: Linux takes eight
/// at most, and no more than seven bytes of padding.
#[must_use]
pub fn destination_options(next: u8, length: usize) -> Vec<u8> {
    assert!(length.is_multiple_of(8) && (8..=2048).contains(&length), "{length}");
    let mut header = vec![next, u8::try_from(length / 8 - 1).expect("at most 255")];
    while header.len() < length {
        let size = (length - header.len() - 2).min(255);
        // What is left behind it must be none, or room for another.
        let size = if length - header.len() - 2 - size == 1 { size - 1 } else { size };
        header.extend([0x1e, u8::try_from(size).expect("at most 255")]);
        header.resize(header.len() + size, 0);
    }
    header
}

/// An IPv6 fragment header: `offset` in bytes, a multiple of eight, and whether more follow.
#[must_use]
pub fn fragment(next: u8, offset: u16, more: bool, identification: u32) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((offset | u16::from(more)).to_be_bytes());
    header.extend(identification.to_be_bytes());
    header
}

/// The Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = 0;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}

fn short(length: usize) -> [u8; 2] {
    u16::try_from(length).expect("less than a packet").to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_rfc_1071() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn a_checksum_over_what_it_is_part_of_gives_nothing() {
        let options = Ipv4 { options: &[1; 8], ..Ipv4::default() };
        let packet = options.packet(Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST, b"any");
        assert_eq!(packet.len(), 31);
        assert_eq!(checksum(&packet[..28]), 0);
    }

    #[test]
    fn destination_options_are_whole() {
        for length in (8..=2048).step_by(8) {
            let header = destination_options(TCP, length);
            assert_eq!((header.len(), usize::from(header[1])), (length, length / 8 - 1));
            let mut at = 2;
            let mut options = 0;
            while at < length {
                at += 2 + usize::from(header[at + 1]);
                options += 1;
            }
            assert_eq!(at, length);
            assert!(options <= 8, "{length}: {options}");
        }
    }
}
