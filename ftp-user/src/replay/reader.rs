//! A capture file, packet by packet: pcap and pcapng, as they are or compressed by gzip.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use pcap_parser::traits::{PcapNGPacketBlock as _, PcapReaderIterator};
use pcap_parser::{Block, PcapBlockOwned, PcapError, PcapHeader, create_reader};

use crate::error::{Failure, OrFail as _};

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 20;
/// No block is longer; what says it is, is damaged.
const LONGEST_BLOCK: usize = 16 << 20;
/// No packet is longer in a pcap file (libpcap's MAXIMUM_SNAPLEN), whatever it says of its length on the wire.
pub const LONGEST_PACKET: u32 = 262_144;
const SECOND: i128 = 1_000_000_000;
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The Packet Block, obsolete since 2009: pcap-parser doesn't read it.
const OLD_PACKET_BLOCK: u32 = 2;

/// One packet of a capture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Record<'a> {
    /// Nanoseconds since 1970, UTC; `None` where the capture doesn't tell.
    pub time: Option<i64>,
    /// LINKTYPE_ number, see tcpdump.org/linktypes.html.
    pub link: i32,
    /// As much of it as was captured.
    pub data: &'a [u8],
    /// Bytes that it had on the wire and that were not captured.
    pub cut_off: u32,
}

/// Why a capture can't be read to its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// What is wrong, and where.
    pub what: String,
}

/// An open capture.
pub struct Capture {
    reader: Box<dyn PcapReaderIterator + Send>,
    /// `pcap` or `pcapng`, and whether it is compressed.
    pub format: &'static str,
    /// Of the present section of a pcapng file, or the one of a pcap file.
    interfaces: Vec<Interface>,
    packets: u64,
}

#[derive(Clone, Copy)]
struct Interface {
    link: i32,
    /// 0: no limit.
    snaplen: u32,
    /// Units of time in a second.
    resolution: u128,
    /// Seconds to be added.
    offset: i64,
}

/// What stops the reading.
enum Stop {
    End,
    Damaged(&'static str),
}

impl Capture {
    /// Opens a file.
    ///
    /// # Errors
    ///
    /// It can't be opened, or is no capture.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).or_fail(path.display(), "give the path of a capture")?;
        Self::of(Box::new(file)).map_err(|problem| {
            Failure::failed(path.display(), problem, "give a pcap or pcapng file, as tcpdump -w and Wireshark write")
        })
    }

    /// Begins to read bytes that are in no file of their own.
    ///
    /// # Errors
    ///
    /// What they are instead of a capture.
    pub fn of(source: Box<dyn Read + Send>) -> Result<Self, &'static str> {
        let (first, rest) = begin(source);
        let compressed = first.starts_with(&GZIP);
        let source: Box<dyn Read + Send> = if compressed {
            let (first, rest) = begin(Box::new(MultiGzDecoder::new(Cursor::new(first).chain(rest))));
            Box::new(Cursor::new(first).chain(rest))
        } else {
            Box::new(Cursor::new(first).chain(rest))
        };
        let mut reader = create_reader(BUFFER, source).map_err(|error| match error {
            PcapError::Eof => "it is empty",
            PcapError::Incomplete(_) => "it ends within its first header",
            PcapError::ReadError => "its bytes can't be read",
            _ => "it is no capture",
        })?;
        let is_pcap = matches!(reader.next(), Ok((_, PcapBlockOwned::LegacyHeader(_))));
        let format = match (is_pcap, compressed) {
            (true, false) => "pcap",
            (true, true) => "pcap, compressed by gzip",
            (false, false) => "pcapng",
            (false, true) => "pcapng, compressed by gzip",
        };
        Ok(Self { reader, format, interfaces: Vec::new(), packets: 0 })
    }

    /// Hands over one packet after the other. What is damaged ends it.
    ///
    /// # Errors
    ///
    /// That of `each`.
    pub fn read<E>(mut self, mut each: impl FnMut(Record<'_>) -> Result<(), E>) -> Result<Option<Damage>, E> {
        loop {
            let step = match self.reader.next() {
                Ok((size, block)) => match self.interfaces.take_in(&block) {
                    Ok(record) => {
                        if let Some(record) = record {
                            self.packets += 1;
                            each(record)?;
                        }
                        Ok(size)
                    }
                    Err(what) => Err(Stop::Damaged(what)),
                },
                Err(PcapError::Incomplete(_)) => Ok(0),
                Err(PcapError::BufferTooSmall) => Ok(0),
                Err(PcapError::Eof) => Err(Stop::End),
                Err(PcapError::UnexpectedEof) => Err(Stop::Damaged("it ends in the middle")),
                Err(PcapError::ReadError) => Err(Stop::Damaged("its bytes can't be read")),
                Err(_) => Err(Stop::Damaged("it is none")),
            };
            match step.and_then(|size| self.go_on(size)) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(None),
                Err(Stop::Damaged(what)) => return Ok(Some(self.damage(what))),
            }
        }
    }

    /// Leaves what was read behind, or reads more if that was nothing.
    fn go_on(&mut self, size: usize) -> Result<(), Stop> {
        if size != 0 {
            self.reader.consume(size);
            return Ok(());
        }
        let before = self.reader.data().len();
        self.reader.refill().map_err(|_| Stop::Damaged("its bytes can't be read"))?;
        if self.reader.data().len() > before || self.reader.reader_exhausted() {
            return Ok(());
        }
        // The buffer is full of one block.
        let wanted = before.saturating_mul(2).max(BUFFER);
        if wanted > LONGEST_BLOCK || !self.reader.grow(wanted) {
            return Err(Stop::Damaged("it says that it is longer than any packet"));
        }
        Ok(())
    }

    fn damage(&self, what: &str) -> Damage {
        let (packet, byte) = (self.packets + 1, self.reader.consumed());
        Damage { what: format!("damaged at byte {byte}, where packet {packet} should stand: {what}") }
    }
}

/// The first bytes of a source, and the rest: the first read must give a whole header, and pipes and
/// decoders may give less.
fn begin(mut source: Box<dyn Read + Send>) -> (Vec<u8>, Box<dyn Read + Send>) {
    let mut first = Vec::new();
    let error = source.by_ref().take(64 << 10).read_to_end(&mut first).err();
    (first, Box::new(Rest { error, source }))
}

/// The rest of a source, of which the first bytes were read. A decoder tells an error once only.
struct Rest {
    error: Option<io::Error>,
    source: Box<dyn Read + Send>,
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.source.read(buffer),
        }
    }
}

trait Interfaces {
    /// Learns from a block; the packet that it is.
    fn take_in<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Result<Option<Record<'a>>, &'static str>;
}

impl Interfaces for Vec<Interface> {
    fn take_in<'a>(&mut self, block: &'a PcapBlockOwned<'_>) -> Result<Option<Record<'a>>, &'static str> {
        const UNKNOWN: &str = "it is of an interface that was not described";
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                self.push(Interface::of_pcap(header));
                Ok(None)
            }
            PcapBlockOwned::Legacy(packet) => {
                let interface = self.first().ok_or(UNKNOWN)?;
                if packet.caplen > LONGEST_PACKET {
                    return Err("it says that it is longer than any packet");
                }
                if u128::from(packet.ts_usec) >= interface.resolution {
                    return Err("its time is none");
                }
                let ticks = u128::from(packet.ts_sec) * interface.resolution + u128::from(packet.ts_usec);
                Ok(Some(interface.record(Some(ticks), packet.data, packet.origlen)))
            }
            PcapBlockOwned::NG(Block::SectionHeader(_)) => {
                self.clear();
                Ok(None)
            }
            PcapBlockOwned::NG(Block::InterfaceDescription(described)) => {
                // The offset is an option that pcap-parser reads in one byte order only.
                let swapped = described.block_type != pcap_parser::IDB_MAGIC;
                let offset = if swapped { described.if_tsoffset.swap_bytes() } else { described.if_tsoffset };
                let resolution = resolution(described.if_tsresol).ok_or("its unit of time is none")?;
                self.push(Interface { link: described.linktype.0, snaplen: described.snaplen, resolution, offset });
                Ok(None)
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let interface = usize::try_from(packet.if_id).ok().and_then(|id| self.get(id)).ok_or(UNKNOWN)?;
                let ticks = u128::from(packet.ts_high) << 32 | u128::from(packet.ts_low);
                Ok(Some(interface.record(Some(ticks), packet.packet_data(), packet.origlen)))
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                let interface = self.first().ok_or(UNKNOWN)?;
                let (data, limit) = (packet.packet_data(), interface.snaplen as usize);
                // Padding is told apart only by the interface's limit.
                let data = if limit != 0 && limit < data.len() { &data[..limit] } else { data };
                Ok(Some(interface.record(None, data, packet.origlen)))
            }
            PcapBlockOwned::NG(Block::Unknown(block)) if block.block_type == OLD_PACKET_BLOCK => {
                Err("it is a Packet Block, which pcapng has given up (editcap writes it anew)")
            }
            PcapBlockOwned::NG(_) => Ok(None),
        }
    }
}

impl Interface {
    fn of_pcap(header: &PcapHeader) -> Self {
        let resolution = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
        // The upper bits tell of a frame check sequence.
        Self { link: header.network.0 & 0xffff, snaplen: header.snaplen, resolution, offset: 0 }
    }

    fn record<'a>(&self, ticks: Option<u128>, data: &'a [u8], length: u32) -> Record<'a> {
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Record {
            time: ticks.and_then(|ticks| self.nanoseconds(ticks)),
            link: self.link,
            data,
            // As many zeros may have to stand for it.
            cut_off: length.saturating_sub(captured).min(LONGEST_PACKET),
        }
    }

    fn nanoseconds(&self, ticks: u128) -> Option<i64> {
        // 64 bits of ticks and 30 of nanoseconds.
        let nanoseconds = i128::try_from(ticks * 1_000_000_000 / self.resolution).ok()?;
        i64::try_from(nanoseconds + i128::from(self.offset) * SECOND).ok()
    }
}

/// Units in a second (`if_tsresol`): a power of ten, or of two with the upper bit.
fn resolution(option: u8) -> Option<u128> {
    let power = u32::from(option & 0x7f);
    let units = if option & 0x80 == 0 { 10u128.checked_pow(power) } else { 2u128.checked_pow(power) };
    units.filter(|units| *units <= u128::from(u64::MAX) + 1)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
