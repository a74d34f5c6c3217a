//! Bytes that a client sends again: those that the server has acknowledged are skipped, the others must
//! be the same, as which of two the server takes can't be known.

use crate::client::{ClientHalf, RECENT, RING, kind};
use crate::counter::{Counter, Tally};
use crate::sequence::after;
use crate::server::ServerHalf;
use crate::session::{Intake, Segment};

/// What is known of the line that a repeated byte belongs to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Line {
    /// Position behind it, or behind what was read of it.
    pub end: u32,
    /// Its line end was read.
    pub ended: u8,
    /// It is a PORT or EPRT: each byte counts.
    pub exact: u8,
    /// Always 0.
    pub zero: u16,
}

impl ClientHalf {
    /// A segment that begins with bytes that were read before.
    #[inline(always)]
    pub(crate) fn repeated(&self, server: &ServerHalf, segment: &Segment) -> Intake {
        let behind = self.next.wrapping_sub(segment.seq);
        let overlap = if behind < segment.length { behind } else { segment.length };
        let acknowledged = server.acked.wrapping_sub(segment.seq);
        let skip = if !after(server.acked, segment.seq) {
            0
        } else if acknowledged < overlap {
            acknowledged
        } else {
            overlap
        };
        if skip == segment.length {
            return Intake::Pass;
        }
        Intake::Read { skip, compare: overlap - skip }
    }

    /// The line that a repeated byte at `position` belongs to. `tail` is how many commands have been
    /// answered: what is not acknowledged can't have been.
    #[inline(never)]
    #[must_use]
    pub fn line_at(&self, tail: u32, position: u32) -> Line {
        let mut line = Line { end: self.next, ended: 0, exact: u8::from(self.parser.in_argument()), zero: 0 };
        let mut at = tail;
        let mut i = 0;
        while i < RING && at != self.head {
            let command = &self.ring[at as usize % RING];
            if line.ended == 0 && after(command.end, position) {
                let exact = command.asked() == kind::PORT;
                line = Line { end: command.end, ended: 1, exact: u8::from(exact), zero: 0 };
            }
            at = at.wrapping_add(1);
            i += 1;
        }
        line
    }

    /// Whether a repeated byte is the one that was read at that position. The last bytes ([`RECENT`]) are
    /// compared as they are. Of older ones it must only be sure that the lines are the same, and that
    /// none is a PORT or EPRT: what else a command says, the server's answer alone decides.
    #[inline(always)]
    #[must_use]
    pub const fn is_same(&self, line: &Line, position: u32, byte: u8) -> bool {
        if self.next.wrapping_sub(position) <= RECENT as u32 {
            return self.remembered(position) == byte;
        }
        let ends = line.ended != 0 && position.wrapping_add(1) == line.end;
        line.exact == 0 && (byte == b'\n') == ends
    }

    /// Other bytes came in the place of ones that the server hasn't acknowledged: which of them it
    /// takes can't be known.
    #[inline(always)]
    pub fn overlap_differs(&mut self, tally: &mut Tally) {
        tally.mark(Counter::OverlapsDiffer);
        self.lose_step(tally);
    }
}
