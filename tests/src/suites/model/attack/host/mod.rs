//! The server's TCP, as Linux has it: which packets of a client it takes, and what it answers. It decides what a filter
//! has let in.

mod opens;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{IpAddr, SocketAddr};

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};

use crate::subject::test_run::frame::Tcp;
use crate::suites::model::control::{FAST_OPEN, has_option};

/// A client's end, and the server's port.
pub type Tuple = (SocketAddr, u16);

const WINDOW: u32 = 65_535;
/// Segment sizes that a cookie can say.
const SIZES: u32 = 4;
/// How long a connection lives in some states, seconds: `tcp_syn_retries` of 6, `tcp_synack_retries` of 5,
/// `tcp_fin_timeout` and TIME_WAIT.
const SYN_SENT_LIFE: u64 = 127;
const SYN_RECV_LIFE: u64 = 63;
const FIN_LIFE: u64 = 60;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// The server opens.
    SynSent,
    /// A SYN of the client has crossed that.
    Crossed,
    /// A client opens.
    SynRecv,
    Open,
    /// The server has closed; since then, seconds.
    FinWait,
    /// The server has closed after the client.
    LastAck,
    TimeWait,
}

#[derive(Clone, Copy, Debug)]
struct Connection {
    state: State,
    /// Since when it is in that state, seconds.
    since: u64,
    /// Since when the server's program wants it, if that opens it.
    begun: u64,
    /// The numbers of the two SYNs; one of them may acknowledge the other.
    client_seq: u32,
    server_seq: u32,
    receives: u32,
    sends: u32,
    client_closed: bool,
}

impl Connection {
    const fn new(state: State, since: u64, client_seq: u32, server_seq: u32) -> Self {
        let (receives, sends) = (client_seq.wrapping_add(1), server_seq.wrapping_add(1));
        Self { state, since, begun: since, client_seq, server_seq, receives, sends, client_closed: false }
    }
}

/// A connection that the host has accepted, or opened: its handshake is complete for it.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// Of whom.
    pub tuple: Tuple,
    /// The number of its opener's SYN.
    pub syn_seq: u32,
}

/// The host.
#[derive(Clone, Debug)]
pub struct Host {
    address: IpAddr,
    /// It answers SYNs by cookies, and keeps nothing of them.
    pub cookies: bool,
    /// It takes data with a SYN that has the option.
    pub fast_open: bool,
    /// It acknowledges a SYN-ACK by what it has to say, if it has, or a little later.
    pub delays: bool,
    /// Seconds.
    pub now: u64,
    listening: BTreeSet<u16>,
    connections: HashMap<Tuple, Connection>,
    /// Those whose SYN-ACK it has not acknowledged.
    owes: BTreeSet<Tuple>,
    next_number: u32,
    /// How many SYNs came: cookies depend on a SYN's options.
    syns: u32,
}

impl Host {
    /// A host on which nobody listens.
    #[must_use]
    pub fn new(address: IpAddr) -> Self {
        Self {
            address,
            cookies: false,
            fast_open: false,
            delays: false,
            now: 1000,
            listening: BTreeSet::new(),
            connections: HashMap::new(),
            owes: BTreeSet::new(),
            next_number: 0x4000_0000,
            syns: 0,
        }
    }

    /// The server listens on a port.
    pub fn listen(&mut self, port: u16) {
        self.listening.insert(port);
    }

    /// It does so no more. What it has accepted, it keeps; what is half-open goes.
    pub fn close_listener(&mut self, port: u16) {
        self.listening.remove(&port);
        self.connections.retain(|(_, at), connection| *at != port || connection.state != State::SynRecv);
    }

    fn to(&self, (client, port): Tuple) -> Tcp {
        Tcp::between(SocketAddr::new(self.address, port), client)
    }

    /// The server says something, closes or resets; what is sent of it.
    pub fn acts(&mut self, tuple: Tuple, flags: u8, text: &[u8]) -> Option<Tcp> {
        self.forget(tuple);
        let packet = self.to(tuple);
        let now = self.now;
        let connection = self.connections.get_mut(&tuple)?;
        if flags & FIN != 0 && matches!(connection.state, State::FinWait | State::LastAck) {
            // It comes again.
            return Some(packet.at(connection.sends.wrapping_sub(1), connection.receives).flags(ACK | FIN));
        }
        if connection.state != State::Open {
            return None;
        }
        let sent = packet.at(connection.sends, connection.receives).flags(ACK | flags).says(text);
        connection.sends = connection.sends.wrapping_add(sent.length() + u32::from(flags & FIN != 0));
        if flags & RST != 0 {
            self.connections.remove(&tuple);
        } else if flags & FIN != 0 {
            let state = if connection.client_closed { State::LastAck } else { State::FinWait };
            (connection.state, connection.since) = (state, now);
        }
        Some(sent)
    }

    fn forget(&mut self, tuple: Tuple) {
        let Some(connection) = self.connections.get(&tuple) else { return };
        let life = match connection.state {
            State::SynSent => SYN_SENT_LIFE,
            State::SynRecv | State::Crossed => SYN_RECV_LIFE,
            State::Open => return,
            State::FinWait | State::LastAck | State::TimeWait => FIN_LIFE,
        };
        if self.now - connection.since > life {
            self.connections.remove(&tuple);
        }
    }

    /// A packet of a client has come through the filter.
    pub fn receive(&mut self, packet: &Tcp) -> (Vec<Tcp>, Option<Accepted>) {
        if packet.wrong_checksum {
            return (Vec::new(), None);
        }
        let tuple = (packet.source, packet.destination.port());
        self.forget(tuple);
        match self.connections.get(&tuple).copied() {
            None => self.no_connection(tuple, packet),
            Some(connection) => match connection.state {
                State::SynSent => self.syn_sent(tuple, connection, packet),
                State::Crossed => self.crossed(tuple, connection, packet),
                State::SynRecv => self.syn_recv(tuple, connection, packet),
                State::TimeWait => self.time_wait(tuple, connection, packet),
                State::Open | State::FinWait | State::LastAck => (self.open(tuple, connection, packet), None),
            },
        }
    }

    fn no_connection(&mut self, tuple: Tuple, packet: &Tcp) -> (Vec<Tcp>, Option<Accepted>) {
        let listens = self.listening.contains(&tuple.1);
        if packet.flags & RST != 0 {
            return (Vec::new(), None);
        }
        if packet.flags & ACK != 0 {
            let (syn_seq, syn_ack_seq) = (packet.seq.wrapping_sub(1), packet.ack.wrapping_sub(1));
            let is_cookie = packet.flags & SYN == 0
                && (0..2).any(|age| syn_ack_seq.wrapping_sub(self.cookie(tuple, syn_seq, age)) < SIZES);
            if listens && self.cookies && is_cookie {
                return (Vec::new(), Some(self.accept(tuple, syn_seq, syn_ack_seq)));
            }
            return (vec![self.to(tuple).at(packet.ack, 0).flags(RST)], None);
        }
        if packet.flags & SYN != 0 && listens {
            return self.begin(tuple, packet);
        }
        let end = packet.seq.wrapping_add(packet.length() + u32::from(packet.flags & SYN != 0));
        (vec![self.to(tuple).at(0, end).flags(RST | ACK)], None)
    }

    /// A SYN to a port where the server listens.
    fn begin(&mut self, tuple: Tuple, packet: &Tcp) -> (Vec<Tcp>, Option<Accepted>) {
        let syn_seq = packet.seq;
        self.syns += 1;
        self.next_number = self.next_number.wrapping_add(100_003);
        let syn_ack_seq = if self.cookies {
            self.cookie(tuple, syn_seq, 0).wrapping_add(self.syns % SIZES)
        } else {
            self.next_number
        };
        let answer = self.to(tuple).at(syn_ack_seq, syn_seq.wrapping_add(1)).flags(SYN | ACK);
        if self.fast_open && has_option(&packet.options, FAST_OPEN) && packet.length() != 0 {
            return (vec![answer], Some(self.accept(tuple, syn_seq, syn_ack_seq)));
        }
        if !self.cookies {
            self.connections.insert(tuple, Connection::new(State::SynRecv, self.now, syn_seq, syn_ack_seq));
        }
        (vec![answer], None)
    }

    /// Linux: `check_tcp_syn_cookie`. It is one for two minutes at most.
    fn cookie(&self, tuple: Tuple, syn_seq: u32, age: u64) -> u32 {
        let mut hasher = DefaultHasher::new();
        (tuple, self.now / 64 - age).hash(&mut hasher);
        ((hasher.finish() >> 32) as u32).wrapping_add(syn_seq)
    }

    fn accept(&mut self, tuple: Tuple, syn_seq: u32, syn_ack_seq: u32) -> Accepted {
        self.connections.insert(tuple, Connection::new(State::Open, self.now, syn_seq, syn_ack_seq));
        Accepted { tuple, syn_seq }
    }

    /// Linux: `tcp_check_req`.
    fn syn_recv(&mut self, tuple: Tuple, connection: Connection, packet: &Tcp) -> (Vec<Tcp>, Option<Accepted>) {
        let Connection { client_seq: syn_seq, server_seq: syn_ack_seq, receives, sends, .. } = connection;
        let flags = packet.flags & (SYN | ACK | RST | FIN);
        if flags == SYN && packet.seq == syn_seq {
            return (vec![self.to(tuple).at(syn_ack_seq, receives).flags(SYN | ACK)], None);
        }
        // A reset is never answered.
        let answered = |answer| (if flags & RST == 0 { vec![answer] } else { Vec::new() }, None);
        if flags & ACK != 0 && packet.ack != sends {
            return answered(self.to(tuple).at(packet.ack, 0).flags(RST));
        }
        if !in_window(packet, receives) {
            return answered(self.to(tuple).at(sends, receives));
        }
        if flags & (RST | SYN) != 0 {
            self.connections.remove(&tuple);
            return answered(self.to(tuple).at(sends, receives).flags(RST | ACK));
        }
        if flags & ACK == 0 {
            return (Vec::new(), None);
        }
        let accepted = self.accept(tuple, syn_seq, syn_ack_seq);
        let connection = self.connections[&tuple];
        (self.open(tuple, connection, packet), Some(accepted))
    }

    fn time_wait(&mut self, tuple: Tuple, connection: Connection, packet: &Tcp) -> (Vec<Tcp>, Option<Accepted>) {
        let later = packet.seq.wrapping_sub(connection.receives).cast_signed() > 0;
        if packet.flags & (SYN | ACK | RST) == SYN && later {
            self.connections.remove(&tuple);
            return self.no_connection(tuple, packet);
        }
        if packet.flags & RST != 0 {
            self.connections.remove(&tuple);
            return (Vec::new(), None);
        }
        (vec![self.to(tuple).at(connection.sends, connection.receives)], None)
    }

    /// RFC 9293 §3.10.7.4, and RFC 5961.
    fn open(&mut self, tuple: Tuple, mut connection: Connection, packet: &Tcp) -> Vec<Tcp> {
        let answer = self.to(tuple).at(connection.sends, connection.receives);
        if packet.flags & RST != 0 {
            if packet.seq == connection.receives {
                self.connections.remove(&tuple);
                return Vec::new();
            }
            return if in_window(packet, connection.receives) { vec![answer] } else { Vec::new() };
        }
        if packet.flags & SYN != 0 || !in_window(packet, connection.receives) {
            return vec![answer];
        }
        let unacceptable = packet.ack.wrapping_sub(connection.sends).cast_signed() > 0;
        if packet.flags & ACK == 0 || unacceptable || packet.seq != connection.receives {
            return if packet.flags & ACK == 0 { Vec::new() } else { vec![answer] };
        }
        if connection.state == State::LastAck && packet.ack == connection.sends {
            self.connections.remove(&tuple);
            return Vec::new();
        }
        if packet.length() == 0 && packet.flags & FIN == 0 {
            return Vec::new();
        }
        connection.receives = connection.receives.wrapping_add(packet.length() + u32::from(packet.flags & FIN != 0));
        if packet.flags & FIN != 0 {
            connection.client_closed = true;
            if connection.state == State::FinWait {
                (connection.state, connection.since) = (State::TimeWait, self.now);
            }
        }
        self.connections.insert(tuple, connection);
        vec![self.to(tuple).at(connection.sends, connection.receives)]
    }
}

/// Linux: `tcp_in_window`.
fn in_window(packet: &Tcp, receives: u32) -> bool {
    let from = packet.seq.wrapping_sub(receives).cast_signed();
    let length = packet.length() + u32::from(packet.flags & FIN != 0) + u32::from(packet.flags & SYN != 0);
    let end = packet.seq.wrapping_add(length).wrapping_sub(receives).cast_signed();
    from == 0 || end > 0 && from < WINDOW.cast_signed() || from == WINDOW.cast_signed() && from == end
}
