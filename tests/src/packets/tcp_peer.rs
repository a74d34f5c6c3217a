//! A TCP client made of raw segments: it can send what no stack would.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::INSIDE;
use crate::actors::probe;
use crate::actors::server::{Server, Session};
use crate::hosts::network::{Family, Host, INTERFACE};
use crate::packets::ip::{self, Ipv4, TCP, checksum};
use crate::packets::segment::{Segment, flag};
use crate::packets::wire::Wire;

/// Its host part: an address that no host of the network has, so that no stack answers for it.
const NUMBER: u8 = 77;
/// The urgent pointer is significant (RFC 9293 §3.1).
pub const URG: u8 = 32;
/// What its timestamps say.
const NOW: u32 = 1_000_000;

/// A client at the hardware address of a host.
#[derive(Debug)]
pub struct Peer<'a> {
    wire: Wire,
    server: &'a Host,
    /// Its end.
    pub own: SocketAddr,
    /// The server's end.
    pub other: SocketAddr,
    /// The position of its next byte.
    pub next: u32,
    /// The position of the server's next byte.
    pub heard: u32,
    timestamps: bool,
    data_port: u16,
}

/// What is odd about a segment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odd {
    /// The urgent pointer, and with it the flag.
    pub urgent: Option<u16>,
    /// No stack takes it.
    pub bad_checksum: bool,
    /// Older than what was said before (RFC 7323 §5 drops it), where timestamps were agreed.
    pub old: bool,
    /// IPv4: routers that it survives, plus one.
    pub hops: Option<u8>,
}

impl<'a> Peer<'a> {
    /// Lets `server` know where it lives: next to `client`.
    #[track_caller]
    fn new(client: &Host, server: &'a Host, other: SocketAddr, port: u16, next: u32) -> Self {
        let mac = client.mac().map(|byte| format!("{byte:02x}")).join(":");
        let address = match other {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::new(10, 0, 0, NUMBER)),
            SocketAddr::V6(_) => Ipv6Addr::new(0xfd00, 0xf7, 0, 0, 0, 0, 0, u16::from(NUMBER)).into(),
        };
        server.namespace.ip(&format!("neigh replace {address} lladdr {mac} nud permanent dev {INTERFACE}"));
        let own = SocketAddr::new(address, port);
        let data_port = port.wrapping_add(1000);
        Self { wire: Wire::of(client), server, own, other, next, heard: 0, timestamps: false, data_port }
    }

    /// Connects from `port` to where `ftp` listens; its first byte will have the number `first`.
    #[track_caller]
    pub fn connect(hosts: (&Host, &'a Host), ftp: &Server, port: u16, first: u32) -> (Self, Session) {
        let (client, server) = hosts;
        let mut peer = Self::new(client, server, ftp.address(), port, first);
        peer.shake_hands();
        let session = ftp.accept();
        (peer, session)
    }

    /// The same with timestamps, and then as after login.
    #[track_caller]
    pub fn logged_in(hosts: (&Host, &'a Host), ftp: &Server, port: u16) -> (Self, Session) {
        let (client, server) = hosts;
        let mut peer = Self::new(client, server, ftp.address(), port, 7000);
        peer.timestamps = true;
        peer.shake_hands();
        let mut session = ftp.accept();
        peer.log_in(&mut session);
        (peer, session)
    }

    #[track_caller]
    fn shake_hands(&mut self) {
        let syn = Segment { seq: self.next.wrapping_sub(1), ack: 0, flags: flag::SYN, ..self.segment("") };
        self.put(&syn);
        self.heard = self.answer_to(&syn).next();
        self.put(&self.segment(""));
    }

    /// The SYN-ACK to a SYN.
    #[track_caller]
    fn answer_to(&mut self, syn: &Segment) -> Segment {
        self.wire.wait_for("a SYN-ACK", |seen| {
            (seen.source, seen.destination) == (syn.destination, syn.source)
                && seen.flags & flag::SYN != 0
                && seen.ack == syn.next()
        })
    }

    /// Greeting, USER and its answer.
    #[track_caller]
    pub fn log_in(&mut self, session: &mut Session) {
        session.say("220 ready");
        self.hear("220 ready\r\n");
        self.exchange(session, "USER anonymous", "230 in");
    }

    /// One command and its answer.
    #[track_caller]
    pub fn exchange(&mut self, session: &mut Session, command: &str, answer: &str) {
        self.say(format!("{command}\r\n"));
        session.hears(command);
        session.say(answer);
        self.hear(&format!("{answer}\r\n"));
    }

    /// PASV, answered by `port`: whether the peer can then connect there.
    #[track_caller]
    pub fn passive(&mut self, session: &mut Session, port: u16) -> bool {
        let [high, low] = port.to_be_bytes();
        self.exchange(session, "PASV", &format!("227 Entering Passive Mode (10,0,0,1,{high},{low})."));
        self.opens(port)
    }

    /// The segment that comes next, with this payload.
    #[must_use]
    pub fn segment(&self, payload: impl AsRef<[u8]>) -> Segment {
        Segment {
            source: self.own,
            destination: self.other,
            seq: self.next,
            ack: self.heard,
            flags: flag::ACK | flag::PSH,
            payload: payload.as_ref().to_vec(),
        }
    }

    /// Says bytes, in order.
    #[track_caller]
    pub fn say(&mut self, payload: impl AsRef<[u8]>) {
        let segment = self.segment(payload);
        self.put(&segment);
        self.next = segment.next();
    }

    /// Hears these bytes of the server, in order, and acknowledges them.
    #[track_caller]
    pub fn hear(&mut self, expected: &str) {
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            let (own, other, next) = (self.own, self.other, self.heard);
            let segment = self.wire.wait_for(expected, |seen| {
                (seen.source, seen.destination, seen.seq) == (other, own, next) && !seen.payload.is_empty()
            });
            self.heard = segment.next();
            heard.extend(segment.payload);
        }
        assert_eq!(String::from_utf8_lossy(&heard), expected);
        self.put(&self.segment(""));
    }

    /// Waits until the server has acknowledged all that was said in order.
    #[track_caller]
    pub fn is_acknowledged(&mut self) {
        let (own, other, next) = (self.own, self.other, self.next);
        self.wire
            .wait_for("an acknowledgement", |seen| (seen.source, seen.destination, seen.ack) == (other, own, next));
    }

    /// Hears the server's FIN and acknowledges it, by a FIN of its own if it `closes` too; returns when
    /// the server has that.
    #[track_caller]
    pub fn hear_fin(&mut self, closes: bool) {
        let (own, other, next) = (self.own, self.other, self.heard);
        self.wire.wait_for("the server's FIN", |seen| {
            (seen.source, seen.destination, seen.seq) == (other, own, next) && seen.flags & flag::FIN != 0
        });
        self.heard = self.heard.wrapping_add(1);
        let last = Segment { flags: flag::ACK | if closes { flag::FIN } else { 0 }, ..self.segment("") };
        self.put(&last);
        self.next = last.next();
        self.arrives();
    }

    /// Returns when the server's host has got all that was sent.
    #[track_caller]
    pub fn arrives(&mut self) {
        self.data_port += 1;
        let source = SocketAddr::new(self.own.ip(), self.data_port);
        let closed = SocketAddr::new(self.other.ip(), 9);
        let marker = Segment { source, destination: closed, seq: 1, ack: 0, flags: flag::SYN, payload: Vec::new() };
        self.put(&marker);
        self.wire.wait_for("the answer to a SYN where nobody listens", |seen| {
            (seen.source, seen.destination) == (closed, source) && seen.flags & flag::RST != 0
        });
    }

    /// Sends a segment as it is.
    pub fn put(&self, segment: &Segment) {
        self.put_odd(segment, Odd::default());
    }

    /// Sends a segment that has something odd.
    pub fn put_odd(&self, segment: &Segment, odd: Odd) {
        self.wire.send(&self.packet(segment, odd), self.server.mac());
    }

    /// Sends an IP packet to the server's host.
    pub fn put_packet(&self, packet: &[u8]) {
        self.wire.send(packet, self.server.mac());
    }

    /// The TCP header and payload of a segment, as this peer sends it.
    #[must_use]
    pub fn tcp(&self, segment: &Segment, odd: Odd) -> Vec<u8> {
        let mut options = Vec::new();
        if self.timestamps {
            options.extend([1, 1, 8, 10]);
            options.extend(if odd.old { 1u32 } else { NOW }.to_be_bytes());
            options.extend([0; 4]);
        }
        let flags = segment.flags | if odd.urgent.is_some() { URG } else { 0 };
        let mut tcp = Segment { flags, ..segment.clone() }.to_tcp(&options);
        if let Some(urgent) = odd.urgent {
            // The checksum was made with a pointer of zero (RFC 1624: add what is new).
            let sum = u32::from(!u16::from_be_bytes([tcp[16], tcp[17]])) + u32::from(urgent);
            let folded = u16::try_from((sum & 0xffff) + (sum >> 16)).expect("folded");
            tcp[16..18].copy_from_slice(&(!folded).to_be_bytes());
            tcp[18..20].copy_from_slice(&urgent.to_be_bytes());
        }
        if odd.bad_checksum {
            tcp[16] ^= 0xff;
        }
        tcp
    }

    /// A segment as an IP packet, as this peer sends it.
    #[must_use]
    pub fn packet(&self, segment: &Segment, odd: Odd) -> Vec<u8> {
        let tcp = self.tcp(segment, odd);
        match (segment.source.ip(), segment.destination.ip()) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut packet = Ipv4::default().packet(source, destination, &tcp);
                if let Some(hops) = odd.hops {
                    packet[8] = hops;
                    packet[10..12].fill(0);
                    let sum = checksum(&packet[..20]);
                    packet[10..12].copy_from_slice(&sum.to_be_bytes());
                }
                packet
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => ip::ipv6(source, destination, TCP, &tcp),
            _ => panic!("{segment:?} is of two families"),
        }
    }

    /// Whether a connection to a port of the server, where somebody listens meanwhile, begins. It is
    /// established, and reset.
    #[track_caller]
    pub fn opens(&mut self, port: u16) -> bool {
        let _listener = probe::listen(self.server, SocketAddr::new(self.other.ip(), port));
        self.reaches(port)
    }

    /// The same, where somebody listens already.
    #[track_caller]
    pub fn reaches(&mut self, port: u16) -> bool {
        let target = SocketAddr::new(self.other.ip(), port);
        self.data_port += 2;
        let source = SocketAddr::new(self.own.ip(), self.data_port);
        let syn = Segment { source, destination: target, seq: 1000, ack: 0, flags: flag::SYN, payload: Vec::new() };
        let Some(answer) = self.answer(&syn) else { return false };
        let completed = answer.answer(flag::ACK, b"");
        self.put(&completed);
        self.put(&Segment { flags: flag::RST | flag::ACK, ..completed });
        true
    }

    /// The SYN-ACK to a SYN, if it is answered.
    #[track_caller]
    pub fn answer(&mut self, syn: &Segment) -> Option<Segment> {
        let packet = self.packet(syn, Odd::default());
        self.answer_to_packet(syn, &packet)
    }

    /// The same of a SYN in a packet that the caller has made.
    #[track_caller]
    pub fn answer_to_packet(&mut self, syn: &Segment, packet: &[u8]) -> Option<Segment> {
        self.put_packet(packet);
        // What the server answers to this one, it answers after it has seen the other.
        self.data_port += 1;
        let closed = SocketAddr::new(self.other.ip(), 9);
        let source = SocketAddr::new(self.own.ip(), self.data_port);
        let marker = Segment { source, destination: closed, ..syn.clone() };
        self.put(&marker);
        let seen = self.wire.all_until("the answer to a SYN where nobody listens", |seen| {
            seen.source == closed && seen.destination == marker.source && seen.flags & flag::RST != 0
        });
        let is_answer = |seen: &&Segment| {
            (seen.source, seen.destination) == (syn.destination, syn.source) && seen.flags & flag::SYN != 0
        };
        seen.iter().find(is_answer).cloned()
    }

    /// [`Self::passive`] at [`INSIDE`], after as many exchanges as a session takes to resynchronize.
    #[track_caller]
    pub fn resyncs(&mut self, session: &mut Session) {
        for _ in 0..3 {
            self.exchange(session, "NOOP", "200 ok");
        }
        assert!(self.passive(session, INSIDE + 77), "no transfer any more");
    }

    /// The family that it speaks.
    #[must_use]
    pub fn family(&self) -> Family {
        if self.own.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}
