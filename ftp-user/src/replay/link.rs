//! Link layers: whatever a packet was captured with, it becomes an ethernet frame, as BPF_PROG_TEST_RUN
//! takes nothing else. VLAN tags stay: the kernel program reads them itself.

/// A link layer that can be read (tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Link {
    /// LINKTYPE_ETHERNET.
    Ethernet,
    /// LINKTYPE_NULL: BSD loopback, the family in the byte order of the machine that captured.
    Null,
    /// LINKTYPE_LOOP: OpenBSD loopback, the family in network byte order.
    Loop,
    /// LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6: IP and nothing in front.
    Raw,
    /// LINKTYPE_LINUX_SLL: Linux cooked, of tcpdump -i any.
    Cooked,
    /// LINKTYPE_LINUX_SLL2: the same, with the interface.
    Cooked2,
}

/// Bytes of an ethernet header.
const ETHERNET: usize = 14;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

impl Link {
    /// The link layer of a LINKTYPE_ number; `None` if it can't be read.
    #[must_use]
    pub const fn of(number: i32) -> Option<Self> {
        match number {
            0 => Some(Self::Null),
            1 => Some(Self::Ethernet),
            // 12 and 14 are what some systems call it themselves (DLT_RAW).
            12 | 14 | 101 | 228 | 229 => Some(Self::Raw),
            108 => Some(Self::Loop),
            113 => Some(Self::Cooked),
            276 => Some(Self::Cooked2),
            _ => None,
        }
    }

    /// Its name, for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "ethernet",
            Self::Null => "BSD loopback",
            Self::Loop => "OpenBSD loopback",
            Self::Raw => "raw IP",
            Self::Cooked => "Linux cooked",
            Self::Cooked2 => "Linux cooked v2",
        }
    }

    /// Puts a packet into `frame`, as ethernet. False: it ends within its link header, or isn't of IP or VLAN.
    #[must_use]
    pub fn to_ethernet(self, packet: &[u8], frame: &mut Vec<u8>) -> bool {
        frame.clear();
        if self == Self::Ethernet {
            frame.extend(packet);
            return packet.len() > ETHERNET;
        }
        let found = match self {
            Self::Null => family(packet, true),
            Self::Loop => family(packet, false),
            Self::Raw => packet.first().and_then(|first| by_version(*first)).map(|protocol| (protocol, packet)),
            Self::Cooked => protocol_at(packet, 14).zip(packet.get(16..)),
            Self::Cooked2 => protocol_at(packet, 0).zip(packet.get(20..)),
            Self::Ethernet => None,
        };
        let Some((protocol, rest)) = found else { return false };
        frame.extend([0; 12]);
        frame.extend(protocol.to_be_bytes());
        frame.extend(rest);
        !rest.is_empty()
    }
}

fn protocol_at(packet: &[u8], at: usize) -> Option<u16> {
    packet.get(at..at + 2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
}

const fn by_version(first: u8) -> Option<u16> {
    match first >> 4 {
        4 => Some(IPV4),
        6 => Some(IPV6),
        _ => None,
    }
}

/// By the address family in front: 2 is IPv4 everywhere, IPv6 has a number on each system.
fn family(packet: &[u8], any_order: bool) -> Option<(u16, &[u8])> {
    let (family, rest) = packet.split_first_chunk::<4>()?;
    let number = u32::from_be_bytes(*family);
    // No family has a number above 16 bits: then it is the other order.
    let number = if any_order && number > 0xffff { number.swap_bytes() } else { number };
    let protocol = match number {
        2 => IPV4,
        // Linux; NetBSD and OpenBSD; FreeBSD; macOS.
        10 | 24 | 28 | 30 => IPV6,
        _ => return None,
    };
    Some((protocol, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 3] = [0x45, 1, 2];
    const V6: [u8; 3] = [0x60, 1, 2];

    #[track_caller]
    fn becomes(number: i32, header: &[u8], packet: [u8; 3], protocol: u16) {
        let mut frame = vec![7; 99];
        let link = Link::of(number).unwrap();
        assert!(link.to_ethernet(&[header, &packet].concat(), &mut frame), "{link:?}");
        assert_eq!((&frame[12..14], &frame[14..]), (&protocol.to_be_bytes()[..], &packet[..]), "{link:?}");
    }

    #[test]
    fn every_link_layer_becomes_ethernet() {
        becomes(1, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00], V4, IPV4);
        for number in [12, 14, 101] {
            becomes(number, &[], V4, IPV4);
            becomes(number, &[], V6, IPV6);
        }
        becomes(228, &[], V4, IPV4);
        becomes(229, &[], V6, IPV6);
        becomes(113, &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x86, 0xdd], V6, IPV6);
        becomes(276, &[8, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0], V4, IPV4);
    }

    #[test]
    fn the_family_of_bsd_loopback_is_of_either_order_and_that_of_openbsd_is_not() {
        for family in [10, 24, 28, 30] {
            becomes(0, &[family, 0, 0, 0], V6, IPV6);
            becomes(0, &[0, 0, 0, family], V6, IPV6);
            becomes(108, &[0, 0, 0, family], V6, IPV6);
        }
        becomes(0, &[2, 0, 0, 0], V4, IPV4);
        becomes(0, &[0, 0, 0, 2], V4, IPV4);
        becomes(108, &[0, 0, 0, 2], V4, IPV4);
        assert!(!Link::Loop.to_ethernet(&[2, 0, 0, 0, 0x45], &mut Vec::new()));
    }

    #[test]
    fn tags_of_a_cooked_packet_stay() {
        let mut frame = Vec::new();
        let cooked = [0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x81, 0x00, 0, 42, 0x08, 0x00, 0x45];
        assert!(Link::Cooked.to_ethernet(&cooked, &mut frame));
        assert_eq!(frame[12..], [0x81, 0x00, 0, 42, 0x08, 0x00, 0x45]);
    }

    #[test]
    fn what_is_too_short_or_no_ip_is_none() {
        assert_eq!(Link::of(105), None, "802.11");
        let mut frame = Vec::new();
        for link in [Link::Ethernet, Link::Null, Link::Loop, Link::Raw, Link::Cooked, Link::Cooked2] {
            assert!(!link.to_ethernet(&[], &mut frame), "{link:?}");
            assert!(!link.to_ethernet(&[0; 4], &mut frame), "{link:?}");
        }
        assert!(!Link::Raw.to_ethernet(&[0x12], &mut frame));
        assert!(!Link::Null.to_ethernet(&[7, 0, 0, 0, 0x45], &mut frame), "another family");
    }
}
