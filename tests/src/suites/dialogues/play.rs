//! Plays one dialogue between a real client's socket and a real server's.

use std::fmt;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::{Action, Attempt, Dialogue, Manner, Sender, forge, position, reach};
use crate::actors::probe;
use crate::actors::server::{ACTIVE, CONTROL};
use crate::hosts::network::{Family, Network};
use crate::packets::segment::{Segment, flag};

/// What is exchanged before, where the file doesn't say it itself.
const LOGIN: [(Sender, &str); 3] =
    [(Sender::Server, "220 ready\r\n"), (Sender::Client, "USER anonymous\r\n"), (Sender::Server, "230 in\r\n")];

/// Whether a data connection can begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Access {
    /// It can.
    Open,
    /// It can't.
    Shut,
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Open => "open",
            Self::Shut => "shut",
        })
    }
}

/// What came of a dialogue.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Played {
    /// What came of each attempt, in the order of the file.
    pub observed: Vec<Access>,
    /// The line that did not arrive: from there on the control connection hangs. Nothing more was
    /// sent, and the attempts were made all the same.
    pub hang: Option<usize>,
    /// All that was not as the file wants it.
    pub complaints: Vec<String>,
}

/// Where dialogues are played.
#[derive(Debug)]
pub(super) struct Testbed {
    pub(super) network: Network,
    listeners: [TcpListener; 2],
    patience: Duration,
}

impl Testbed {
    /// A new network with a server that listens. Whatever is sent must arrive within `patience`.
    #[track_caller]
    pub(super) fn new(patience: Duration) -> Self {
        let network = Network::new();
        for host in [&network.server, &network.client, &network.third] {
            // A port that a dialogue names must not be somebody's by chance.
            let range = "50000 60999";
            let written = host.namespace.run(|| fs::write("/proc/sys/net/ipv4/ip_local_port_range", range));
            written.expect("root may");
        }
        let listeners = Family::BOTH.map(|family| probe::listen(&network.server, network.server.at(family, CONTROL)));
        Self { network, listeners, patience }
    }

    /// Plays it; `attach` is called where the filter is to come into place.
    #[track_caller]
    pub(super) fn play(&self, dialogue: &Dialogue, attach: &mut dyn FnMut()) -> Played {
        let mut control = self.connect(dialogue.family);
        let mut played = Played::default();
        if dialogue.greeted {
            for (sender, text) in LOGIN {
                control.say(sender, text.as_bytes()).expect("nothing is in the way of a login");
            }
        }
        for step in &dialogue.steps {
            if matches!(step.action, Action::Try(_) | Action::Forge(_) | Action::Silence(_)) {
                control.acknowledge();
            }
            if let Action::Try(attempt) = step.action {
                let observed = self.attempt(dialogue.family, attempt);
                played.observed.push(observed);
                if observed != attempt.wanted {
                    played.complaints.push(format!("line {}: expected {}, is {observed}", step.line, attempt.wanted));
                }
            } else if played.hang.is_none()
                && let Err(error) = self.act(&mut control, &step.action, attach)
            {
                played.hang = Some(step.line);
                played.complaints.push(format!("line {}: the control connection hangs: {error}", step.line));
            }
        }
        control.close();
        played
    }

    #[track_caller]
    fn connect(&self, family: Family) -> Control<'_> {
        let at = self.network.server.at(family, CONTROL);
        let client = probe::connect(&self.network.client, at).expect("the control port is open");
        let listener = &self.listeners[usize::from(family == Family::V6)];
        let (server, _) = listener.accept().expect("it was connected to");
        for stream in [&client, &server] {
            let socket = socket2::SockRef::from(stream);
            socket.set_read_timeout(Some(self.patience)).expect("a socket");
            socket.set_tcp_nodelay(true).expect("a socket");
            socket.set_out_of_band_inline(true).expect("a socket");
            // Each end hangs up by a reset: nothing stays behind for the next dialogue.
            socket.set_linger(Some(Duration::ZERO)).expect("a socket");
        }
        Control { network: &self.network, client, server }
    }

    fn act(&self, control: &mut Control<'_>, action: &Action, attach: &mut dyn FnMut()) -> io::Result<()> {
        match action {
            Action::Say(sender, manner, pieces) => return control.speak(*sender, *manner, pieces),
            Action::Forge(forged) => {
                let segments = forge::forged(forged, control.next_of(forged.sender));
                forge::send(&self.network, forged.from, &segments, forged.bad_checksum);
            }
            Action::End(sender) => {
                let (ending, other) = control.ends(*sender);
                ending.shutdown(Shutdown::Write)?;
                // It has arrived when the other end reads that there is nothing more.
                let heard = other.read(&mut [0])?;
                assert_eq!(heard, 0, "all was heard before");
            }
            Action::Silence(duration) => thread::sleep(*duration),
            Action::Attach => attach(),
            Action::Try(_) => {}
        }
        Ok(())
    }

    #[track_caller]
    fn attempt(&self, family: Family, attempt: Attempt) -> Access {
        let Network { server, client, third, .. } = &self.network;
        let client = if attempt.third { third } else { client };
        if attempt.active {
            reach::attempt(server, ACTIVE, client, client.at(family, attempt.port))
        } else {
            reach::attempt(client, 0, server, server.at(family, attempt.port))
        }
    }
}

/// Both ends of a control connection.
struct Control<'a> {
    network: &'a Network,
    client: TcpStream,
    server: TcpStream,
}

impl Control<'_> {
    fn ends(&mut self, sender: Sender) -> (&mut TcpStream, &mut TcpStream) {
        match sender {
            Sender::Client => (&mut self.client, &mut self.server),
            Sender::Server => (&mut self.server, &mut self.client),
        }
    }

    /// Says it in one segment; the other end has read it when this returns.
    fn say(&mut self, sender: Sender, text: &[u8]) -> io::Result<()> {
        let (speaker, listener) = self.ends(sender);
        speaker.write_all(text)?;
        hear(listener, text)
    }

    fn speak(&mut self, sender: Sender, manner: Manner, pieces: &[Vec<u8>]) -> io::Result<()> {
        let from = match sender {
            Sender::Client => super::Origin::Client,
            Sender::Server => super::Origin::Server,
        };
        match manner {
            Manner::Plainly => pieces.iter().try_for_each(|piece| self.say(sender, piece)),
            Manner::Bytewise => pieces.concat().chunks(1).try_for_each(|byte| self.say(sender, byte)),
            Manner::Urgently => {
                let (first, rest) = pieces.split_first().expect("one piece at least");
                let (speaker, listener) = self.ends(sender);
                let sent = socket2::SockRef::from(&*speaker).send_out_of_band(first)?;
                assert_eq!(sent, first.len());
                hear(listener, first)?;
                rest.iter().try_for_each(|piece| self.say(sender, piece))
            }
            Manner::Swapped => {
                let mut segments = forge::segments(&self.next_of(sender), pieces);
                segments.reverse();
                forge::send(self.network, from, &segments, false);
                // Their own TCP, too, says what has arrived already.
                self.say(sender, &pieces.concat())
            }
            Manner::Again => {
                let length = u32::try_from(pieces.concat().len()).expect("a few");
                let next = self.next_of(sender);
                let first = Segment { seq: next.seq.wrapping_sub(length), ..next };
                forge::send(self.network, from, &forge::segments(&first, pieces), false);
                Ok(())
            }
        }
    }

    /// What was heard is acknowledged now, not in a while: so nothing is said again by chance.
    fn acknowledge(&self) {
        for stream in [&self.client, &self.server] {
            socket2::SockRef::from(stream).set_tcp_quickack(true).expect("a socket");
        }
    }

    /// The next segment of an end, but for its payload.
    fn next_of(&self, sender: Sender) -> Segment {
        let stream = match sender {
            Sender::Client => &self.client,
            Sender::Server => &self.server,
        };
        let (seq, ack) = position::next(stream);
        let source = stream.local_addr().expect("a connection");
        let destination = stream.peer_addr().expect("a connection");
        Segment { source, destination, seq, ack, flags: flag::ACK | flag::PSH, payload: Vec::new() }
    }

    /// The server's end first: its position is always known to who follows the connection.
    fn close(self) {
        let Self { client, server, .. } = self;
        drop(server);
        drop(client);
    }
}

fn hear(listener: &mut TcpStream, text: &[u8]) -> io::Result<()> {
    let mut heard = vec![0; text.len()];
    listener.read_exact(&mut heard)?;
    if heard == text {
        return Ok(());
    }
    Err(io::Error::other(format!("it heard {:?}", String::from_utf8_lossy(&heard))))
}
