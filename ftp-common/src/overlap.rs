//! Bytes that a client sends again: those that the server has acknowledged are skipped, the others must
//! be the same, because which of the two the server accepts can't be known.

use crate::counter::{Counter, Counts};
use crate::segment::{Segment, SegmentAction};
use crate::sequence::after;
use crate::session::{ClientState, RECENT, RING, ServerState, kind};

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

impl ClientState {
    /// Keeps the byte at a position, to compare a repeated one with. Only [`Self::push`] calls it, so only tests
    /// and the model: the kernel program keeps whole words.
    #[inline(always)]
    pub const fn remember(&mut self, position: u32, byte: u8) {
        let word = &mut self.recent[position as usize / 8 % (RECENT / 8)];
        let mut bytes = word.to_ne_bytes();
        bytes[position as usize % 8] = byte;
        *word = u64::from_ne_bytes(bytes);
    }

    /// As [`Self::remember`] for the first `count` of the eight bytes, as they lie in memory, from a position
    /// on that is divisible by 8.
    #[inline(always)]
    pub const fn remember_word(&mut self, position: u32, word: u64, count: u32) {
        let kept = &mut self.recent[position as usize / 8 % (RECENT / 8)];
        let others = if count < 8 { (u64::MAX << (count * 8)).to_le() } else { 0 };
        *kept = *kept & others | word & !others;
    }

    /// The byte that is kept for a position. By a shift: the verifier takes no variable place on the stack.
    #[inline(always)]
    pub(crate) const fn remembered(&self, position: u32) -> u8 {
        (self.remembered_word(position).to_le() >> (position % 8 * 8)) as u8
    }

    /// The eight bytes that are kept, with the one for a position among them.
    #[inline(always)]
    #[must_use]
    pub const fn remembered_word(&self, position: u32) -> u64 {
        self.recent[position as usize / 8 % (RECENT / 8)]
    }

    /// A segment that begins with bytes that were read before.
    #[inline(always)]
    pub(crate) fn repeated(&self, server: &ServerState, segment: &Segment) -> SegmentAction {
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
            return SegmentAction::Ignore;
        }
        SegmentAction::Parse { skip, compare: overlap - skip }
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
    /// none is a PORT or EPRT: of any other command the server's reply alone decides.
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
    pub fn overlap_differs(&mut self, counts: &mut Counts) {
        counts.raise(Counter::OverlapsDiffer);
        self.desync(counts);
    }
}

#[cfg(test)]
#[path = "overlap_tests.rs"]
mod tests;
