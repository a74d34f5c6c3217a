//! A data connection that was accepted.

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
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flow {
    /// Id of the session that negotiated it.
    pub session_id: u64,
    /// When its SYN passed first, nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// When a packet of it passed last.
    pub last_seen: u64,
    /// Packets from the client and from the server.
    pub packets: [u64; 2],
    /// TCP payload bytes from the client and from the server.
    pub bytes: [u64; 2],
    /// Serial of its expectation.
    pub serial: u32,
    /// Sequence number of the opener's SYN.
    pub syn_seq: u32,
    /// Sequence number of the SYN-ACK, from [`state::SYN_RECV`] on.
    pub syn_ack_seq: u32,
    /// The interface that saw it first, and counts it.
    pub interface: u32,
    /// Port of the control connection at the client.
    pub control_client_port: u16,
    /// Port of the control connection at the server.
    pub control_server_port: u16,
    /// One of [`state`].
    pub state: u8,
    /// [`crate::keys::Mode::number`].
    pub mode: u8,
    /// 1: the hook that saw its SYN first is egress.
    pub opened_at_egress: u8,
    /// Bit 0: the client sent FIN; bit 1: the server did; and the below.
    pub marks: u8,
}

/// Bit of [`Flow::marks`]: made on an expectation for any client address.
pub const PROMISCUOUS: u8 = 4;
/// Bit of [`Flow::marks`]: in the range that an encrypted session has opened to its client.
pub const IN_RANGE: u8 = 8;

impl Flow {
    /// Whether its packets are counted at this interface and hook. On the loopback interface each
    /// packet passes both hooks; elsewhere the two directions pass one each.
    #[inline(always)]
    #[must_use]
    pub const fn counts_here(&self, interface: u32, egress: bool, loopback: bool, from_opener: bool) -> bool {
        let first = (self.opened_at_egress != 0) == egress;
        self.interface == interface && first == (loopback || from_opener)
    }

    /// Whether it is established and neither end has closed: a segment without SYN, FIN and RST changes nothing.
    #[inline(always)]
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.state == state::ESTABLISHED && self.marks & 3 == 0
    }

    /// Counts packets and their payload. `now`: nanoseconds of `CLOCK_MONOTONIC`.
    #[inline(always)]
    pub const fn account(&mut self, from_client: bool, packets: u32, bytes: u32, now: u64) {
        let way = !from_client as usize;
        self.packets[way] += packets as u64;
        self.bytes[way] += bytes as u64;
        self.last_seen = now;
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

const _: () = assert!(size_of::<Flow>() == 80);

#[cfg(test)]
mod tests {
    use super::tcp::{ACK, FIN, RST};
    use super::*;

    const SYN_SENT: Flow = Flow {
        session_id: 1,
        since: 0,
        last_seen: 0,
        packets: [0; 2],
        bytes: [0; 2],
        serial: 0,
        syn_seq: 100,
        syn_ack_seq: 0,
        interface: 7,
        control_client_port: 0,
        control_server_port: 21,
        state: state::SYN_SENT,
        mode: 1,
        opened_at_egress: 0,
        marks: 0,
    };
    const SYN_RECV: Flow = Flow { syn_ack_seq: 500, state: state::SYN_RECV, ..SYN_SENT };
    const ESTABLISHED: Flow = Flow { state: state::ESTABLISHED, ..SYN_RECV };

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

    #[test]
    fn packets_and_payload_are_counted_by_their_sender() {
        let mut flow = ESTABLISHED;
        flow.account(true, 2, 30, 5);
        flow.account(false, 1, 7, 6);
        flow.account(true, 1, 3, 9);
        assert_eq!((flow.packets, flow.bytes, flow.last_seen), ([3, 1], [33, 7], 9));
    }

    #[test]
    fn an_ordinary_interface_counts_each_direction_at_the_hook_that_it_passes() {
        let counted = |egress, from_opener| SYN_SENT.counts_here(7, egress, false, from_opener);
        assert!(counted(false, true) && counted(true, false));
        assert!(!counted(true, true) && !counted(false, false));
        assert!(!SYN_SENT.counts_here(8, false, false, true), "another interface sees it too");
    }

    #[test]
    fn the_loopback_interface_counts_each_packet_at_egress_only() {
        let flow = Flow { opened_at_egress: 1, ..SYN_SENT };
        for from_opener in [true, false] {
            assert!(flow.counts_here(7, true, true, from_opener));
            assert!(!flow.counts_here(7, false, true, from_opener));
        }
    }
}
