//! The server's connections that it opens itself: SYN_SENT, and SYN_RECV where both ends open at once.

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};

use super::{Accepted, Connection, Host, State, Tuple, in_window};
use crate::subject::test_run::frame::Tcp;

/// How long the server's program waits for a connection that says nothing, seconds.
const PATIENCE: u64 = 60;
/// How long TIME_WAIT keeps a server from opening again on the same addresses and ports, seconds (Linux:
/// `tcp_twsk_unique`).
const REUSE: u64 = 1;

impl Host {
    /// The server connects to a client; its SYN, unless it has a connection there.
    pub fn connects(&mut self, tuple: Tuple) -> Option<Tcp> {
        self.forget(tuple);
        let seq = match self.connections.get(&tuple) {
            Some(old) if old.state == State::TimeWait && self.now - old.since > REUSE => old.sends.wrapping_add(65_537),
            Some(_) => return None,
            None => {
                self.next_number = self.next_number.wrapping_add(100_003);
                self.next_number
            }
        };
        self.connections.insert(tuple, Connection::new(State::SynSent, self.now, 0, seq));
        Some(self.to(tuple).at(seq, 0).flags(SYN))
    }

    /// What it repeats of a handshake that is not over.
    pub fn connects_still(&mut self, tuple: Tuple) -> Option<Tcp> {
        self.forget(tuple);
        let connection = self.connections.get(&tuple)?;
        match connection.state {
            State::SynSent => Some(self.to(tuple).at(connection.server_seq, 0).flags(SYN)),
            State::Crossed => Some(self.crossed_answer(tuple, connection)),
            _ => None,
        }
    }

    /// The server's program gives up an attempt: nothing is sent of it.
    pub fn gives_up(&mut self, tuple: Tuple) {
        if self.connections.get(&tuple).is_some_and(|connection| connection.state == State::SynSent) {
            self.connections.remove(&tuple);
        }
    }

    /// The server's program gives up what has come to nothing, its own words to a client least of all. `speaks`: whether
    /// any of them went out.
    pub fn gives_up_stalled(&mut self, speaks: impl Fn(Tuple, u32) -> bool) {
        let now = self.now;
        self.connections.retain(|tuple, connection| {
            let stalled = connection.state != State::SynSent && now - connection.begun > PATIENCE;
            !stalled || speaks(*tuple, connection.server_seq)
        });
    }

    /// The acknowledgements that it can delay no longer (Linux: `TCP_DELACK_MAX`).
    pub fn delayed(&mut self) -> Vec<Tcp> {
        let owes = std::mem::take(&mut self.owes).into_iter();
        let open = owes.filter_map(|tuple| Some((tuple, self.connections.get(&tuple)?)));
        let open = open.filter(|(_, connection)| connection.state == State::Open);
        open.map(|(tuple, connection)| self.to(tuple).at(connection.sends, connection.receives)).collect()
    }

    /// The number of the server's SYN, if its program has a connection there, or had one a while ago.
    #[must_use]
    pub fn established(&self, tuple: Tuple) -> Option<u32> {
        let open = |connection: &&Connection| {
            matches!(connection.state, State::Open | State::FinWait | State::LastAck | State::TimeWait)
        };
        self.connections.get(&tuple).filter(open).map(|connection| connection.server_seq)
    }

    fn crossed_answer(&self, tuple: Tuple, connection: &Connection) -> Tcp {
        self.to(tuple).at(connection.server_seq, connection.receives).flags(SYN | ACK)
    }

    fn connected(
        &mut self,
        tuple: Tuple,
        Connection { begun, server_seq, .. }: Connection,
        client_seq: u32,
    ) -> Accepted {
        let open = Connection::new(State::Open, self.now, client_seq, server_seq);
        self.connections.insert(tuple, Connection { begun, ..open });
        Accepted { tuple, syn_seq: server_seq }
    }

    /// Linux: `tcp_rcv_synsent_state_process`.
    pub(super) fn syn_sent(
        &mut self,
        tuple: Tuple,
        connection: Connection,
        packet: &Tcp,
    ) -> (Vec<Tcp>, Option<Accepted>) {
        let nothing = (Vec::new(), None);
        let resets = packet.flags & RST != 0;
        if packet.flags & ACK == 0 {
            if resets || packet.flags & SYN == 0 {
                return nothing;
            }
            let crossed = Connection::new(State::Crossed, self.now, packet.seq, connection.server_seq);
            let crossed = Connection { begun: connection.begun, ..crossed };
            self.connections.insert(tuple, crossed);
            return (vec![self.crossed_answer(tuple, &crossed)], None);
        }
        if packet.ack != connection.sends {
            // A reset is never answered.
            return if resets { nothing } else { (vec![self.to(tuple).at(packet.ack, 0).flags(RST)], None) };
        }
        if resets {
            self.connections.remove(&tuple);
            return nothing;
        }
        if packet.flags & SYN == 0 {
            return nothing;
        }
        // What it carries beside is thrown away.
        let accepted = self.connected(tuple, connection, packet.seq);
        let answer = self.to(tuple).at(connection.sends, packet.seq.wrapping_add(1));
        if self.delays {
            self.owes.insert(tuple);
            return (Vec::new(), Some(accepted));
        }
        (vec![answer], Some(accepted))
    }

    /// Linux: `tcp_rcv_state_process` in SYN_RECV, where the socket is a whole one; `tcp_validate_incoming`.
    pub(super) fn crossed(
        &mut self,
        tuple: Tuple,
        connection: Connection,
        packet: &Tcp,
    ) -> (Vec<Tcp>, Option<Accepted>) {
        let Connection { client_seq, server_seq, receives, sends, .. } = connection;
        let says = |answer: Tcp| (vec![answer], None);
        let challenge = self.to(tuple).at(sends, receives);
        let has = |flag: u8| packet.flags & flag != 0;
        if packet.flags & (SYN | ACK | RST) == 0 {
            return (Vec::new(), None);
        }
        // The other end's SYN-ACK, in place of an acknowledgement.
        let completes = has(SYN) && packet.seq == client_seq && packet.ack == sends && packet.length() == 0;
        if !in_window(packet, receives) && !completes {
            return if has(RST) { (Vec::new(), None) } else { says(challenge) };
        }
        if has(RST) {
            if packet.seq == receives {
                self.connections.remove(&tuple);
                return (Vec::new(), None);
            }
            return says(challenge);
        }
        if has(SYN) && !(completes && has(ACK)) {
            return says(challenge);
        }
        if !has(ACK) {
            return (Vec::new(), None);
        }
        // One of nothing is an acknowledgement, too (`tcp_ack`).
        if packet.ack != sends && packet.ack != server_seq {
            return says(self.to(tuple).at(packet.ack, 0).flags(RST));
        }
        let accepted = self.connected(tuple, connection, client_seq);
        let bare = packet.length() == 0 && !has(SYN | FIN);
        let opened = self.connections[&tuple];
        let answers = if bare { Vec::new() } else { self.open(tuple, opened, packet) };
        (answers, Some(accepted))
    }
}
