//! Who sends what in active mode. A step is eight bytes: what happens, on which connection, with which numbers.

mod peers;
mod truth;

use std::net::{IpAddr, SocketAddr};

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::Mode;

use super::host::Tuple;
use super::scene::{Numbers, Played, Scene};
use crate::subject::test_run::Verdict;
use crate::subject::test_run::frame::Tcp;
use crate::suites::model::differential::Coverage;
use crate::suites::model::script::{ACTIVE, Step};
use truth::Truth;

/// The ports of clients: two that they announce, and one that they don't.
const PORTS: [u16; 3] = [50_000, 50_001, 50_002];
/// Longer than a handshake is remembered.
const FORGOTTEN: u64 = 132;

pub(super) struct Player<'k> {
    scene: Scene<'k>,
    truth: Truth,
    /// Whether a session waits for the final reply to a transfer.
    transfers: Vec<bool>,
    stranger: IpAddr,
}

impl<'k> Player<'k> {
    pub(super) fn new(scene: Scene<'k>, stranger: IpAddr) -> Self {
        Self { scene, truth: Truth::default(), transfers: Vec::new(), stranger }
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
            1 => self.negotiate(step)?,
            2..=3 => self.wants_a_transfer(step)?,
            4 => self.ends(step)?,
            5..=7 => self.opens(step)?,
            8..=10 => self.answers(step)?,
            11..=14 => self.client_segment(step)?,
            15..=16 => self.repeat(step)?,
            17..=19 => self.server_acts(step)?,
            20..=21 => self.wait(step)?,
            22..=23 => self.forge(step)?,
            24..=25 => self.whole_connection(step)?,
            _ => self.negotiate_and_open(step)?,
        }
        self.check()
    }

    /// What holds after every step.
    fn check(&self) -> Played {
        for (client, port) in self.truth.standing(self.scene.now) {
            if !self.scene.expects(Mode::Active, client, port) {
                return self.scene.report(&format!("the server may connect to {client}:{port}, and isn't expected to"));
            }
        }
        self.scene.differential.compare()
    }

    /// A client, or who pretends to be one, sends a packet to the server's data port; and the server answers.
    fn client_sends(&mut self, tcp: &Tcp) -> Played {
        self.scene.sent.push(tcp.clone());
        if self.scene.pass_from_the_wire(self.scene.setting.hook(true), tcp) == Verdict::Drop {
            return Ok(());
        }
        if !self.scene.is_for_this_interface() {
            return Ok(());
        }
        let (answers, accepted) = self.scene.host.receive(tcp);
        if let Some(accepted) = accepted {
            self.truth.established(accepted).or_else(|wrong| self.scene.report(&wrong))?;
        }
        for answer in answers {
            self.server_sends(&answer)?;
        }
        Ok(())
    }

    /// Whether it passes.
    fn server_sends(&mut self, tcp: &Tcp) -> Result<bool, String> {
        let tuple = (tcp.destination, tcp.source.port());
        if self.scene.pass(self.scene.setting.hook(false), tcp) == Verdict::Drop {
            return Ok(false);
        }
        let end = tcp.seq.wrapping_add(tcp.length() + u32::from(tcp.flags & (SYN | FIN) != 0));
        let known = self.scene.known.entry(tuple).or_default();
        if tcp.flags & (SYN | ACK) == SYN {
            self.truth.syn_passed(self.scene.now, (tuple, tcp.seq));
            if known.last().is_none_or(|numbers| numbers.server_seq != tcp.seq) {
                let client_seq = 0x1000_0000 * (1 + known.len() as u32);
                known.push(Numbers { client_seq, server_seq: tcp.seq, sent: 0, next: end });
            }
        } else if let Some(numbers) = known.last_mut() {
            numbers.next = end;
        }
        if tcp.flags & (SYN | RST) == 0
            && let Some(syn_seq) = self.scene.host.established(tuple)
        {
            let speaks = self.truth.speaks((tuple, syn_seq), &self.scene.alive);
            speaks.or_else(|wrong| self.scene.report(&wrong))?;
        }
        Ok(true)
    }

    /// The connection that a step is about: to one of two clients, to one of three ports.
    fn tuple(&self, step: Step) -> Tuple {
        let client = self.scene.setting.clients[usize::from(step[1] & 7 == 7)];
        let port = match step[1] >> 3 {
            31 => PORTS[2],
            which => PORTS[usize::from(which % 4 == 3)],
        };
        (SocketAddr::new(client, port), ACTIVE)
    }

    /// The server has said its last word on a transfer, if there is one.
    fn finish(&mut self, at: usize) -> Played {
        self.transfers.resize(self.transfers.len().max(at + 1), false);
        if std::mem::take(&mut self.transfers[at]) {
            self.scene.says(at, false, "226 done\r\n")?;
            self.scene.says(at, true, "")?;
        }
        Ok(())
    }

    fn negotiate(&mut self, step: Step) -> Played {
        let Some(at) = self.scene.session(usize::from(step[1])) else {
            return self.scene.may_open_session(self.scene.setting.clients[usize::from(step[1] % 8 == 7)]);
        };
        self.announce(at, PORTS[usize::from(step[2] % 4 == 3)], step[3])
    }

    /// A session's client announces a port, and the server agrees, or doesn't.
    fn announce(&mut self, at: usize, port: u16, how: u8) -> Played {
        self.finish(at)?;
        let client = self.scene.client(at);
        let command = if how & 1 == 0 {
            let [high, low] = port.to_be_bytes();
            format!("PORT {},{high},{low}\r\n", client.to_string().replace('.', ","))
        } else {
            format!("EPRT |1|{client}|{port}|\r\n")
        };
        if how % 16 == 15 {
            return self.scene.exchange(at, &command, "500 not now\r\n");
        }
        self.scene.exchange(at, &command, "200 fine\r\n")?;
        self.truth.negotiated(self.scene.tick(), at, client, port);
        Ok(())
    }

    fn wants_a_transfer(&mut self, step: Step) -> Played {
        match self.scene.session(usize::from(step[1])) {
            Some(at) => self.transfer(at, step[2]),
            None => Ok(()),
        }
    }

    /// A session's client says what needs a connection. The last transfer's end comes first.
    fn transfer(&mut self, at: usize, which: u8) -> Played {
        self.finish(at)?;
        let command = ["RETR file\r\n", "STOR file\r\n", "LIST\r\n", "NLST\r\n"][usize::from(which % 4)];
        self.scene.exchange(at, command, "150 here it comes\r\n")?;
        self.transfers[at] = true;
        self.truth.transfer(self.scene.tick(), at);
        Ok(())
    }

    fn ends(&mut self, step: Step) -> Played {
        if let Some(at) = self.scene.end_session(step)? {
            self.truth.ended(self.scene.tick(), at);
        }
        Ok(())
    }

    /// The server's TCP opens a connection, whether anybody wants it or not; or repeats its SYN.
    fn opens(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let syn = match step[2] % 8 {
            1..=2 => self.scene.host.connects_still(tuple),
            3 => {
                self.scene.host.gives_up(tuple);
                self.scene.host.connects(tuple)
            }
            _ => self.scene.host.connects(tuple),
        };
        match syn {
            Some(syn) => self.server_sends(&syn).map(|_| ()),
            None => Ok(()),
        }
    }

    fn server_acts(&mut self, step: Step) -> Played {
        let tuple = self.tuple(step);
        let (flags, text): (u8, &[u8]) = match step[2] % 8 {
            0..=2 => (0, b"data"),
            3 => (FIN, b""),
            4 => (FIN, b"data"),
            5 => (RST, b""),
            _ => {
                self.scene.host.gives_up(tuple);
                return Ok(());
            }
        };
        match self.scene.host.acts(tuple, flags, text) {
            Some(tcp) => self.server_sends(&tcp).map(|_| ()),
            None => Ok(()),
        }
    }

    fn wait(&mut self, step: Step) -> Played {
        for acknowledgement in self.scene.host.delayed() {
            self.server_sends(&acknowledgement)?;
        }
        self.scene.wait_some(step);
        // The filter forgets what it has denied after a while; until then the server's program has given up.
        let truth = &self.truth;
        self.scene.host.gives_up_stalled(|tuple, syn_seq| truth.has_spoken((tuple, syn_seq)));
        Ok(())
    }

    /// All of a connection, if its beginning passes; and now and then what confirms it, and what follows.
    fn whole_connection(&mut self, step: Step) -> Played {
        self.opens([5, step[1], step[2] % 4, 0, 0, 0, 0, 0])?;
        self.answers([8, step[1], 0, 0, 0, u8::from(step[5] % 8 == 1), 0, 0])?;
        if step[6].is_multiple_of(2) {
            self.server_acts([17, step[1], step[6] >> 1, 0, 0, 0, 0, 0])?;
            self.client_segment([11, step[1], step[7], 0, 0, 0, step[7] >> 3, 0])?;
        }
        match step[6] % 8 {
            // Before the client has shown anything, a session ends, mostly its own; and the server goes on.
            1 => {
                self.ends(step)?;
                self.server_acts([17, step[1], 0, 0, 0, 0, 0, 0])
            }
            3 | 7 => self.client_segment([11, step[1], 0, 0, 0, 0, 1, 0]),
            _ => Ok(()),
        }
    }

    fn negotiate_and_open(&mut self, step: Step) -> Played {
        let (client, _) = self.tuple(step);
        let Some(at) = self.scene.session_of(client.ip()) else {
            return self.scene.may_open_session(client.ip());
        };
        if step[3] % 4 != 3 {
            self.announce(at, client.port(), step[3] >> 2)?;
        }
        if step[4] % 8 != 7 {
            self.transfer(at, step[4])?;
        }
        if step[7] % 4 == 3 { self.opens(step) } else { self.whole_connection(step) }
    }

    /// However the story went: a client gets its transfer, be it another one, or one of the story's at another port, or, a
    /// while later, at the very port that the story was about.
    pub(super) fn honest_clients_are_served(&mut self) -> Played {
        self.scene.tag(0);
        let own = self.scene.setting.clients[0];
        self.an_honest_client_is_served(self.stranger, PORTS[0])?;
        self.an_honest_client_is_served(own, 51_000)?;
        let tuple = (SocketAddr::new(own, PORTS[0]), ACTIVE);
        self.scene.host.gives_up(tuple);
        if let Some(reset) = self.scene.host.acts(tuple, RST, b"") {
            self.server_sends(&reset)?;
        }
        self.scene.wait(FORGOTTEN);
        self.an_honest_client_is_served(own, PORTS[0])
    }

    fn an_honest_client_is_served(&mut self, client: IpAddr, port: u16) -> Played {
        self.scene.tick();
        let at = self.scene.open_session(client)?;
        self.announce(at, port, 0)?;
        self.transfer(at, 0)?;
        let tuple = (SocketAddr::new(client, port), ACTIVE);
        let Some(syn) = self.scene.host.connects(tuple) else {
            return self.scene.report("the server can't connect to an honest client");
        };
        if !self.server_sends(&syn)? {
            return self.scene.report("the server's SYN to an honest client was dropped");
        }
        self.answers_honestly(tuple)?;
        let Some(file) = self.scene.host.acts(tuple, FIN, b"file") else {
            return self.scene.report("the server has no connection to an honest client");
        };
        if !self.server_sends(&file)? {
            return self.scene.report("an honest client doesn't get its file");
        }
        self.closes_honestly(tuple)?;
        self.finish(at)?;
        self.check()
    }
}
