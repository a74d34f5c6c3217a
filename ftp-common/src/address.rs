//! One shape for IPv4 and IPv6 addresses.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as four words in the order they have on the wire; IPv4 as `::ffff:a.b.c.d`.
///
/// The words are kept in network byte order in memory, so the kernel program copies them from the
/// packet as they are, and a prefix of the bytes is a prefix of the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Address(pub [u32; 4]);

/// `0000ffff`, the third word of an IPv4-mapped address, as it lies in memory.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Address {
    /// No address: stands for "any client" in the expectation of a promiscuous policy.
    pub const ANY: Self = Self([0; 4]);

    /// From an IPv4 address as it lies in a packet (network byte order in memory).
    #[inline(always)]
    #[must_use]
    pub const fn from_v4_word(word: u32) -> Self {
        Self([0, 0, MAPPED, word])
    }

    /// From sixteen bytes in network order.
    #[inline(always)]
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        let b = bytes;
        Self([
            u32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
            u32::from_ne_bytes([b[4], b[5], b[6], b[7]]),
            u32::from_ne_bytes([b[8], b[9], b[10], b[11]]),
            u32::from_ne_bytes([b[12], b[13], b[14], b[15]]),
        ])
    }

    /// Sixteen bytes in network order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        let [a, b, c, d] =
            [self.0[0].to_ne_bytes(), self.0[1].to_ne_bytes(), self.0[2].to_ne_bytes(), self.0[3].to_ne_bytes()];
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// Whether it is an IPv4 address. On the wire an IPv6 header with such an address is a forgery
    /// (RFC 4291 §2.5.5.2 keeps it inside hosts).
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(&self) -> bool {
        self.0[0] == 0 && self.0[1] == 0 && self.0[2] == MAPPED
    }

    /// Whether it is of `fe80::/10`, which means nothing without its interface (RFC 4291 §2.5.6).
    #[inline(always)]
    #[must_use]
    pub const fn is_link_local(&self) -> bool {
        let first = u32::from_be(self.0[0]);
        first >> 22 == 0xfe80 >> 6
    }
}

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_v4_word(u32::from_ne_bytes(address.octets()))
    }
}

impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_bytes(address.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => v6.into(),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        let v6 = Ipv6Addr::from(address.to_bytes());
        v6.to_ipv4_mapped().map_or(Self::V6(v6), Self::V4)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn both_families_come_back_as_they_went_in() {
        for text in ["10.0.0.1", "::1", "2001:db8::1:0:0:9", "fe80::1"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(Address::from(address)).to_string(), text);
        }
    }

    #[test]
    fn link_local_and_mapped_are_told_from_the_rest() {
        let of = |text: &str| Address::from(text.parse::<IpAddr>().unwrap());
        assert!(of("fe80::1").is_link_local());
        assert!(of("febf::1").is_link_local());
        assert!(!of("fec0::1").is_link_local());
        assert!(!of("10.0.0.1").is_link_local());
        assert!(of("10.0.0.1").is_v4());
        for other in ["::10.0.0.1", "1::ffff:10.0.0.1", "::1:0:ffff:10.0.0.1", "::", "2001:db8::1"] {
            assert!(!of(other).is_v4(), "{other}");
        }
    }
}
