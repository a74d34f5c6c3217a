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
    /// that byte out of the stream (RFC 6093 §3.1), so the receiver may read another stream than the parser.
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
pub enum SegmentAction {
    /// Let it pass unread.
    Ignore,
    /// Drop it: it is early, and TCP retransmits it once the missing bytes have passed.
    Defer,
    /// Parse it, then let it pass.
    Parse {
        /// Bytes at its front that have been parsed and acknowledged before.
        skip: u32,
        /// Bytes behind them that have been parsed and not acknowledged: they must be the same.
        compare: u32,
    },
}

/// Early segments that are deferred in a row before the session loses synchronization instead.
pub const MAX_DEFERRED: u8 = 64;
