//! How a session ends: whether a reset or a FIN counts, and when a session is closed or takes no place any more.

use crate::flow::tcp;
use crate::segment::Segment;
use crate::sequence::{before, is_near, is_within};
use crate::session::Session;

/// How long a session counts as alive before its server has sent anything, nanoseconds.
pub const UNCONFIRMED: u64 = 10 * crate::SECOND;

impl Session {
    /// A segment of the client has been read or ignored: it may end its stream.
    #[inline(always)]
    pub fn finish_client(&mut self, segment: &Segment) {
        let Self { client, server, .. } = self;
        if client.resync_epoch == server.resync_epoch && client.desyncs == server.resynced_for {
            client.finish(server, segment);
        }
    }

    /// Whether a reset from the client ends it. The server's host takes one at its next position (RFC 9293
    /// §3.5.3), which is anywhere between what it has acknowledged and what was read here: bytes with a bad
    /// checksum were read and not taken. Out of sync, no position is certain.
    #[inline(always)]
    #[must_use]
    pub const fn client_resets(&self, segment: &Segment) -> bool {
        if !segment.has(tcp::RST) {
            return false;
        }
        if self.client.resync_epoch != self.server.resync_epoch || self.client.desyncs != self.server.resynced_for {
            return is_near(segment.seq, self.server.acked);
        }
        // An opaque session: the server may have what was not seen here.
        segment.seq == self.server.acked || is_within(segment.seq, self.server.acked, self.client.next)
    }

    /// Whether a reset from the server ends it. `trusted`: this host's own TCP made it, and makes none for a
    /// connection that it has. Else it is where the server's next byte would be, or, if it answers a segment of the
    /// client, where that said to be.
    #[inline(always)]
    #[must_use]
    pub const fn server_resets(&self, segment: &Segment, trusted: bool) -> bool {
        segment.has(tcp::RST) && (trusted || segment.seq == self.server.next || segment.seq == self.client.acked)
    }

    /// Whether both ends have closed, and each knows of the other's FIN.
    #[inline(always)]
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.client.fin != 0
            && self.server.fin != 0
            && !before(self.server.acked, self.client.fin_end)
            && !before(self.client.acked, self.server.fin_end)
    }

    /// Whether it takes a place in its client's limit: its server has not closed, and has shown that there is a
    /// connection, or may still do so.
    #[inline(always)]
    #[must_use]
    pub const fn is_alive(&self, now: u64) -> bool {
        self.server.fin == 0 && (self.server.confirmed != 0 || now.saturating_sub(self.since) < UNCONFIRMED)
    }
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "ends_opaque_tests.rs"]
mod opaque_tests;
