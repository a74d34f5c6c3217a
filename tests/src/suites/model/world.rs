//! The ends of control and data connections, which behave until a step says otherwise, and the
//! network between them, which cuts, loses, repeats and reorders as a step says.
//!
//! A step's first byte says what happens (see [`World::step`]), the second to which session; the
//! rest are its details. Most settings of most details are the ordinary case, so that scripts drawn
//! at random get somewhere.

mod stray;

use std::net::SocketAddr;
use std::time::Duration;

use ftp_common::flow::tcp::{ACK, FIN, SYN};
use ftp_common::keys::{ConnectionKey, ExpectationKey};

use super::control::MULTIPATH;
use super::grammar::Speakers;
use super::script::{Beginning, Setting, Step};
use super::{Model, Packet};
use crate::subject::test_run::frame::Tcp;
use crate::subject::test_run::{Hook, Verdict};

/// What the world does to the network.
pub trait Network {
    /// A packet passes a hook; on the loopback interface both, whatever hook it says.
    fn packet(&mut self, hook: Hook, packet: Packet) -> Verdict;
    /// Time passes.
    fn age(&mut self, by: Duration);
    /// The kernel takes a session's memory for another's.
    fn evict(&mut self, session: &ConnectionKey);
    /// The connections that are expected now.
    fn expected(&self) -> Vec<ExpectationKey>;
}

/// The most bytes in a segment: frames of BPF_PROG_TEST_RUN have an end at about 4,000.
const SEGMENT: usize = 1400;

/// The model, and nobody else.
#[derive(Debug)]
pub struct Alone(pub Model);

impl Network for Alone {
    fn packet(&mut self, hook: Hook, packet: Packet) -> Verdict {
        self.0.packet(hook, &packet)
    }

    fn age(&mut self, by: Duration) {
        self.0.age(by);
    }

    fn evict(&mut self, session: &ConnectionKey) {
        self.0.sessions.remove(session);
    }

    fn expected(&self) -> Vec<ExpectationKey> {
        self.0.expectations.keys().copied().collect()
    }
}

const CLIENT: usize = 0;
const SERVER: usize = 1;

/// One end of a control connection.
#[derive(Clone, Debug, Default)]
struct End {
    initial: u32,
    /// All that it has said.
    said: Vec<u8>,
    /// It has said FIN behind that.
    finished: bool,
    /// How much of what the other end says it has received: bytes, and one for FIN.
    received: usize,
}

impl End {
    const fn total(&self) -> usize {
        self.said.len() + self.finished as usize
    }

    /// The sequence number of what it says at an offset.
    fn position(&self, offset: usize) -> u32 {
        self.initial.wrapping_add(1).wrapping_add(u32::try_from(offset).expect("a short talk"))
    }
}

/// A control connection.
#[derive(Clone, Debug)]
struct Control {
    speakers: Speakers,
    addresses: [SocketAddr; 2],
    ends: [End; 2],
}

/// What becomes of a packet on its way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Arrives,
    /// The filter sees it and the receiver doesn't.
    LostBehind,
    /// The receiver gets it by another way.
    Unseen,
    /// It passes twice.
    Repeated,
}

/// All ends.
#[derive(Clone, Debug)]
pub struct World {
    setting: Setting,
    controls: Vec<Control>,
}

impl World {
    /// Nothing has been said.
    #[must_use]
    pub fn new(setting: &Setting) -> Self {
        let control = |(at, (client, _)): (u32, &(SocketAddr, Beginning))| {
            let other = usize::from(client.ip() == setting.clients[0]);
            let foreign = setting.clients[other];
            let initial = |end: u32| End { initial: u32::MAX - 40 + 20 * end - 100_000 * at, ..End::default() };
            Control {
                speakers: Speakers { client: client.ip(), foreign, server: setting.server },
                addresses: [*client, setting.control()],
                ends: [initial(0), initial(1)],
            }
        };
        Self { setting: setting.clone(), controls: (0u32..).zip(&setting.sessions).map(control).collect() }
    }

    /// All control connections begin.
    pub fn begin(&mut self, network: &mut impl Network) {
        for at in 0..self.controls.len() {
            let (_, beginning) = self.setting.sessions[at];
            if beginning != Beginning::Midstream {
                self.handshake(network, at, beginning == Beginning::Multipath);
            }
            if beginning != Beginning::CommandFirst {
                self.transmit(network, at, CLIENT, 0..0, Fate::Arrives);
            }
            if beginning == Beginning::Handshake {
                self.say(network, at, SERVER, b"220 hello\r\n", 0, 0);
                self.transmit(network, at, CLIENT, 0..0, Fate::Arrives);
            }
        }
    }

    /// In the first session, an end says something and the other end gets it: in segments of a size
    /// by the low bits of `manner`; its highest bit repeats some, and lets the client's arrive out of
    /// order; the next one lets the other end acknowledge.
    pub fn converse(&mut self, network: &mut impl Network, sender: usize, text: &[u8], manner: u8) {
        let fates = match sender {
            _ if manner & 0x80 == 0 => 0,
            CLIENT => 0xff,
            // What this host sends passes in order.
            _ => 0x3f,
        };
        self.say(network, 0, sender, text, manner & 0x3f, fates);
        self.repeat(network, 0, sender, 0xff);
        if manner & 0x40 != 0 {
            self.transmit_next(network, 0, 1 - sender, 0);
        }
    }

    /// One step of a script.
    pub fn step(&mut self, network: &mut impl Network, step: Step) {
        let [what, session, a, b, c, d, e, f] = step;
        let at = usize::from(session) % self.controls.len();
        let speakers = self.controls[at].speakers;
        // Cuts: half of the time. Fates: a quarter of it.
        let (cut, fates) = match f & 3 {
            0 | 2 => (0, 0),
            3 if !self.setting.calm => (d, e),
            _ => (d, 0),
        };
        // In a calm setting there are exchanges and data connections only.
        let what = if self.setting.calm { what % 8 + 20 * (what >> 7) } else { what % 32 };
        match what {
            0..8 => {
                self.say(network, at, CLIENT, &speakers.command(a, b), cut, fates);
                if f & 4 != 0 {
                    self.transmit_next(network, at, SERVER, 0);
                }
                self.say(network, at, SERVER, &speakers.answer(a, c, b), cut.rotate_left(3), fates.rotate_left(4));
                if f & 8 == 0 {
                    self.transmit_next(network, at, CLIENT, 0);
                }
            }
            8 | 9 => self.say(network, at, CLIENT, &speakers.command(a, b), cut, fates),
            10 | 11 => self.say(network, at, SERVER, &speakers.reply(a, b), cut, fates),
            12 => self.transmit_next(network, at, CLIENT, 0),
            13 => self.transmit_next(network, at, SERVER, 0),
            14 => self.repeat(network, at, CLIENT, d),
            15 => self.repeat(network, at, SERVER, d),
            16 | 17 => self.forge(network, at, step),
            18 => self.finish(network, at, usize::from(a & 1)),
            19 => self.reset(network, at, a),
            20..28 => self.data(network, step),
            28 => {
                for end in &mut self.controls[at].ends {
                    *end = End { initial: end.initial.wrapping_add(1_000_000 + u32::from(a)), ..End::default() };
                }
                self.handshake(network, at, a == 255);
                self.transmit_next(network, at, CLIENT, 0);
                self.say(network, at, SERVER, b"220 hello\r\n", 0, 0);
            }
            29 => match a % 4 {
                3 => network.evict(&Packet::of(self.segment(at, CLIENT, &(0..0))).as_client()),
                which => network.age(Duration::from_secs([1, 2, 301][usize::from(which)])),
            },
            30 => self.unrelated(network, step),
            _ => self.odd(network, at, step),
        }
    }

    fn send(&self, network: &mut impl Network, to_server: bool, tcp: Tcp) -> Verdict {
        network.packet(self.setting.hook(to_server), Packet::of(tcp))
    }

    fn handshake(&self, network: &mut impl Network, at: usize, multipath: bool) {
        let Control { addresses: [client, server], ends: [ours, theirs], .. } = &self.controls[at];
        let options = if multipath { vec![1, 1, 1, MULTIPATH, 4, 0, 0, 0] } else { vec![2, 4, 5, 0xb4] };
        let syn = Tcp::between(*client, *server).at(ours.initial, 0).flags(SYN);
        let syn_ack = Tcp::between(*server, *client).at(theirs.initial, ours.position(0)).flags(SYN | ACK);
        self.send(network, true, Tcp { options: options.clone(), ..syn });
        self.send(network, false, Tcp { options, ..syn_ack });
    }

    /// A segment of what an end has said, and FIN if the range goes that far.
    fn segment(&self, at: usize, sender: usize, range: &std::ops::Range<usize>) -> Tcp {
        let Control { addresses, ends, .. } = &self.controls[at];
        let (own, other) = (&ends[sender], &ends[1 - sender]);
        let text = range.start.min(own.said.len())..range.end.min(own.said.len());
        let fin = if range.end > own.said.len() { FIN } else { 0 };
        Tcp::between(addresses[sender], addresses[1 - sender])
            .at(own.position(range.start), other.position(own.received))
            .flags(ACK | fin)
            .says(&own.said[text])
    }

    fn transmit(
        &mut self,
        network: &mut impl Network,
        at: usize,
        sender: usize,
        range: std::ops::Range<usize>,
        fate: Fate,
    ) {
        let range = range.start..range.end.min(range.start + SEGMENT);
        let tcp = self.segment(at, sender, &range);
        let mut arrives = fate != Fate::LostBehind;
        if fate != Fate::Unseen {
            arrives &= self.send(network, sender == CLIENT, tcp.clone()) == Verdict::Pass;
        }
        if fate == Fate::Repeated {
            arrives |= self.send(network, sender == CLIENT, tcp) == Verdict::Pass;
        }
        let received = &mut self.controls[at].ends[1 - sender].received;
        if arrives && range.contains(received) {
            *received = range.end;
        }
    }

    /// Sends `length` bytes from where the receiver is; 0: a bare acknowledgement from the end.
    fn transmit_next(&mut self, network: &mut impl Network, at: usize, sender: usize, length: usize) {
        let total = self.controls[at].ends[sender].total();
        let from = if length == 0 { total } else { self.controls[at].ends[1 - sender].received.min(total) };
        self.transmit(network, at, sender, from..(from + length).min(total), Fate::Arrives);
    }

    /// An end says something new: in segments of `cut` bytes (0: in one), each with a fate by two
    /// bits of `fates`; if its highest bit is set, the first two change places.
    fn say(&mut self, network: &mut impl Network, at: usize, sender: usize, text: &[u8], cut: u8, fates: u8) {
        let end = &mut self.controls[at].ends[sender];
        if end.finished || text.is_empty() {
            return;
        }
        let from = end.said.len();
        end.said.extend(text);
        let to = end.said.len();
        let size = if cut == 0 { SEGMENT } else { usize::from(cut % 24).max(text.len().div_ceil(25)) };
        let mut segments: Vec<_> = (from..to).step_by(size).map(|start| start..(start + size).min(to)).collect();
        if fates & 0x80 != 0 && segments.len() > 1 {
            segments.swap(0, 1);
        }
        for (number, segment) in segments.into_iter().enumerate() {
            let fate = match fates.rotate_left(2 * u32::try_from(number % 4).expect("small")) & 3 {
                1 => Fate::LostBehind,
                2 if fates & 4 != 0 => Fate::Unseen,
                3 => Fate::Repeated,
                _ => Fate::Arrives,
            };
            self.transmit(network, at, sender, segment, fate);
        }
    }

    /// TCP repeats what wasn't received, in segments of another size.
    fn repeat(&mut self, network: &mut impl Network, at: usize, sender: usize, cut: u8) {
        let Control { ends, .. } = &self.controls[at];
        let total = ends[sender].total();
        // One byte more than needed, where there is one.
        let from = ends[1 - sender].received.min(total).saturating_sub(usize::from(cut & 1));
        let size = usize::from(cut).max((total - from) / 40).clamp(1, SEGMENT);
        for start in (from..total).step_by(size).take(40) {
            self.transmit(network, at, sender, start..(start + size).min(total), Fate::Arrives);
        }
    }

    fn finish(&mut self, network: &mut impl Network, at: usize, sender: usize) {
        self.controls[at].ends[sender].finished = true;
        let total = self.controls[at].ends[sender].total();
        let from = self.controls[at].ends[1 - sender].received.min(total);
        self.transmit(network, at, sender, from..total, Fate::Arrives);
        self.transmit_next(network, at, 1 - sender, 0);
    }
}
