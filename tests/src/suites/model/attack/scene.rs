//! Where a story takes place, and what passive and active mode share: control connections, time, and the wire.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ftp_common::flow::tcp::{ACK, FIN, RST, SYN};
use ftp_common::keys::{ExpectationKey, Mode};

use super::host::{Host, Tuple};
use crate::subject::test_run::frame::Tcp;
use crate::subject::test_run::{Hook, INTERFACE, Setup, Verdict};
use crate::suites::model::differential::Differential;
use crate::suites::model::script::{CONTROL, Setting, Step};
use crate::suites::model::world::Network as _;
use crate::suites::model::{Packet, is_for_this_interface};

/// TCP Fast Open with a cookie, padded.
pub(super) const FAST_OPEN: [u8; 12] = [34, 10, 1, 2, 3, 4, 5, 6, 7, 8, 1, 1];
/// As many priority tags as are followed, and one more; and tags of another interface, whose packets the host doesn't
/// get at this one.
const TAGS: [&[u16]; 5] = [&[0], &[0; 8], &[0; 9], &[42], &[0, 42]];
/// Sessions that steps open.
const SESSIONS: usize = 8;

/// What doesn't hold, and the packets that led there.
pub(super) type Played = Result<(), String>;

/// Seconds, and the number of what happened before: orders what happens in the same second.
pub(super) type Moment = (u64, usize);

/// A control connection.
struct Control {
    client: SocketAddr,
    client_next: u32,
    server_next: u32,
}

/// The numbers of a handshake that a client knows: its own, and the server's.
#[derive(Clone, Copy)]
pub(super) struct Numbers {
    pub(super) client_seq: u32,
    pub(super) server_seq: u32,
    /// Bytes that it has sent.
    pub(super) sent: u32,
    /// What the server will say next.
    pub(super) next: u32,
}

pub(super) struct Scene<'k> {
    pub(super) setting: Setting,
    pub(super) differential: Differential<'k>,
    pub(super) host: Host,
    pub(super) now: Moment,
    /// Whether the session of that number lives.
    pub(super) alive: Vec<bool>,
    controls: Vec<Control>,
    pub(super) known: HashMap<Tuple, Vec<Numbers>>,
    /// What clients have sent to data ports.
    pub(super) sent: Vec<Tcp>,
    /// See [`Packet::vlans`].
    vlans: &'static [u16],
}

impl<'k> Scene<'k> {
    /// Byte 1 of the head: what the server's TCP does.
    pub(super) fn new(setting: Setting, mut differential: Differential<'k>, head: Step) -> Self {
        differential.begin();
        let mut host = Host::new(setting.server);
        host.cookies = head[1] & 1 != 0;
        host.fast_open = head[1] & 2 != 0;
        host.delays = head[1] & 4 != 0;
        Self {
            setting,
            differential,
            host,
            now: (0, 0),
            alive: Vec::new(),
            controls: Vec::new(),
            known: HashMap::new(),
            sent: Vec::new(),
            vlans: &[],
        }
    }

    /// Something happens, in the same second.
    pub(super) const fn tick(&mut self) -> Moment {
        self.now.1 += 1;
        self.now
    }

    pub(super) fn report<T>(&self, wrong: &str) -> Result<T, String> {
        Err(self.differential.report(wrong))
    }

    /// Behind which tags the step's packets from the wire are, by the last byte of a step: one step in four has some.
    pub(super) const fn tag(&mut self, last: u8) {
        self.vlans = if last & 3 == 3 { TAGS[(last >> 2) as usize % TAGS.len()] } else { &[] };
    }

    pub(super) fn pass(&mut self, hook: Hook, tcp: &Tcp) -> Verdict {
        self.differential.packet(hook, Packet::of(tcp.clone()))
    }

    /// A packet of who is on the wire, perhaps behind tags.
    pub(super) fn pass_from_the_wire(&mut self, hook: Hook, tcp: &Tcp) -> Verdict {
        self.differential.packet(hook, Packet { vlans: self.vlans, ..Packet::of(tcp.clone()) })
    }

    /// Whether the host gets the step's packets at this interface.
    pub(super) fn is_for_this_interface(&self) -> bool {
        is_for_this_interface(self.vlans)
    }

    /// Whether the filter expects a connection between this client and this port.
    pub(super) fn expects(&self, mode: Mode, client: IpAddr, port: u16) -> bool {
        let is_meant =
            |key: &ExpectationKey| key.client == client.into() && key.port == port && key.mode == mode.number();
        self.differential.expected().iter().any(is_meant)
    }

    /// What a client knows of its connections on these addresses and ports.
    pub(super) fn knows(&self, tuple: Tuple) -> impl Iterator<Item = Numbers> + '_ {
        self.known.get(&tuple).into_iter().flatten().copied()
    }

    pub(super) fn to_server(&self, (client, port): Tuple) -> Tcp {
        Tcp::between(client, SocketAddr::new(self.setting.server, port))
    }

    pub(super) fn to_client(&self, (client, port): Tuple) -> Tcp {
        Tcp::between(SocketAddr::new(self.setting.server, port), client)
    }

    /// What clients have sent, the latest first.
    pub(super) fn sent_before(&self, back: u8) -> Option<Tcp> {
        let at = self.sent.len().checked_sub(1 + usize::from(back) % self.sent.len().max(1))?;
        Some(self.sent[at].clone())
    }

    /// One of the first sessions opens, if they are not that many yet.
    pub(super) fn may_open_session(&mut self, client: IpAddr) -> Played {
        if self.controls.len() < SESSIONS { self.open_session(client).map(|_| ()) } else { Ok(()) }
    }

    /// Opens a session; its number.
    pub(super) fn open_session(&mut self, client: IpAddr) -> Result<usize, String> {
        let number = u16::try_from(self.controls.len()).expect("a few");
        let client = SocketAddr::new(client, 40_000 + number);
        let numbers = 1000 * (1 + u32::from(number));
        let (mut client_next, mut server_next) = (numbers, numbers + 500_000);
        let syn = self.to_server((client, CONTROL)).at(client_next, 0).flags(SYN);
        client_next += 1;
        let syn_ack = self.to_client((client, CONTROL)).at(server_next, client_next).flags(SYN | ACK);
        server_next += 1;
        for (to, tcp) in [(true, syn), (false, syn_ack)] {
            self.control(to, &tcp)?;
        }
        self.controls.push(Control { client, client_next, server_next });
        self.alive.push(true);
        let at = self.controls.len() - 1;
        self.says(at, true, "")?;
        self.says(at, false, "220 hello\r\n")?;
        self.says(at, true, "")?;
        Ok(at)
    }

    fn control(&mut self, to_server: bool, tcp: &Tcp) -> Played {
        if self.pass(self.setting.hook(to_server), tcp) == Verdict::Drop {
            return self.report("a packet of an orderly control connection was dropped");
        }
        Ok(())
    }

    pub(super) fn says(&mut self, at: usize, client: bool, text: &str) -> Played {
        let tcp = self.control_segment(at, client).says(text);
        let control = &mut self.controls[at];
        let next = if client { &mut control.client_next } else { &mut control.server_next };
        *next = next.wrapping_add(tcp.length());
        self.control(client, &tcp)
    }

    /// A command, its reply, and the client's acknowledgement of that.
    pub(super) fn exchange(&mut self, at: usize, command: &str, reply: &str) -> Played {
        self.says(at, true, command)?;
        self.says(at, false, reply)?;
        self.says(at, true, "")
    }

    fn control_segment(&self, at: usize, client: bool) -> Tcp {
        let control = &self.controls[at];
        let tuple = (control.client, CONTROL);
        if client {
            self.to_server(tuple).at(control.client_next, control.server_next)
        } else {
            self.to_client(tuple).at(control.server_next, control.client_next)
        }
    }

    /// The client's address of a session.
    pub(super) fn client(&self, at: usize) -> IpAddr {
        self.controls[at].client.ip()
    }

    /// One of the sessions that live.
    pub(super) fn session(&self, which: usize) -> Option<usize> {
        let alive: Vec<_> = (0..self.controls.len()).filter(|at| self.alive[*at]).collect();
        (!alive.is_empty()).then(|| alive[which % alive.len()])
    }

    /// A client's first session that lives.
    pub(super) fn session_of(&self, client: IpAddr) -> Option<usize> {
        (0..self.controls.len()).find(|at| self.alive[*at] && self.client(*at) == client)
    }

    /// A session ends, by its client or its server; its number.
    pub(super) fn end_session(&mut self, step: Step) -> Result<Option<usize>, String> {
        let Some(at) = self.session(usize::from(step[1])) else { return Ok(None) };
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
        self.alive[at] = false;
        Ok(Some(at))
    }

    pub(super) fn wait(&mut self, seconds: u64) {
        self.differential.age(Duration::from_secs(seconds));
        self.host.now += seconds;
        self.now.0 += seconds;
    }

    pub(super) fn wait_some(&mut self, step: Step) {
        self.wait([1, 5, 61, 131, 301][usize::from(step[1] % 5)]);
    }

    /// A neighbour speaks as the server: where clients are, or (a hairpin) from this very interface. Not on loopback,
    /// where there are no neighbours.
    pub(super) fn forged_as_server(&mut self, tcp: &Tcp, hairpin: bool) {
        if self.setting.setup == Setup::LOOPBACK {
            return;
        }
        let hook = match self.setting.hook(true) {
            Hook::Ingress if hairpin => Hook::Egress { came_in_by: INTERFACE },
            hook => hook,
        };
        let _verdict = self.pass_from_the_wire(hook, tcp);
    }
}

/// A number that is right, or off by a little or a lot.
pub(super) const fn off(number: u32, how: u8) -> u32 {
    match how % 16 {
        1 => number.wrapping_add(1),
        2 => number.wrapping_sub(1),
        3 => number.wrapping_add(30_000),
        4 => number.wrapping_add(1 << 30),
        _ => number,
    }
}
