//! The two halves of a session in memory that two CPUs share, word by word.
//!
//! A packet of one direction works on its own half by the real methods and publishes each word that changed; what it reads
//! of the other half it reads word by word, anew for each method. So within one method the reads see the other half at
//! one time each, at any times; that a method reads a word twice and sees two values is not played. Words have no order
//! but where [`PUBLISHED`] says so. Not shared: the parsers, and the client's last bytes, as the other half does not read
//! them (but in `try_resync`, out of
//! sync). The ends of a session are not played.

use std::array;

use ftp_common::counter::Counts;
use ftp_common::keys::ConnectionKey;
use ftp_common::policy::ServerPolicy;
use ftp_common::segment::{Segment, SegmentAction};
use ftp_common::session::{ClientState, Command, Negotiated, ServerState, Session, decision};
use loom::sync::atomic::{AtomicU32, Ordering::Acquire, Ordering::Relaxed, Ordering::Release, fence};

/// Places of the ring that are played.
const PLACES: usize = 3;
const CLIENT: usize = 17 + 2 * PLACES;
const SERVER: usize = 9;
/// The client's first words are its step with the server.
const STEP: usize = 4;
/// The client's words before which the code has a fence: the address of a PORT, behind the position that it goes with;
/// and the ring's head, behind all others.
const PUBLISHED: [usize; 2] = [CLIENT - 5, CLIENT - 1];

/// A segment and its payload.
#[derive(Clone, Copy)]
pub(crate) struct Packet {
    pub(crate) segment: Segment,
    pub(crate) text: &'static str,
}

/// What packets of a session are read by.
#[derive(Clone, Copy)]
pub(crate) struct Context {
    pub(crate) key: ConnectionKey,
    pub(crate) policy: ServerPolicy,
    pub(crate) now: u64,
}

/// How a packet sees the other half, and how its own is seen.
pub(crate) trait Memory {
    /// The client's half as a method finds it that decides on a segment; or that answers a command.
    fn client(&self, answers: bool) -> ClientState;
    fn server(&self) -> ServerState;
    fn publish_client(&mut self, client: &ClientState);
    fn publish_server(&mut self, server: &ServerState);
}

/// One CPU: one packet after the other.
impl Memory for Session {
    fn client(&self, _answers: bool) -> ClientState {
        self.client
    }
    fn server(&self) -> ServerState {
        self.server
    }
    fn publish_client(&mut self, client: &ClientState) {
        self.client = *client;
    }
    fn publish_server(&mut self, server: &ServerState) {
        self.server = *server;
    }
}

/// What two CPUs share: of the client's words its step, and those that change, whichever packet is first.
pub(crate) struct Shared {
    before: Session,
    client: [Option<AtomicU32>; CLIENT],
    server: [AtomicU32; SERVER],
}

impl Shared {
    /// `after`: what comes of the packets one after the other, in both orders.
    pub(crate) fn new(before: &Session, after: &[Session; 2]) -> Self {
        let client = words_of_client(&before.client);
        let after = after.map(|session| words_of_client(&session.client));
        let changes = |i: &usize| *i < STEP || after.iter().any(|words| words[*i] != client[*i]);
        Self {
            before: *before,
            client: array::from_fn(|i| Some(i).filter(changes).map(|i| AtomicU32::new(client[i]))),
            server: words_of_server(&before.server).map(AtomicU32::new),
        }
    }
}

/// One CPU of two.
pub(crate) struct Cpu<'a> {
    shared: &'a Shared,
    client: [u32; CLIENT],
    server: [u32; SERVER],
}

impl<'a> Cpu<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let Session { client, server, .. } = &shared.before;
        Self { shared, client: words_of_client(client), server: words_of_server(server) }
    }
}

impl Memory for Cpu<'_> {
    fn client(&self, answers: bool) -> ClientState {
        let mut words = words_of_client(&self.shared.before.client);
        let [named, head] = PUBLISHED;
        let mut read = |i: usize| {
            if let Some(shared) = &self.shared.client[i] {
                words[i] = shared.load(Relaxed);
            }
        };
        // `match_command` reads the head first, and `want_active` the address last but for its position.
        if answers {
            read(head);
            fence(Acquire);
        }
        (0..named - 1).for_each(&mut read);
        (named..head).for_each(&mut read);
        if answers {
            fence(Acquire);
        } else {
            read(head);
        }
        read(named - 1);
        let mut client = self.shared.before.client;
        set_client(&mut client, &words);
        client
    }

    fn server(&self) -> ServerState {
        let mut server = self.shared.before.server;
        let mut words = words_of_server(&server);
        words.iter_mut().zip(&self.shared.server).for_each(|(word, shared)| *word = shared.load(Relaxed));
        set_server(&mut server, &words);
        server
    }

    fn publish_client(&mut self, client: &ClientState) {
        let words = words_of_client(client);
        let [named, head] = PUBLISHED;
        let names = words[named..head] != self.client[named..head];
        for (i, word) in words.into_iter().enumerate() {
            if i == head || i == named && names {
                fence(Release);
            }
            if word != self.client[i] {
                let shared = self.shared.client[i].as_ref();
                shared.unwrap_or_else(|| panic!("word {i} is not played")).store(word, Relaxed);
                self.client[i] = word;
            }
        }
    }

    fn publish_server(&mut self, server: &ServerState) {
        for (i, word) in words_of_server(server).into_iter().enumerate() {
            if word != self.server[i] {
                self.shared.server[i].store(word, Relaxed);
                self.server[i] = word;
            }
        }
    }
}

/// A packet of the client, as the kernel program reads it.
pub(crate) fn client_sends(client: &mut ClientState, memory: &mut impl Memory, packet: &Packet, context: &Context) {
    let mut counts = Counts::default();
    let Packet { segment, text } = packet;
    let action = client.receive(&memory.server(), segment, context.now, false, &mut counts);
    memory.publish_client(client);
    if let SegmentAction::Parse { skip: 0, compare: 0 } = action {
        for byte in text.bytes() {
            if client.push(byte) {
                client.end_line(&context.key.client, &memory.server(), context.now, &mut counts);
                memory.publish_client(client);
            }
        }
        memory.publish_client(client);
    }
}

/// A packet of the server, likewise; the expectation that it makes.
pub(crate) fn server_sends(
    server: &mut ServerState,
    memory: &mut impl Memory,
    packet: &Packet,
    context: &Context,
) -> Option<Negotiated> {
    let mut counts = Counts::default();
    let Packet { segment, text } = packet;
    let action = server.receive(&memory.client(false), segment, false, true, &mut counts);
    memory.publish_server(server);
    if let SegmentAction::Parse { skip: 0, compare: 0 } = action {
        for byte in text.bytes() {
            if server.push(byte) {
                let Context { key, policy, now } = context;
                server.end_line(&memory.client(true), key, policy, segment.ack, *now, &mut counts);
                memory.publish_server(server);
            }
        }
        memory.publish_server(server);
    }
    let decided = std::mem::take(&mut server.decision);
    if decided != decision::KEEP {
        server.standing = Negotiated::default();
    }
    if decided == decision::REPLACE {
        server.serial += 1;
        server.standing = server.wanted;
    }
    memory.publish_server(server);
    (decided == decision::REPLACE).then_some(server.standing)
}

/// What the server's packets read, in the order in which a line's end may write it.
fn words_of_client(c: &ClientState) -> [u32; CLIENT] {
    let mut words = [0; CLIENT];
    let flags = [c.synced, c.fin, c.voided].map(u32::from);
    let front = [c.desyncs, c.resync_epoch.into(), c.next, flags[0], c.acked, flags[1], c.fin_end, flags[2]];
    words[..8].copy_from_slice(&front);
    words[8..11].copy_from_slice(&[c.void_before, c.transfers.into(), c.reply_batch_from]);
    for (place, command) in c.ring[..PLACES].iter().enumerate() {
        let Command { end, kind, fault, port } = *command;
        words[11 + 2 * place] = end;
        words[12 + 2 * place] = u32::from(kind) << 24 | u32::from(fault) << 16 | u32::from(port);
    }
    words[CLIENT - 6] = c.named_end;
    words[CLIENT - 5..CLIENT - 1].copy_from_slice(&c.named.0);
    words[CLIENT - 1] = c.head;
    words
}

fn set_client(c: &mut ClientState, words: &[u32; CLIENT]) {
    (c.desyncs, c.resync_epoch, c.next, c.synced) = (words[0], words[1] as u16, words[2], words[3] as u8);
    (c.acked, c.fin, c.fin_end, c.voided) = (words[4], words[5] as u8, words[6], words[7] as u8);
    (c.void_before, c.transfers, c.reply_batch_from) = (words[8], words[9] as u16, words[10]);
    for (place, command) in c.ring[..PLACES].iter_mut().enumerate() {
        let word = words[12 + 2 * place];
        *command = Command {
            end: words[11 + 2 * place],
            kind: (word >> 24) as u8,
            fault: (word >> 16) as u8,
            port: word as u16,
        };
    }
    c.named_end = words[CLIENT - 6];
    c.named.0.copy_from_slice(&words[CLIENT - 5..CLIENT - 1]);
    c.head = words[CLIENT - 1];
}

/// What the client's packets read in sync. All on one CPU's way out: in any order.
fn words_of_server(s: &ServerState) -> [u32; SERVER] {
    let flags = [s.transfer, s.exchange_seen].map(u32::from);
    [s.next, s.acked, s.tail, s.resynced_for, s.resync_seq, s.resync_epoch.into(), s.finals, flags[0], flags[1]]
}

fn set_server(s: &mut ServerState, words: &[u32; SERVER]) {
    (s.next, s.acked, s.tail, s.resynced_for) = (words[0], words[1], words[2], words[3]);
    (s.resync_seq, s.resync_epoch, s.finals) = (words[4], words[5] as u16, words[6]);
    (s.transfer, s.exchange_seen) = (words[7] as u8, words[8] as u8);
}
