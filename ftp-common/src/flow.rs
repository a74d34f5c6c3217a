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
    /// Its expectation was used up by another connection: none of its packets pass.
    pub const DENIED: u8 = 4;
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

/// Value of the FLOWS map; its key names the FTP roles, `mode` which end opens it.
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
    /// Sequence number of the opener's SYN; a repeated SYN has the same.
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

/// What a packet means for its flow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transition {
    /// Nothing changes.
    Unchanged,
    /// A repeated SYN of an accepted connection.
    RepeatedSyn,
    /// A SYN with another initial sequence number: a new connection on the old tuple.
    NewSyn,
    /// The listening end answered with a SYN-ACK.
    SynAck,
    /// The handshake is complete: the expectation is used up now.
    Established,
    /// One of the ends refused the connection before it was established.
    Refused,
    /// The connection has ended.
    Ended,
}

impl Flow {
    /// Whether its packets are counted at this interface and hook. On the loopback interface each
    /// packet passes both hooks; elsewhere the two directions pass one each.
    #[inline(always)]
    #[must_use]
    pub const fn counts_here(&self, interface: u32, egress: bool, loopback: bool, from_opener: bool) -> bool {
        let first = (self.opened_at_egress != 0) == egress;
        self.interface == interface && first == (loopback || from_opener)
    }

    /// Whether it is established, and a segment without SYN, FIN and RST changes nothing.
    #[inline(always)]
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.state == state::ESTABLISHED && self.marks & 3 != 3
    }

    /// Counts packets and their payload. `now`: nanoseconds of `CLOCK_MONOTONIC`.
    #[inline(always)]
    pub const fn account(&mut self, from_client: bool, packets: u32, bytes: u32, now: u64) {
        let way = !from_client as usize;
        self.packets[way] += packets as u64;
        self.bytes[way] += bytes as u64;
        self.last_seen = now;
    }

    /// What a packet means, from its direction, flags and numbers (host byte order). Changes nothing.
    #[inline(always)]
    #[must_use]
    pub const fn transition(&self, from_opener: bool, from_client: bool, flags: u8, seq: u32, ack: u32) -> Transition {
        let syn = flags & tcp::SYN != 0;
        let acks = flags & tcp::ACK != 0;
        if from_opener {
            if syn && !acks {
                return if self.syn_seq == seq && self.state < state::ENDED {
                    Transition::RepeatedSyn
                } else {
                    Transition::NewSyn
                };
            }
            // The opener knows nothing of it: its SYN was forged.
            if self.state == state::SYN_RECV && flags & tcp::RST != 0 && seq == self.syn_seq.wrapping_add(1) {
                return Transition::Refused;
            }
            // Only who got the SYN-ACK knows its number. The sequence number may be any in the
            // window: the listening end takes those too (RFC 9293 §3.10.7.4).
            if self.state == state::SYN_RECV
                && acks
                && !syn
                && flags & tcp::RST == 0
                && ack == self.syn_ack_seq.wrapping_add(1)
            {
                return Transition::Established;
            }
        } else if self.state < state::ESTABLISHED {
            let answers = acks && ack == self.syn_seq.wrapping_add(1);
            if flags & tcp::RST != 0 {
                return if answers { Transition::Refused } else { Transition::Unchanged };
            }
            if syn && answers {
                return Transition::SynAck;
            }
        }
        if self.state == state::ESTABLISHED {
            let fin = if from_client { 1 } else { 2 };
            let both = self.marks | if flags & tcp::FIN != 0 { fin } else { 0 };
            if flags & tcp::RST != 0 || both & 3 == 3 {
                return Transition::Ended;
            }
        }
        Transition::Unchanged
    }
}

const _: () = assert!(size_of::<Flow>() == 80);

#[cfg(test)]
mod tests {
    use super::tcp::{ACK, FIN, RST, SYN};
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
    fn a_handshake_completes_by_the_number_of_the_syn_ack() {
        assert_eq!(SYN_SENT.transition(false, false, SYN | ACK, 500, 101), Transition::SynAck);
        assert_eq!(SYN_SENT.transition(false, false, SYN | ACK, 500, 102), Transition::Unchanged);
        assert_eq!(SYN_RECV.transition(true, true, ACK, 101, 501), Transition::Established);
        assert_eq!(SYN_RECV.transition(true, true, ACK, 105, 501), Transition::Established);
        assert_eq!(SYN_RECV.transition(true, true, ACK, 101, 502), Transition::Unchanged);
        assert_eq!(SYN_RECV.transition(true, true, ACK | RST, 102, 501), Transition::Unchanged);
        assert_eq!(SYN_SENT.transition(true, true, ACK, 101, 1), Transition::Unchanged);
    }

    #[test]
    fn a_syn_is_a_repetition_only_with_the_same_number() {
        assert_eq!(SYN_SENT.transition(true, true, SYN, 100, 0), Transition::RepeatedSyn);
        assert_eq!(ESTABLISHED.transition(true, true, SYN, 100, 0), Transition::RepeatedSyn);
        assert_eq!(ESTABLISHED.transition(true, true, SYN, 101, 0), Transition::NewSyn);
        let ended = Flow { state: state::ENDED, ..ESTABLISHED };
        assert_eq!(ended.transition(true, true, SYN, 100, 0), Transition::NewSyn);
        let denied = Flow { state: state::DENIED, ..ESTABLISHED };
        assert_eq!(denied.transition(true, true, SYN, 100, 0), Transition::NewSyn);
    }

    #[test]
    fn a_reset_refuses_only_when_it_answers_the_syn() {
        assert_eq!(SYN_SENT.transition(false, false, RST | ACK, 0, 101), Transition::Refused);
        assert_eq!(SYN_RECV.transition(false, false, RST | ACK, 501, 101), Transition::Refused);
        assert_eq!(SYN_SENT.transition(false, false, RST, 0, 0), Transition::Unchanged);
        assert_eq!(SYN_RECV.transition(true, true, RST, 101, 0), Transition::Refused, "the SYN was forged");
        assert_eq!(SYN_SENT.transition(true, true, RST, 101, 0), Transition::Unchanged);
        assert_eq!(ESTABLISHED.transition(false, false, RST | ACK, 0, 101), Transition::Ended);
    }

    #[test]
    fn it_ends_when_both_sides_have_sent_fin() {
        assert_eq!(ESTABLISHED.transition(false, false, FIN | ACK, 0, 0), Transition::Unchanged);
        let half = Flow { marks: 2, ..ESTABLISHED };
        assert_eq!(half.transition(true, true, ACK, 0, 0), Transition::Unchanged);
        assert_eq!(half.transition(true, true, FIN | ACK, 0, 0), Transition::Ended);
        assert_eq!(half.transition(false, false, FIN | ACK, 0, 0), Transition::Unchanged);
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
