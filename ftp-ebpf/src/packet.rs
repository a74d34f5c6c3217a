//! Reads a packet's headers where they lie in packet memory.
//!
//! The common packet (IPv4 or IPv6 right behind the link header, TCP right behind that) is located
//! here; anything else is for [`crate::slow_path`].

use aya_ebpf::bindings::__sk_buff;
use aya_ebpf::helpers::bpf_skb_load_bytes;
use ftp_common::address::Address;
use ftp_common::flow::tcp::URG;
use ftp_common::keys::ConnectionKey;
use ftp_common::segment::Segment;

use crate::globals::LINK_HEADER;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const TCP: u8 = 6;
/// The More Fragments flag and the fragment offset in an IPv4 header's seventh and eighth byte.
pub(crate) const MORE_FRAGMENTS: u16 = 0x2000;
pub(crate) const FRAGMENT_OFFSET: u16 = 0x1fff;

/// Where things lie, in bytes from the start of the packet.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Layout {
    pub(crate) network: u32,
    pub(crate) transport: u32,
    /// Behind the last byte of the network packet, by its own length field; 0: by the skb's.
    pub(crate) end: u32,
    pub(crate) v6: bool,
    /// The first fragment of several.
    pub(crate) fragmented: bool,
}

/// Packet memory. `data` and `data_end` are read anew each time.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) skb: *mut __sk_buff,
}

impl Memory {
    #[inline(always)]
    pub(crate) fn length(self) -> u32 {
        // SAFETY: the context is valid for the whole run.
        unsafe { (*self.skb).len }
    }

    /// The network protocol by the skb, which knows it behind a VLAN tag too.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u16 {
        // SAFETY: as in `length`.
        u16::from_be(unsafe { (*self.skb).protocol } as u16)
    }

    /// The VLAN tag that the skb keeps beside the packet; 0 if there is none.
    #[inline(always)]
    pub(crate) fn vlan_tag(self) -> u16 {
        // SAFETY: as in `length`.
        let skb = unsafe { &*self.skb };
        if skb.vlan_present == 0 { 0 } else { skb.vlan_tci as u16 }
    }

    /// A `T` at `offset` (below 4,096), if it lies in linear memory. Only what is looked at of it is read.
    ///
    /// [`opaque`] keeps LLVM from computing `data + (offset + size)` apart from `data + offset`:
    /// the verifier gives the range that a check has proven to the very register that was checked.
    /// Alignment is what the kernel gives network headers.
    #[inline(always)]
    fn at<'a, T>(self, offset: u32) -> Option<&'a T> {
        // SAFETY: as in `length`.
        let data = unsafe { (*self.skb).data };
        // SAFETY: as in `length`.
        let data_end = unsafe { (*self.skb).data_end };
        let start = opaque(data as usize + (offset & 0xfff) as usize);
        if start + size_of::<T>() > data_end as usize {
            return None;
        }
        // SAFETY: in bounds by the check; the verifier proves it again.
        Some(unsafe { &*(start as *const T) })
    }

    /// As [`Self::at`], all of it.
    #[inline(always)]
    pub(crate) fn read<T: Copy>(self, offset: u32) -> Option<T> {
        self.at(offset).copied()
    }

    /// A `T` at `offset`, wherever the packet keeps it.
    #[inline(always)]
    pub(crate) fn load<T: Copy + Default>(self, offset: u32) -> Option<T> {
        let mut value = T::default();
        let size = size_of::<T>() as u32;
        // SAFETY: `value` has that many bytes, and any bytes make a `T` of this module.
        let failed = unsafe { bpf_skb_load_bytes(self.skb.cast(), offset, (&raw mut value).cast(), size) };
        (failed == 0).then_some(value)
    }

    /// [`Self::read`], else [`Self::load`].
    #[inline(always)]
    fn get<T: Copy + Default>(self, offset: u32) -> Option<T> {
        self.read(offset).or_else(|| self.load(offset))
    }
}

/// The same number, of which LLVM knows nothing. `core::hint::black_box` would put it on the stack and get it from there,
/// which takes longer than all else here.
#[inline(always)]
fn opaque(value: usize) -> usize {
    #[cfg(target_arch = "bpf")]
    {
        let mut value = value;
        // SAFETY: it moves a register into itself. (One without an instruction has no line that BTF could name.)
        unsafe {
            core::arch::asm!("{0} = {0}", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    }
    // The host only checks this crate.
    #[cfg(not(target_arch = "bpf"))]
    value
}

/// The fixed part of an IPv4 header, up to the addresses (RFC 791). Network byte order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Ipv4Front {
    pub(crate) version_and_length: u8,
    service: u8,
    pub(crate) total_length: u16,
    identification: u16,
    pub(crate) fragment: u16,
    ttl: u8,
    pub(crate) protocol: u8,
    checksum: u16,
}

/// An IPv6 header up to the addresses (RFC 8200). Network byte order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Ipv6Front {
    version: u32,
    pub(crate) payload_length: u16,
    pub(crate) next_header: u8,
    hop_limit: u8,
}

/// A TCP header without options (RFC 9293). Network byte order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct TcpHeader {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    offset: u8,
    pub(crate) flags: u8,
    window: u16,
    checksum: u16,
    urgent: u16,
}

/// Bytes of a TCP header without options.
pub(crate) const TCP_HEADER: u32 = size_of::<TcpHeader>() as u32;

/// What the fast path found.
pub(crate) enum Located<'a> {
    /// No TCP.
    Other,
    /// TCP.
    Tcp(Layout, &'a TcpHeader),
    /// Only the slow path can tell.
    SlowPath,
}

/// The fast path: no VLAN tag in packet memory, no extension headers, no fragment, headers linear.
#[inline(always)]
pub(crate) fn fast_path<'a>(memory: Memory) -> Located<'a> {
    let network = u32::from(LINK_HEADER.load());
    let protocol = if network == 0 {
        memory.protocol()
    } else if let Some(protocol) = memory.read::<u16>(12) {
        u16::from_be(protocol)
    } else {
        return Located::SlowPath;
    };
    let layout = if protocol == IPV4 {
        let Some(header) = memory.read::<Ipv4Front>(network) else { return Located::SlowPath };
        if header.protocol != TCP {
            return Located::Other;
        }
        if u16::from_be(header.fragment) & (MORE_FRAGMENTS | FRAGMENT_OFFSET) != 0 {
            return Located::SlowPath;
        }
        let total = u32::from(u16::from_be(header.total_length));
        Layout {
            network,
            transport: network + u32::from(header.version_and_length & 15) * 4,
            end: if total == 0 { 0 } else { network + total },
            ..Layout::default()
        }
    } else if protocol == IPV6 {
        let Some(header) = memory.read::<Ipv6Front>(network) else { return Located::SlowPath };
        if header.next_header != TCP {
            return if is_no_extension(header.next_header) { Located::Other } else { Located::SlowPath };
        }
        let length = u32::from(u16::from_be(header.payload_length));
        Layout {
            network,
            transport: network + 40,
            end: if length == 0 { 0 } else { network + 40 + length },
            v6: true,
            fragmented: false,
        }
    } else if is_vlan(protocol) {
        return Located::SlowPath;
    } else {
        return Located::Other;
    };
    // The whole header, so that a short packet takes the slow path.
    let Some(header) = memory.at::<TcpHeader>(layout.transport) else { return Located::SlowPath };
    if layout.end != 0 && layout.transport + TCP_HEADER > layout.end {
        return Located::SlowPath;
    }
    Located::Tcp(layout, header)
}

/// UDP and ICMPv6, the common ones that aren't TCP.
#[inline(always)]
fn is_no_extension(next_header: u8) -> bool {
    next_header == 17 || next_header == 58
}

/// 802.1Q and 802.1ad.
#[inline(always)]
pub(crate) fn is_vlan(protocol: u16) -> bool {
    protocol == 0x8100 || protocol == 0x88a8
}

/// Source and destination address; and whether an IPv6 header has an IPv4-mapped one.
#[inline(always)]
pub(crate) fn addresses(memory: Memory, layout: &Layout) -> Option<(Address, Address, bool)> {
    if layout.v6 {
        let [source, destination] = memory.get::<[[u32; 4]; 2]>(layout.network + 8)?;
        let (source, destination) = (Address(source), Address(destination));
        return Some((source, destination, source.is_v4() || destination.is_v4()));
    }
    let [source, destination] = memory.get::<[u32; 2]>(layout.network + 12)?;
    Some((Address::from_v4_word(source), Address::from_v4_word(destination), false))
}

/// A TCP packet to or from a port with a meaning.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) source: Address,
    pub(crate) destination: Address,
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) segment: Segment,
    /// Where the payload begins, in bytes from the start of the packet.
    pub(crate) payload: u32,
    /// Bytes of TCP options in front of it.
    pub(crate) options: u32,
    /// The urgent pointer, host byte order: from the first byte to the one behind the urgent byte.
    pub(crate) urgent: u16,
    pub(crate) scope: u32,
    pub(crate) interface: u32,
    pub(crate) egress: bool,
    pub(crate) fragmented: bool,
    /// An IPv6 packet with an IPv4-mapped address.
    pub(crate) mapped: bool,
    /// It is addressed to this interface's own link-layer address (`PACKET_HOST`).
    pub(crate) to_us: bool,
    /// It leaves by the interface that it came in by.
    pub(crate) returned: bool,
    /// Made by this host: nobody else's TCP would repeat it.
    pub(crate) local: bool,
}

impl Packet {
    /// Whether its urgent byte is no Telnet command (RFC 854: 240 to 255), or lies in another segment.
    #[inline(always)]
    pub(crate) fn hides_a_byte(&self, memory: Memory) -> bool {
        if !self.segment.has(URG) {
            return false;
        }
        // The pointer goes to the byte behind; 0 stands for the first, as Linux takes it.
        let place = if self.urgent == 0 { 0 } else { u32::from(self.urgent) - 1 };
        place >= self.segment.length || memory.load::<u8>(self.payload + place).is_none_or(|byte| byte < 240)
    }

    /// Sets the connection's key, its sender being the FTP client. Field by field: a whole one would take
    /// its 40 bytes of stack.
    #[inline(always)]
    pub(crate) fn as_client(&self, key: &mut ConnectionKey) {
        key.client = self.source;
        key.server = self.destination;
        key.client_port = self.source_port;
        key.server_port = self.destination_port;
        key.scope = self.scope;
    }

    /// Sets the connection's key, its sender being the FTP server.
    #[inline(always)]
    pub(crate) fn as_server(&self, key: &mut ConnectionKey) {
        key.client = self.destination;
        key.server = self.source;
        key.client_port = self.destination_port;
        key.server_port = self.source_port;
        key.scope = self.scope;
    }
}

/// Where a segment's payload begins, in bytes from the start of the packet, and its length; `None`: a data
/// offset that no stack takes.
#[inline(always)]
pub(crate) fn payload(memory: Memory, layout: &Layout, header: &TcpHeader) -> Option<(u32, u32)> {
    let header_length = u32::from(header.offset >> 4) * 4;
    let begin = layout.transport + header_length;
    let whole = memory.length();
    let end = if layout.end == 0 || layout.end > whole { whole } else { layout.end };
    (header_length >= TCP_HEADER && begin <= end).then(|| (begin, end - begin))
}

/// Reads the rest of the headers into `packet`. False: a data offset that no stack takes.
#[inline(never)]
pub(crate) fn read(memory: Memory, layout: &Layout, egress: bool, packet: &mut Packet) -> bool {
    read_into(memory, layout, egress, packet).is_some()
}

#[inline(always)]
fn read_into(memory: Memory, layout: &Layout, egress: bool, packet: &mut Packet) -> Option<()> {
    let header = memory.get::<TcpHeader>(layout.transport)?;
    let (source, destination, mapped) = addresses(memory, layout)?;
    let (payload, length) = payload(memory, layout, &header)?;
    // SAFETY: the context is valid for the whole run.
    let interface = unsafe { (*memory.skb).ifindex };
    // SAFETY: the context is valid for the whole run.
    let came_in_by = unsafe { (*memory.skb).ingress_ifindex };
    let link_local = source.is_link_local() || destination.is_link_local();
    // Field by field: a whole one would be put together on the stack first.
    packet.source = source;
    packet.destination = destination;
    packet.source_port = u16::from_be(header.source);
    packet.destination_port = u16::from_be(header.destination);
    packet.segment.seq = u32::from_be(header.seq);
    packet.segment.ack = u32::from_be(header.ack);
    packet.segment.length = length;
    packet.segment.flags = header.flags;
    packet.segment.hides_a_byte = false;
    packet.payload = payload;
    packet.urgent = u16::from_be(header.urgent);
    packet.options = payload - layout.transport - TCP_HEADER;
    packet.scope = if link_local { interface } else { 0 };
    packet.interface = interface;
    packet.egress = egress;
    packet.fragmented = layout.fragmented;
    packet.mapped = mapped;
    // SAFETY: the context is valid for the whole run.
    packet.to_us = unsafe { (*memory.skb).pkt_type } == 0;
    packet.returned = egress && came_in_by == interface;
    packet.local = egress && came_in_by == 0;
    Some(())
}
