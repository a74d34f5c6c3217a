//! Who sends what in a story. A step is eight bytes: what happens, to which connection, with which numbers.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::Mode;

use super::host::{Host, Tuple};
use super::truth::Truth;
use crate::INSIDE;
use crate::subject::test_run::frame::Tcp;
use crate::subject::test_run::{Hook, INTERFACE, Setup, Verdict};
use crate::suites::model::Packet;
use crate::suites::model::differential::{Coverage, Differential};
use crate::suites::model::script::{CONTROL, Setting, Step};
use crate::suites::model::world::Network as _;

/// TCP Fast Open with a cookie, padded.
const FAST_OPEN: [u8; 12] = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
const SESSIONS: usize = 8;
/// As many priority tags as are followed, and one more; and tags of another interface, whose packets the host doesn't
/// get at this one.
const TAGS: [&[u16]; 5] = [&[0], &[0; 8], &[0; 9], &[42], &[0, 42]];

/// A control connection.
struct Control {
    client: SocketAddr,
    client_next: u32,
    server_next: u32,
}

/// The numbers of a handshake that a client knows: its own, and that of a SYN-ACK that came back.
#[derive(Clone, Copy)]
struct Numbers {
    syn_seq: u32,
    syn_ack_seq: u32,
    /// Bytes that it has sent.
    sent: u32,
    /// What the server will say next.
    next: u32,
}

pub(super) struct Player<'k> {
    setting: Setting,
    differential: Differential<'k>,
    host: Host,
    truth: Truth,
    controls: Vec<Control>,
    known: HashMap<Tuple, Vec<Numbers>>,
    /// What clients have sent to data ports.
    sent: Vec<Tcp>,
    stranger: IpAddr,
    /// Behind which tags the step's packets are; see [`Packet::vlans`].
    vlans: &'static [u16],
}

type Played = Result<(), String>;

impl<'k> Player<'k> {
    pub(super) fn new(setting: Setting, stranger: IpAddr, mut differential: Differential<'k>, head: Step) -> Self {
        differential.begin();
        let mut host = Host::new(setting.server);
        host.cookies = head[1] & 1 != 0;
        host.fast_open = head[1] & 2 != 0;
        Self {
            setting,
            differential,
            host,
            truth: Truth::default(),
            controls: Vec::new(),
            known: HashMap::new(),
            sent: Vec::new(),
            stranger,
            vlans: &[],
        }
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.differential.coverage()
    }

    pub(super) fn step(&mut self, step: Step) -> Played {
        self.truth.now.1 += 1;
        let [what, who, .., last] = step;
        // One step in four.
        self.vlans = if last & 3 == 3 { TAGS[usize::from(last >> 2) % TAGS.len()] } else { &[] };
        match what % 32 {
            0 => self.open_session(self.setting.clients[usize::from(who % 2)])?,
            1 => self.negotiate(usize::from(who), INSIDE + u16::from(step[2] % 2))?,
            2 => self.end_session(step)?,
            3..=4 => self.syn(step)?,
            5..=7 => self.acknowledge(step)?,
            8..=10 => self.client_segment(step)?,
            11..=13 => self.repeat(step)?,
            14..=16 => self.server_acts(step)?,
            17..=18 => self.wait(step)?,
            19..=20 => self.forge(step)?,
            21 => self.host.close_listener(INSIDE + u16::from(step[2] % 2)),
            22..=24 => self.whole_connection(step)?,
            _ => self.negotiate_and_connect(step)?,
        }
        self.check()
    }

    /// What holds after every step.
    fn check(&self) -> Played {
        for (client, port) in self.truth.standing() {
            let mut expected = self.differential.expected().into_iter();
            if !expected
                .any(|key| key.client == client.into() && key.port == port && key.mode == Mode::Passive.number())
            {
                return Err(self.differential.report(&format!("{client} may connect to {port}, and is not expected")));
            }
        }
        self.differential.compare()
    }

    fn pass(&mut self, hook: Hook, tcp: &Tcp) -> Verdict {
        self.differential.packet(hook, Packet::of(tcp.clone()))
    }

    /// As who is on the wire sends it: perhaps behind tags.
    fn pass_from_the_wire(&mut self, hook: Hook, tcp: &Tcp) -> Verdict {
        self.differential.packet(hook, Packet { vlans: self.vlans, ..Packet::of(tcp.clone()) })
    }

    /// A client, or who pretends to be one, sends a packet to a data port; and the server answers.
    fn client_sends(&mut self, tcp: &Tcp) -> Played {
        self.sent.push(tcp.clone());
        let tuple = (tcp.source, tcp.destination.port());
        if self.pass_from_the_wire(self.setting.hook(true), tcp) == Verdict::Drop {
            return Ok(());
        }
        if tcp.flags & (SYN | ACK) == SYN {
            self.truth.syn_passed(tuple);
        } else if tcp.flags & ACK != 0
            && self.knows(tuple).any(|numbers| numbers.syn_ack_seq == tcp.ack.wrapping_sub(1))
        {
            self.truth.acknowledged(tuple);
        }
        if self.vlans.iter().any(|vlan| *vlan != 0) {
            return Ok(());
        }
        let (answers, accepted) = self.host.receive(tcp);
        if let Some(accepted) = accepted {
            self.truth.accepted(accepted).map_err(|wrong| self.differential.report(&wrong))?;
        }
        for answer in answers {
            self.server_sends(&answer);
        }
        Ok(())
    }

    fn server_sends(&mut self, tcp: &Tcp) {
        let tuple = (tcp.destination, tcp.source.port());
        if self.pass(self.setting.hook(false), tcp) == Verdict::Drop {
            return;
        }
        let known = self.known.entry(tuple).or_default();
        let end = tcp.seq.wrapping_add(tcp.length() + u32::from(tcp.flags & (SYN | FIN) != 0));
        if tcp.flags & (SYN | ACK) == SYN | ACK {
            known.push(Numbers { syn_seq: tcp.ack.wrapping_sub(1), syn_ack_seq: tcp.seq, sent: 0, next: end });
        } else if let Some(numbers) = known.last_mut() {
            numbers.next = end;
        }
    }

    fn knows(&self, tuple: Tuple) -> impl Iterator<Item = Numbers> + '_ {
        self.known.get(&tuple).into_iter().flatten().copied()
    }

    /// The connection that a step is about: one of two clients', from one of two ports, to one of two.
    fn tuple(&self, step: Step) -> Tuple {
        let client = self.setting.clients[usize::from(step[1] & 7 == 7)];
        (SocketAddr::new(client, 50_000 + u16::from(step[1] >> 3 & 1)), INSIDE + u16::from(step[1] >> 4 & 7 == 7))
    }

    fn to_server(&self, (client, port): Tuple) -> Tcp {
        Tcp::between(client, SocketAddr::new(self.setting.server, port))
    }

    fn open_session(&mut self, client: IpAddr) -> Played {
        if self.controls.len() == SESSIONS {
            return Ok(());
        }
        let number = u16::try_from(self.controls.len()).expect("a few");
        let client = SocketAddr::new(client, 40_000 + number);
        let numbers = 1000 * (1 + u32::from(number));
        let (mut client_next, mut server_next) = (numbers, numbers + 500_000);
        let to_server = self.to_server((client, CONTROL));
        let to_client = Tcp::between(to_server.destination, client);
        let syn = to_server.at(client_next, 0).flags(SYN);
        client_next += 1;
        let syn_ack = to_client.at(server_next, client_next).flags(SYN | ACK);
        server_next += 1;
        for (to, tcp) in [(true, syn), (false, syn_ack)] {
            self.control(to, &tcp)?;
        }
        self.controls.push(Control { client, client_next, server_next });
        self.truth.alive.push(true);
        let at = self.controls.len() - 1;
        self.says(at, true, "")?;
        self.says(at, false, "220 hello\r\n")?;
        self.says(at, true, "")
    }

    fn control(&mut self, to_server: bool, tcp: &Tcp) -> Played {
        if self.pass(self.setting.hook(to_server), tcp) == Verdict::Drop {
            return Err(self.differential.report("a packet of an orderly control connection was dropped"));
        }
        Ok(())
    }

    fn says(&mut self, at: usize, client: bool, text: &str) -> Played {
        let tcp = self.control_segment(at, client).says(text);
        let control = &mut self.controls[at];
        let next = if client { &mut control.client_next } else { &mut control.server_next };
        *next = next.wrapping_add(tcp.length());
        self.control(client, &tcp)
    }

    fn control_segment(&self, at: usize, client: bool) -> Tcp {
        let control = &self.controls[at];
        let to_server = self.to_server((control.client, CONTROL));
        if client {
            to_server.at(control.client_next, control.server_next)
        } else {
            Tcp::between(to_server.destination, control.client).at(control.server_next, control.client_next)
        }
    }

    /// One of the sessions that live.
    fn session(&self, which: usize) -> Option<usize> {
        let alive: Vec<_> = (0..self.controls.len()).filter(|at| self.truth.alive[*at]).collect();
        (!alive.is_empty()).then(|| alive[which % alive.len()])
    }

    fn negotiate(&mut self, which: usize, port: u16) -> Played {
        let Some(at) = self.session(which) else {
            return self.open_session(self.setting.clients[usize::from(which % 8 == 7)]);
        };
        self.host.listen(port);
        self.says(at, true, "EPSV\r\n")?;
        self.says(at, false, &format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"))?;
        self.says(at, true, "")?;
        let client = self.controls[at].client.ip();
        self.truth.negotiated(at, client, port);
        Ok(())
    }

    fn end_session(&mut self, step: Step) -> Played {
        let Some(at) = self.session(usize::from(step[1])) else { return Ok(()) };
        let segment = |client: bool, flags: u8| self.control_segment(at, client).flags(flags);
        let ends = match step[2] % 4 {
            0 | 1 => {
                let mut second = segment(false, FIN | ACK);
                second.ack = second.ack.wrapping_add(1);
                vec![(true, segment(true, FIN | ACK)), (false, second)]
            }
            2 => vec![(true, segment(true, RST | ACK))],
            _ => vec![(false, segment(false, RST | ACK))],
        };
        for (client, tcp) in ends {
            self.control(client, &tcp)?;
        }
        self.truth.ended(at);
        Ok(())
    }

    /// A SYN: the same as the last of its connection, or another; with data, with Fast Open, with a bad checksum.
    fn syn(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let last = self.sent.iter().rev().find(|tcp| tcp.flags == SYN && (tcp.source, tcp.destination.port()) == tuple);
        let seq = match (step[3] % 4, last) {
            (0, Some(last)) => last.seq,
            (1, Some(last)) => last.seq.wrapping_add(100_000),
            _ => 0x1000_0000 + u32::from(step[4]) * 0x10_0000,
        };
        let mut tcp = self.to_server(tuple).at(seq, 0).flags(SYN);
        tcp.wrong_checksum = step[5] % 4 == 1;
        if step[6] % 8 == 1 {
            tcp.options = FAST_OPEN.to_vec();
        }
        if step[6] % 4 == 1 {
            tcp = tcp.says("data");
        }
        self.client_sends(&tcp)
    }

    /// A number that is right, or off by a little or a lot.
    const fn off(number: u32, how: u8) -> u32 {
        match how % 16 {
            1 => number.wrapping_add(1),
            2 => number.wrapping_sub(1),
            3 => number.wrapping_add(30_000),
            4 => number.wrapping_add(1 << 30),
            _ => number,
        }
    }

    /// An acknowledgement of a SYN-ACK, of now or of before.
    fn acknowledge(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let known: Vec<_> = self.knows(tuple).collect();
        let back = if step[2] % 4 == 1 { usize::from(step[2] >> 2) } else { 0 };
        let Some(numbers) = known.len().checked_sub(1 + back % known.len().max(1)).map(|at| known[at]) else {
            return Ok(());
        };
        let seq = Self::off(numbers.syn_seq.wrapping_add(1), step[3]);
        let ack = Self::off(numbers.syn_ack_seq.wrapping_add(1), step[4]);
        let mut tcp = self.to_server(tuple).at(seq, ack);
        tcp.wrong_checksum = step[5] % 4 == 1;
        if step[6] % 4 == 1 {
            tcp = tcp.says("data");
        }
        self.client_sends(&tcp)
    }

    /// Any other segment of a client.
    fn client_segment(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let Some(numbers) = self.known.get_mut(&tuple).and_then(|known| known.last_mut()) else { return Ok(()) };
        let seq = numbers.syn_seq.wrapping_add(1).wrapping_add(numbers.sent);
        let text = if step[6] % 2 == 1 { "data" } else { "" };
        let ack = if step[7] % 4 == 1 { numbers.syn_ack_seq.wrapping_add(1) } else { numbers.next };
        let flags = [ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0, ACK][usize::from(step[2] % 8)];
        numbers.sent = numbers.sent.wrapping_add(text.len() as u32 + u32::from(flags & FIN != 0));
        let mut tcp = self.to_server(tuple).at(Self::off(seq, step[3]), Self::off(ack, step[4])).flags(flags);
        tcp.wrong_checksum = step[5] % 4 == 1;
        self.client_sends(&tcp.says(text))
    }

    fn repeat(&mut self, step: Step) -> Played {
        let Some(at) = self.sent.len().checked_sub(1 + usize::from(step[1]) % self.sent.len().max(1)) else {
            return Ok(());
        };
        let tcp = self.sent[at].clone();
        self.client_sends(&tcp)
    }

    fn server_acts(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let (flags, text): (u8, &[u8]) = match step[2] % 4 {
            0 => (0, b"data"),
            1 => (FIN, b""),
            2 => (FIN, b"data"),
            _ => (RST, b""),
        };
        if let Some(tcp) = self.host.acts(tuple, flags, text) {
            self.server_sends(&tcp);
        }
        Ok(())
    }

    fn wait(&mut self, step: Step) -> Played {
        let seconds = [1, 5, 61, 131, 301][usize::from(step[1] % 5)];
        self.differential.age(Duration::from_secs(seconds));
        self.host.now += seconds;
        self.truth.now.0 += seconds;
        Ok(())
    }

    /// A neighbour speaks as the server: where clients are, or (a hairpin) from this very interface. Not on loopback,
    /// where there are no neighbours.
    fn forge(&mut self, step: Step) -> Played {
        if self.setting.setup == Setup::LOOPBACK {
            return Ok(());
        }
        let (client, port) = self.tuple(step);
        let numbers = self.knows((client, port)).last();
        let (syn_seq, syn_ack_seq) =
            numbers.map_or((0x1000_0000, 77), |numbers| (numbers.syn_seq, numbers.syn_ack_seq));
        let flags = [SYN | ACK, RST, RST | ACK, ACK, FIN | ACK, SYN | ACK, SYN | ACK, ACK][usize::from(step[2] % 8)];
        let seq = Self::off(if flags & SYN != 0 { syn_ack_seq } else { syn_ack_seq.wrapping_add(1) }, step[3]);
        let tcp = Tcp::between(SocketAddr::new(self.setting.server, port), client)
            .at(seq, Self::off(syn_seq.wrapping_add(1), step[4]))
            .flags(flags);
        let tcp = if step[6] % 4 == 1 { tcp.says("data") } else { tcp };
        let hook = match (self.setting.hook(true), step[5] % 2) {
            (Hook::Ingress, 0) => Hook::Ingress,
            (Hook::Ingress, _) => Hook::Egress { came_in_by: INTERFACE },
            (hook, _) => hook,
        };
        let _verdict = self.pass_from_the_wire(hook, &tcp);
        Ok(())
    }

    /// All of a handshake, if its beginning passes; and now and then what confirms it.
    fn whole_connection(&mut self, step: Step) -> Played {
        self.syn([4, step[1], 0, 2, step[4], 0, 0, 0])?;
        self.acknowledge([6, step[1], 0, 0, 0, u8::from(step[5] % 8 == 1), 0, 0])?;
        if step[6].is_multiple_of(2) { self.server_acts([10, step[1], step[2], 0, 0, 0, 0, 0]) } else { Ok(()) }
    }

    fn negotiate_and_connect(&mut self, step: Step) -> Played {
        let (client, port) = self.tuple(step);
        let own =
            (0..self.controls.len()).find(|at| self.truth.alive[*at] && self.controls[*at].client.ip() == client.ip());
        let Some(at) = own else { return self.open_session(client.ip()) };
        let rank = (0..at).filter(|before| self.truth.alive[*before]).count();
        self.negotiate(rank, port)?;
        self.whole_connection(step)
    }

    /// However the story went: a client of another address opens a session and gets its connection.
    pub(super) fn an_honest_client_is_served(&mut self) -> Played {
        self.truth.now.1 += 1;
        self.vlans = &[];
        self.controls.truncate(SESSIONS - 1);
        self.truth.alive.truncate(SESSIONS - 1);
        self.open_session(self.stranger)?;
        let rank = (0..self.controls.len() - 1).filter(|at| self.truth.alive[*at]).count();
        self.negotiate(rank, INSIDE)?;
        let tuple = (SocketAddr::new(self.stranger, 51_001), INSIDE);
        let syn = self.to_server(tuple).at(7, 0).flags(SYN);
        self.client_sends(&syn)?;
        let Some(numbers) = self.knows(tuple).last() else {
            return Err(self.differential.report("an honest client's SYN got no answer"));
        };
        let ack = self.to_server(tuple).at(8, numbers.syn_ack_seq.wrapping_add(1));
        self.client_sends(&ack)?;
        match self.host.acts(tuple, FIN, b"file") {
            Some(_) => self.check(),
            None => Err(self.differential.report("an honest client was not accepted")),
        }
    }
}
