//! A segment of a control connection, and what to do with it.

/// A TCP segment of a control connection. Numbers in host byte order.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Segment {
    /// Sequence number of the first byte.
    pub seq: u32,
    /// Acknowledgement number; only with the ACK flag.
    pub ack: u32,
    /// Bytes of payload.
    pub length: u32,
    /// Bits of [`crate::flow::tcp`].
    pub flags: u8,
    /// It is urgent, and its urgent byte is no Telnet command or lies elsewhere. The receiver may take
    /// that byte out of the stream (RFC 6093 §3.1), so what it reads isn't what we read.
    pub hides_a_byte: bool,
}

impl Segment {
    /// Whether a flag is set.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The position behind its last byte, FIN not counted.
    #[inline(always)]
    #[must_use]
    pub const fn end(&self) -> u32 {
        self.seq.wrapping_add(self.length)
    }
}

/// What to do with a segment of a control connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Intake {
    /// Let it pass unread.
    Pass,
    /// Hold it back: it is early, and TCP repeats it once the missing bytes have passed.
    Hold,
    /// Read it, then let it pass.
    Read {
        /// Bytes at its front that have been read and acknowledged before.
        skip: u32,
        /// Bytes behind them that have been read and not acknowledged: they must be the same.
        compare: u32,
    },
}

/// Early segments that are held back in a row before the session gives up its step instead.
pub const MOST_HELD: u8 = 64;
