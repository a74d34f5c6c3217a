//! Who sends what in a story. A step is eight bytes: what happens, to which connection, with which numbers.

mod truth;

use std::net::{IpAddr, SocketAddr};

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::Mode;

use super::host::Tuple;
use super::scene::{FAST_OPEN, Numbers, Played, Scene, off};
use crate::INSIDE;
use crate::subject::test_run::Verdict;
use crate::subject::test_run::frame::Tcp;
use crate::suites::model::differential::Coverage;
use crate::suites::model::script::Step;
use truth::Truth;

pub(super) struct Player<'k> {
    scene: Scene<'k>,
    truth: Truth,
    stranger: IpAddr,
}

impl<'k> Player<'k> {
    pub(super) fn new(scene: Scene<'k>, stranger: IpAddr) -> Self {
        Self { scene, truth: Truth::default(), stranger }
    }

    pub(super) fn coverage(&self) -> Coverage {
        self.scene.differential.coverage()
    }

    pub(super) fn step(&mut self, step: Step) -> Played {
        self.scene.tick();
        let [what, who, .., last] = step;
        self.scene.tag(last);
        match what % 32 {
            0 => self.scene.may_open_session(self.scene.setting.clients[usize::from(who % 2)])?,
            1 => self.negotiate(usize::from(who), INSIDE + u16::from(step[2] % 2))?,
            2 => {
                self.scene.end_session(step)?;
            }
            3..=4 => self.syn(step)?,
            5..=7 => self.acknowledge(step)?,
            8..=10 => self.client_segment(step)?,
            11..=13 => self.repeat(step)?,
            14..=16 => self.server_acts(step)?,
            17..=18 => self.scene.wait_some(step),
            19..=20 => self.forge(step),
            21 => self.scene.host.close_listener(INSIDE + u16::from(step[2] % 2)),
            22..=24 => self.whole_connection(step)?,
            _ => self.negotiate_and_connect(step)?,
        }
        self.check()
    }

    /// What holds after every step.
    fn check(&self) -> Played {
        for (client, port) in self.truth.standing(self.scene.now, &self.scene.alive) {
            if !self.scene.expects(Mode::Passive, client, port) {
                return self.scene.report(&format!("{client} may connect to {port}, and is not expected"));
            }
        }
        self.scene.differential.compare()
    }

    /// A client, or who pretends to be one, sends a packet to a data port; and the server answers.
    fn client_sends(&mut self, tcp: &Tcp) -> Played {
        self.scene.sent.push(tcp.clone());
        let tuple = (tcp.source, tcp.destination.port());
        if self.scene.pass_from_the_wire(self.scene.setting.hook(true), tcp) == Verdict::Drop {
            return Ok(());
        }
        if tcp.flags & (SYN | ACK) == SYN {
            self.truth.syn_passed(self.scene.now, tuple);
        } else if tcp.flags & ACK != 0
            && self.scene.knows(tuple).any(|numbers| numbers.server_seq == tcp.ack.wrapping_sub(1))
        {
            self.truth.acknowledged(tuple);
        }
        if !self.scene.is_for_this_interface() {
            return Ok(());
        }
        let (answers, accepted) = self.scene.host.receive(tcp);
        if let Some(accepted) = accepted {
            let accepted = self.truth.accepted(accepted, &self.scene.alive);
            accepted.or_else(|wrong| self.scene.report(&wrong))?;
        }
        for answer in answers {
            self.server_sends(&answer);
        }
        Ok(())
    }

    fn server_sends(&mut self, tcp: &Tcp) {
        let tuple = (tcp.destination, tcp.source.port());
        if self.scene.pass(self.scene.setting.hook(false), tcp) == Verdict::Drop {
            return;
        }
        let known = self.scene.known.entry(tuple).or_default();
        let end = tcp.seq.wrapping_add(tcp.length() + u32::from(tcp.flags & (SYN | FIN) != 0));
        if tcp.flags & (SYN | ACK) == SYN | ACK {
            known.push(Numbers { client_seq: tcp.ack.wrapping_sub(1), server_seq: tcp.seq, sent: 0, next: end });
        } else if let Some(numbers) = known.last_mut() {
            numbers.next = end;
        }
    }

    /// The connection that a step is about: one of two clients', from one of two ports, to one of two.
    fn tuple(&self, step: Step) -> Tuple {
        let client = self.scene.setting.clients[usize::from(step[1] & 7 == 7)];
        (SocketAddr::new(client, 50_000 + u16::from(step[1] >> 3 & 1)), INSIDE + u16::from(step[1] >> 4 & 7 == 7))
    }

    fn negotiate(&mut self, which: usize, port: u16) -> Played {
        match self.scene.session(which) {
            Some(at) => self.agree(at, port),
            None => self.scene.may_open_session(self.scene.setting.clients[usize::from(which % 8 == 7)]),
        }
    }

    /// The server tells a session's client a port.
    fn agree(&mut self, at: usize, port: u16) -> Played {
        self.scene.host.listen(port);
        self.scene.exchange(at, "EPSV\r\n", &format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"))?;
        self.truth.negotiated(self.scene.tick(), at, self.scene.client(at), port);
        Ok(())
    }

    /// A SYN: the same as the last of its connection, or another; with data, with Fast Open, with a bad checksum.
    fn syn(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let last =
            self.scene.sent.iter().rev().find(|tcp| tcp.flags == SYN && (tcp.source, tcp.destination.port()) == tuple);
        let seq = match (step[3] % 4, last) {
            (0, Some(last)) => last.seq,
            (1, Some(last)) => last.seq.wrapping_add(100_000),
            _ => 0x1000_0000 + u32::from(step[4]) * 0x10_0000,
        };
        let mut tcp = self.scene.to_server(tuple).at(seq, 0).flags(SYN);
        tcp.wrong_checksum = step[5] % 4 == 1;
        if step[6] % 8 == 1 {
            tcp.options = FAST_OPEN.to_vec();
        }
        if step[6] % 4 == 1 {
            tcp = tcp.says("data");
        }
        self.client_sends(&tcp)
    }

    /// An acknowledgement of a SYN-ACK, of now or of before.
    fn acknowledge(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let known: Vec<_> = self.scene.knows(tuple).collect();
        let back = if step[2] % 4 == 1 { usize::from(step[2] >> 2) } else { 0 };
        let Some(numbers) = known.len().checked_sub(1 + back % known.len().max(1)).map(|at| known[at]) else {
            return Ok(());
        };
        let seq = off(numbers.client_seq.wrapping_add(1), step[3]);
        let ack = off(numbers.server_seq.wrapping_add(1), step[4]);
        let mut tcp = self.scene.to_server(tuple).at(seq, ack);
        tcp.wrong_checksum = step[5] % 4 == 1;
        if step[6] % 4 == 1 {
            tcp = tcp.says("data");
        }
        self.client_sends(&tcp)
    }

    /// Any other segment of a client.
    fn client_segment(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let Some(numbers) = self.scene.known.get_mut(&tuple).and_then(|known| known.last_mut()) else { return Ok(()) };
        let seq = numbers.client_seq.wrapping_add(1).wrapping_add(numbers.sent);
        let text = if step[6] % 2 == 1 { "data" } else { "" };
        let ack = if step[7] % 4 == 1 { numbers.server_seq.wrapping_add(1) } else { numbers.next };
        let flags = [ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, FIN, 0, ACK][usize::from(step[2] % 8)];
        numbers.sent = numbers.sent.wrapping_add(text.len() as u32 + u32::from(flags & FIN != 0));
        let mut tcp = self.scene.to_server(tuple).at(off(seq, step[3]), off(ack, step[4])).flags(flags);
        tcp.wrong_checksum = step[5] % 4 == 1;
        self.client_sends(&tcp.says(text))
    }

    fn repeat(&mut self, step: Step) -> Played {
        match self.scene.sent_before(step[1]) {
            Some(tcp) => self.client_sends(&tcp),
            None => Ok(()),
        }
    }

    fn server_acts(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let (flags, text): (u8, &[u8]) = match step[2] % 4 {
            0 => (0, b"data"),
            1 => (FIN, b""),
            2 => (FIN, b"data"),
            _ => (RST, b""),
        };
        if let Some(tcp) = self.scene.host.acts(tuple, flags, text) {
            self.server_sends(&tcp);
        }
        Ok(())
    }

    /// A neighbour speaks as the server.
    fn forge(&mut self, step: Step) {
        let tuple = self.tuple(step);
        let numbers = self.scene.knows(tuple).last();
        let (client_seq, server_seq) =
            numbers.map_or((0x1000_0000, 77), |numbers| (numbers.client_seq, numbers.server_seq));
        let flags = [SYN | ACK, RST, RST | ACK, ACK, FIN | ACK, SYN | ACK, SYN | ACK, ACK][usize::from(step[2] % 8)];
        let seq = off(if flags & SYN != 0 { server_seq } else { server_seq.wrapping_add(1) }, step[3]);
        let ack = off(client_seq.wrapping_add(1), step[4]);
        let tcp = self.scene.to_client(tuple).at(seq, ack).flags(flags);
        let tcp = if step[6] % 4 == 1 { tcp.says("data") } else { tcp };
        self.scene.forged_as_server(&tcp, !step[5].is_multiple_of(2));
    }

    /// All of a handshake, if its beginning passes; and now and then what confirms it.
    fn whole_connection(&mut self, step: Step) -> Played {
        self.syn([4, step[1], 0, 2, step[4], 0, 0, 0])?;
        self.acknowledge([6, step[1], 0, 0, 0, u8::from(step[5] % 8 == 1), 0, 0])?;
        if step[6].is_multiple_of(2) { self.server_acts([10, step[1], step[2], 0, 0, 0, 0, 0]) } else { Ok(()) }
    }

    fn negotiate_and_connect(&mut self, step: Step) -> Played {
        let (client, port) = self.tuple(step);
        let Some(at) = self.scene.session_of(client.ip()) else { return self.scene.may_open_session(client.ip()) };
        self.agree(at, port)?;
        self.whole_connection(step)
    }

    /// However the story went: a client of another address opens a session and gets its connection.
    pub(super) fn an_honest_client_is_served(&mut self) -> Played {
        self.scene.tick();
        self.scene.tag(0);
        let at = self.scene.open_session(self.stranger)?;
        self.agree(at, INSIDE)?;
        let tuple = (SocketAddr::new(self.stranger, 51_001), INSIDE);
        let syn = self.scene.to_server(tuple).at(7, 0).flags(SYN);
        self.client_sends(&syn)?;
        let Some(numbers) = self.scene.knows(tuple).last() else {
            return self.scene.report("an honest client's SYN got no answer");
        };
        let ack = self.scene.to_server(tuple).at(8, numbers.server_seq.wrapping_add(1));
        self.client_sends(&ack)?;
        match self.scene.host.acts(tuple, FIN, b"file") {
            Some(_) => self.check(),
            None => self.scene.report("an honest client was not accepted"),
        }
    }
}
