//! A data connection that was accepted.

use crate::keys::Mode;
use crate::segment::Segment;

/// How far a data connection has come.
pub mod state {
    /// The SYN passed.
    pub const SYN_SENT: u8 = 0;
    /// The SYN-ACK passed.
    pub const SYN_RECV: u8 = 1;
    /// The handshake is complete.
    pub const ESTABLISHED: u8 = 2;
    /// Ended by FIN from both sides, or RST.
    pub const ENDED: u8 = 3;
    /// Its expectation was used up by another connection, or went with its session: the opener's packets don't
    /// pass.
    pub const DENIED: u8 = 4;
    /// One of its ends refused it. The listening host may not have taken that, so its numbers are kept.
    pub const REFUSED: u8 = 5;
    /// The opener has acknowledged the SYN-ACK, and used the expectation up; the listening host has not yet
    /// shown that it took that.
    pub const UNCONFIRMED: u8 = 6;
}

/// TCP flags as in the header's fourteenth byte (RFC 9293 §3.1).
pub mod tcp {
    /// No more data.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement field is significant.
    pub const ACK: u8 = 0x10;
    /// The urgent pointer is significant.
    pub const URG: u8 = 0x20;
}

/// Value of the FLOWS map, where established flows are; and part of those of HALF_OPEN
/// ([`crate::half_open`]). Its key names the FTP roles, `mode` which end opens it.
///
/// Packets are not counted: TCP's own numbers say how many bytes passed, whoever sees a packet, and however often. What
/// is believed is the server's word for both directions: the numbers of its own bytes, and its acknowledgements.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flow {
    /// Id of the session that negotiated it.
    pub session_id: u64,
    /// When its SYN passed first, nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// TCP payload bytes from the client that the server has acknowledged, and from the server. A number says how far
    /// each stream was seen, too: two CPUs that write at once lose nothing that a later look does not find.
    pub bytes: [u64; 2],
    /// Serial of its expectation.
    pub serial: u32,
    /// Sequence number of the opener's SYN.
    pub syn_seq: u32,
    /// Sequence number of the SYN-ACK, from [`state::SYN_RECV`] on.
    pub syn_ack_seq: u32,
    /// Sequence number of the client's FIN, once it has sent one.
    pub client_fin: u32,
    /// Port of the control connection at the client.
    pub control_client_port: u16,
    /// Port of the control connection at the server.
    pub control_server_port: u16,
    /// One of [`state`].
    pub state: u8,
    /// [`crate::keys::Mode::number`].
    pub mode: u8,
    /// Bit 0: the client sent FIN; bit 1: the server did; and the below.
    pub marks: u8,
    /// Zero.
    pub zero: u8,
}

/// Bit of [`Flow::marks`]: made on an expectation for any client address.
pub const PROMISCUOUS: u8 = 4;
/// Bit of [`Flow::marks`]: in the range that an encrypted session has opened to its client.
pub const IN_RANGE: u8 = 8;

/// Bit of [`Flow::marks`]: more bytes passed than were counted.
pub const AT_LEAST: u8 = 32;

/// The most bytes that pass between two looks at a flow, whose packets are looked at wherever they cross a border of
/// [`LOOK`] bytes; a number further away is forged, or much was not seen.
const FARTHEST: u32 = 16 << 20;
/// Bits of a sequence number within which bytes are not counted at once: 64 KiB.
const LOOK: u32 = 16;
/// An acknowledgement without data is looked at where its number lies in the first 4 KiB of 64.
const ACKNOWLEDGED: u32 = 0xf000;

/// Whether a segment is neither the beginning nor the end of a connection.
#[inline(always)]
#[must_use]
pub const fn is_inner(flags: u8) -> bool {
    flags & (tcp::SYN | tcp::FIN | tcp::RST | tcp::ACK) == tcp::ACK
}

/// Whether a server's inner segment says so much more than those before it that its flow is worth a look: its payload
/// crosses a border of 64 KiB of the sequence numbers; or it has none and acknowledges, perhaps, that the client's did.
#[inline(always)]
#[must_use]
pub const fn is_worth_a_look(seq: u32, ack: u32, length: u32) -> bool {
    if length == 0 { ack & ACKNOWLEDGED == 0 } else { (seq ^ seq.wrapping_add(length)) >> LOOK != 0 }
}

impl Flow {
    /// Whether it is established and neither end has closed: a segment without SYN, FIN and RST changes nothing.
    #[inline(always)]
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.state == state::ESTABLISHED && self.marks & 3 == 0
    }

    /// Counts what a genuine segment of the server's says, in both directions.
    #[inline(always)]
    pub const fn account(&mut self, segment: &Segment) {
        self.advance(1, segment.end());
        if segment.has(tcp::ACK) {
            // The client's FIN has a number, and is no byte.
            let has_fin = self.marks & Self::fin_mark(true) != 0 && segment.ack == self.client_fin.wrapping_add(1);
            self.advance(0, segment.ack.wrapping_sub(has_fin as u32));
        }
    }

    #[inline(always)]
    const fn advance(&mut self, way: usize, next: u32) {
        let more = next.wrapping_sub(self.next(way));
        if more <= FARTHEST {
            self.bytes[way] += more as u64;
        } else if more >> 31 == 0 {
            self.marks |= AT_LEAST;
        }
    }

    /// Notes the FIN of an end that goes on receiving.
    #[inline(always)]
    pub const fn note_fin(&mut self, from_client: bool, segment: &Segment) {
        if from_client {
            self.client_fin = segment.end();
        }
        self.marks |= Self::fin_mark(from_client);
    }

    /// It ends by this segment: marks that bytes passed, perhaps, of which the server has said nothing.
    #[inline(always)]
    pub const fn settle(&mut self, from_client: bool, segment: &Segment) {
        let client_end = if from_client && segment.has(tcp::FIN) {
            segment.end()
        } else if self.marks & Self::fin_mark(true) != 0 {
            self.client_fin
        } else {
            self.next(0)
        };
        let server_is_done = !from_client || self.marks & Self::fin_mark(false) != 0;
        if !server_is_done || client_end != self.next(0) {
            self.marks |= AT_LEAST;
        }
    }

    /// Sequence number behind the last byte from the client, or from the server, that is counted.
    #[inline(always)]
    const fn next(&self, way: usize) -> u32 {
        let from_opener = (self.mode == Mode::Passive.number()) == (way == 0);
        let first = if from_opener { self.syn_seq } else { self.syn_ack_seq };
        first.wrapping_add(1).wrapping_add(self.bytes[way] as u32)
    }

    /// Whether a segment with these flags ends an established flow: by RST, or as the second of two FINs.
    #[inline(always)]
    #[must_use]
    pub const fn is_ended_by(&self, from_client: bool, flags: u8) -> bool {
        let fin = if flags & tcp::FIN == 0 { 0 } else { Self::fin_mark(from_client) };
        flags & tcp::RST != 0 || (self.marks | fin) & 3 == 3
    }

    /// The bit of `marks` for a FIN.
    #[inline(always)]
    #[must_use]
    pub const fn fin_mark(from_client: bool) -> u8 {
        if from_client { 1 } else { 2 }
    }
}

const _: () = assert!(size_of::<Flow>() == 56);

#[cfg(test)]
mod tests {
    use super::tcp::{ACK, FIN, RST, SYN, URG};
    use super::*;

    const PSH: u8 = 8;
    const SYN_SENT: Flow =
        Flow { session_id: 1, syn_seq: 100, control_server_port: 21, state: state::SYN_SENT, mode: 1, ..ZERO };
    const ZERO: Flow = Flow {
        session_id: 0,
        since: 0,
        bytes: [0; 2],
        serial: 0,
        syn_seq: 0,
        syn_ack_seq: 0,
        client_fin: 0,
        control_client_port: 0,
        control_server_port: 0,
        state: 0,
        mode: 0,
        marks: 0,
        zero: 0,
    };
    const SYN_RECV: Flow = Flow { syn_ack_seq: 500, state: state::SYN_RECV, ..SYN_SENT };
    const ESTABLISHED: Flow = Flow { state: state::ESTABLISHED, ..SYN_RECV };

    #[test]
    fn an_inner_segment_acknowledges_and_neither_begins_nor_ends() {
        for flags in [ACK, ACK | PSH, ACK | URG] {
            assert!(is_inner(flags), "{flags:#x}");
        }
        for flags in [0, SYN, SYN | ACK, FIN, FIN | ACK, RST, RST | ACK, PSH, SYN | FIN | RST | ACK] {
            assert!(!is_inner(flags), "{flags:#x}");
        }
    }

    #[test]
    fn it_ends_by_a_reset_or_when_both_sides_have_sent_fin() {
        assert!(ESTABLISHED.is_ended_by(false, RST | ACK));
        assert!(ESTABLISHED.is_ended_by(true, RST));
        assert!(!ESTABLISHED.is_ended_by(false, FIN | ACK));
        let half = Flow { marks: 2, ..ESTABLISHED };
        assert!(!half.is_ended_by(true, ACK));
        assert!(half.is_ended_by(true, FIN | ACK));
        assert!(!half.is_ended_by(false, FIN | ACK));
        let both = Flow { marks: 3, ..ESTABLISHED };
        assert!(both.is_ended_by(true, FIN | ACK) && both.is_ended_by(false, ACK));
    }

    #[test]
    fn it_is_open_from_the_handshakes_end_until_a_side_has_sent_fin() {
        for (state, open) in [
            (state::SYN_SENT, false),
            (state::SYN_RECV, false),
            (state::UNCONFIRMED, false),
            (state::ESTABLISHED, true),
            (state::ENDED, false),
            (state::DENIED, false),
        ] {
            assert_eq!(Flow { state, ..ESTABLISHED }.is_open(), open, "{state}");
        }
        for marks in [0, PROMISCUOUS, IN_RANGE] {
            assert!(Flow { marks, ..ESTABLISHED }.is_open(), "{marks}");
        }
        for marks in [1, 2, 3, 3 | IN_RANGE] {
            assert!(!Flow { marks, ..ESTABLISHED }.is_open(), "{marks}");
        }
        assert_eq!((Flow::fin_mark(true), Flow::fin_mark(false)), (1, 2));
    }

    fn server(seq: u32, ack: u32, length: u32, flags: u8) -> Segment {
        Segment { seq, ack, length, flags, hides_a_byte: false }
    }

    #[test]
    fn bytes_are_counted_by_the_servers_numbers_however_often_it_says_them() {
        for (mode, client, own) in [(1, 100, 500), (2, 500, 100)] {
            let mut flow = Flow { mode, ..ESTABLISHED };
            for said in [server(own + 1, client + 31, 7, ACK), server(own + 4, client + 1, 2, ACK)] {
                flow.account(&said);
                flow.account(&said);
            }
            assert_eq!((flow.bytes, flow.marks), ([30, 7], 0));
            flow.account(&server(own + 8, 0, 0, RST));
            assert_eq!(flow.bytes, [30, 7], "a reset may acknowledge nothing");
        }
    }

    #[test]
    fn a_clients_fin_is_no_byte() {
        let mut flow = ESTABLISHED;
        flow.account(&server(501, 111, 0, ACK));
        flow.account(&server(501, 112, 0, ACK));
        assert_eq!(flow.bytes, [11, 0], "nobody said FIN");
        (flow.client_fin, flow.marks) = (120, Flow::fin_mark(true));
        flow.account(&server(501, 120, 0, ACK));
        assert_eq!(flow.bytes, [19, 0], "what stands before it");
        flow.account(&server(501, 121, 0, ACK));
        assert_eq!(flow.bytes, [19, 0]);
        let mut unmarked = Flow { client_fin: 111, ..ESTABLISHED };
        unmarked.account(&server(501, 112, 0, ACK));
        assert_eq!(unmarked.bytes, [11, 0], "nobody said FIN");
    }

    #[test]
    fn each_ends_fin_is_noted_and_where_the_clients_was() {
        let mut flow = ESTABLISHED;
        flow.note_fin(false, &server(510, 0, 3, FIN | ACK));
        assert_eq!((flow.marks, flow.client_fin), (Flow::fin_mark(false), 0));
        flow.note_fin(true, &server(110, 0, 3, FIN | ACK));
        assert_eq!((flow.marks, flow.client_fin), (Flow::fin_mark(false) | Flow::fin_mark(true), 113));
    }

    #[test]
    fn a_number_far_ahead_adds_nothing_and_one_behind_is_an_old_one() {
        let mut flow = ESTABLISHED;
        flow.account(&server(501, 101 + (16 << 20), 16 << 20, ACK));
        assert_eq!((flow.bytes, flow.marks), ([16 << 20, 16 << 20], 0));
        let at = [flow.next(0), flow.next(1)];
        for [client, own] in [[at[0] - 1, at[1] - 1], [at[0] ^ 1 << 31, at[1] ^ 1 << 31]] {
            flow.account(&server(own, client, 0, ACK));
            assert_eq!((flow.bytes, flow.marks), ([16 << 20, 16 << 20], 0));
        }
        flow.account(&server(at[1], at[0] + (16 << 20) + 1, 0, ACK));
        assert_eq!((flow.bytes, flow.marks), ([16 << 20, 16 << 20], AT_LEAST));
        let mut flow = Flow { marks: 0, ..flow };
        flow.account(&server(at[1] + 2, at[0], 16 << 20, ACK));
        assert_eq!((flow.bytes, flow.marks), ([16 << 20, 16 << 20], AT_LEAST));
        flow.account(&server(at[1], at[0], 5, ACK));
        assert_eq!(flow.bytes, [16 << 20, (16 << 20) + 5], "what goes on where it was counts");
    }

    #[test]
    fn what_the_server_has_not_spoken_of_at_the_end_may_be_more() {
        let (client, own) = (Flow::fin_mark(true), Flow::fin_mark(false));
        // What was marked; who ends it, how, and where: 9 bytes of each were counted.
        for (marks, from_client, flags, seq, length, at_least) in [
            (own, true, FIN | ACK, 110, 0, false),
            (own, true, FIN | ACK, 110, 1, true),
            (own, true, RST, 110, 0, false),
            (0, true, RST, 110, 0, true),
            (client, false, FIN | ACK, 510, 0, false),
            (0, false, RST, 510, 0, false),
            (AT_LEAST, false, RST, 510, 0, true),
        ] {
            let mut flow = Flow { bytes: [9; 2], marks, client_fin: 110, ..ESTABLISHED };
            flow.settle(from_client, &server(seq, 0, length, flags));
            assert_eq!(flow.marks & AT_LEAST != 0, at_least, "{marks} {from_client} {flags}");
        }
        let mut flow = Flow { bytes: [9; 2], client_fin: 5, ..ESTABLISHED };
        flow.settle(false, &server(510, 0, 0, RST));
        assert_eq!(flow.marks, 0, "where the client's FIN would be, had it sent one, says nothing");
        let mut flow = Flow { bytes: [9; 2], marks: client, client_fin: 111, ..ESTABLISHED };
        flow.settle(false, &server(510, 0, 0, FIN | ACK));
        assert_eq!(flow.marks, client | AT_LEAST, "a byte of the client's was not acknowledged");
    }

    #[test]
    fn a_flow_is_looked_at_where_bytes_cross_a_border_and_acknowledgements_lie_behind_one() {
        assert!(is_worth_a_look(0xfffe, 0x5000, 2) && is_worth_a_look(u32::MAX, 0x5000, 1));
        assert!(!is_worth_a_look(0xfffe, 0, 1) && !is_worth_a_look(0, 0, 0xffff) && !is_worth_a_look(1 << 17, 0, 9));
        assert!(is_worth_a_look(1, 0, 0) && is_worth_a_look(1, 0x7000_0fff, 0));
        assert!(!is_worth_a_look(0xffff, 0x1000, 0) && !is_worth_a_look(0xffff, 0xffff, 0));
    }
}
