//! Where TCP lies in a captured frame, and how much of it is there.

use std::net::{IpAddr, SocketAddr};

use etherparse::{LaxNetSlice, LaxSlicedPacket, TransportSlice, ip_number};
use ftp_common::flow::tcp;

/// What a frame holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Found {
    /// No IP.
    NotIp,
    /// IP without a TCP header that can be read here: another protocol, a fragment.
    Ip,
    /// The snap length has cut its headers.
    HeadersCut,
    /// TCP.
    Tcp(Tcp),
}

/// A TCP segment in a frame. Offsets are bytes from the start of the frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tcp {
    /// The IP header.
    pub network: usize,
    /// The TCP header.
    pub transport: usize,
    /// The first byte of payload.
    pub payload: usize,
    /// Behind the last byte of payload that is there.
    pub end: usize,
    /// Bytes of payload that the segment had and that were not captured.
    pub cut_off: usize,
    /// Who sent it.
    pub source: SocketAddr,
    /// To whom; of the same family.
    pub destination: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Bits of [`tcp`].
    pub flags: u8,
}

impl Tcp {
    /// Whether a flag is set.
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Bytes of payload on the wire.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.end - self.payload + self.cut_off
    }

    /// Both ends.
    #[must_use]
    pub const fn ends(&self) -> [SocketAddr; 2] {
        [self.source, self.destination]
    }
}

/// Looks at an ethernet frame that was `cut_off` bytes longer on the wire.
#[must_use]
pub fn find(frame: &[u8], cut_off: usize) -> Found {
    let Ok(sliced) = LaxSlicedPacket::from_ethernet(frame) else { return Found::NotIp };
    let unread = if cut_off == 0 { Found::Ip } else { Found::HeadersCut };
    let ended = sliced.stop_err.is_some() && cut_off != 0;
    // The length that the IP header tells: how many bytes, and from where on. 0: it doesn't.
    let (source, destination, header, told) = match &sliced.net {
        None if ended => return Found::HeadersCut,
        None | Some(LaxNetSlice::Arp(_)) => return Found::NotIp,
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let (source, destination) = (header.source_addr(), header.destination_addr());
            let at = header.slice().as_ptr().addr();
            (IpAddr::from(source), IpAddr::from(destination), at, usize::from(header.total_len()))
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let told = match usize::from(header.payload_length()) {
                0 => 0,
                length => length + header.slice().len(),
            };
            let (source, destination) = (header.source_addr(), header.destination_addr());
            (IpAddr::from(source), IpAddr::from(destination), header.slice().as_ptr().addr(), told)
        }
    };
    let Some(TransportSlice::Tcp(segment)) = &sliced.transport else {
        let tcp = sliced.net.as_ref().and_then(LaxNetSlice::ip_payload_ref);
        let headless = tcp.is_some_and(|tcp| tcp.ip_number == ip_number::TCP && !tcp.fragmented);
        return if headless || ended { unread } else { Found::Ip };
    };
    // Slices of the frame tell where they lie.
    let offset = |at: usize| at - frame.as_ptr().addr();
    let (network, transport) = (offset(header), offset(segment.slice().as_ptr().addr()));
    let payload = transport + segment.header_slice().len();
    let told = if network + told < payload { 0 } else { network + told };
    let whole = frame.len() + cut_off;
    // Without a length of its own (segmentation offload, jumbograms) it is all there was.
    let on_the_wire = if told == 0 { whole } else { told.min(whole) };
    let end = on_the_wire.min(frame.len()).max(payload);
    Found::Tcp(Tcp {
        network,
        transport,
        payload,
        end,
        cut_off: on_the_wire.saturating_sub(end),
        source: SocketAddr::new(source, segment.source_port()),
        destination: SocketAddr::new(destination, segment.destination_port()),
        seq: segment.sequence_number(),
        ack: segment.acknowledgment_number(),
        flags: segment.header_slice()[13],
    })
}

/// The acknowledgement number, if it has a meaning.
#[must_use]
pub const fn acknowledged(segment: &Tcp) -> Option<u32> {
    if segment.has(tcp::ACK) && !segment.has(tcp::RST) { Some(segment.ack) } else { None }
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
