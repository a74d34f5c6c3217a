//! A dialogue in good order, read line by line: which connection is expected after each segment.
//!
//! The bytes of a dialogue: the first says how segments are cut and repeated, the rest is text.
//! 0x01 gives the floor to the client and 0x02 to the server; 0x03 lets the one who has it go on in
//! another segment. Each has received all that was said before.

use std::collections::VecDeque;

use ftp_common::command::Verb;
use ftp_common::host_port::HostPort;
use ftp_common::keys::Mode;
use ftp_common::policy::Side;

use super::script::{Beginning, Script, Setting};
use super::world::{Alone, World};
use super::{Model, reference};

/// Commands that may wait before the tracker's ring overflows.
const RING: usize = 16;

/// The state of a dialogue by its lines.
#[derive(Debug, Default)]
struct Lines {
    /// With each command, the final replies that had come before it; `None` for a PORT behind a bare line feed.
    waiting: VecDeque<((Verb, HostPort), Option<u32>)>,
    finals: u32,
    /// Those that had come before the latest command.
    latest: u32,
    secured: bool,
    /// A line ended in a bare line feed, and commands have been pending since.
    bare: bool,
    /// The port that is expected, and for whom.
    expected: Option<(Mode, u16)>,
}

impl Lines {
    fn reply(&mut self, setting: &Setting, reply: &ftp_common::reply::Reply) {
        let policy = &setting.policy;
        if self.secured || reply.code < 200 {
            return;
        }
        self.finals += 1;
        if reply.code == 421 {
            return;
        }
        if reply.code == 234 || reply.code == 235 {
            self.secured = true;
            self.expected = None;
            return;
        }
        let oldest = |wanted: Verb| self.waiting.iter().position(|((verb, _), _)| *verb == wanted);
        let taken = match reply.code {
            227 => oldest(Verb::Pasv),
            229 => oldest(Verb::Epsv),
            _ => (!self.waiting.is_empty()).then_some(0),
        };
        let Some(taken) = taken else {
            // An earlier reply was taken for the wrong command's: perhaps for a PORT's.
            self.expected = self.expected.filter(|(mode, _)| *mode == Mode::Passive);
            return;
        };
        let ((verb, said), finals) = self.waiting.drain(..=taken).next_back().expect("it is there");
        let own = setting.clients[0];
        match (verb, reply.code) {
            (Verb::Rein, 200..300) => self.expected = None,
            (Verb::Pasv | Verb::Epsv, 227 | 229) => {
                let good = reply.announces && reply.port >= 1024 && policy.is_passive(reply.port);
                self.expected = good.then_some((Mode::Passive, reply.port));
            }
            (Verb::MalformedPort, 200..300) => self.expected = None,
            (Verb::Port, 200..300) => {
                // Not if a reply came in between that may have been this one's.
                let good = finals == Some(self.latest) && said.address == own.into() && said.port >= 1024;
                self.expected = good.then_some((Mode::Active, said.port));
            }
            _ => {}
        }
    }
}

/// Checks a dialogue; see the module.
///
/// # Errors
///
/// What is expected and shouldn't be, or isn't and should.
pub fn check(bytes: &[u8]) -> Result<(), String> {
    let Some((first, text)) = bytes.split_first() else { return Ok(()) };
    let setting = setting();
    let mut network = Alone(Model::new(setting.setup, setting.policy, vec![setting.server.into()]));
    let mut world = World::new(&setting);
    world.begin(&mut network);
    let mut lines = Lines::default();
    let mut said: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    let mut ended = [0, 0];
    let mut speaker = 0;
    for piece in text.split_inclusive(|byte| (1..=3).contains(byte)) {
        let mark = piece.last().copied().filter(|byte| (1..=3).contains(byte));
        let words = &piece[..piece.len() - usize::from(mark.is_some())];
        said[speaker].extend(words);
        world.converse(&mut network, speaker, words, *first);
        read(&setting, &mut lines, &said, &mut ended, speaker);
        if lines.waiting.len() > RING {
            return Ok(());
        }
        let expected: Vec<_> =
            network.0.expectations.keys().map(|key| (Mode::from_number(key.mode), key.port)).collect();
        if expected != Vec::from_iter(lines.expected) {
            let [client, server] = said.map(|said| said.escape_ascii().to_string());
            let should = lines.expected;
            return Err(format!("client \"{client}\"\nserver \"{server}\"\nexpected {expected:?}, and not {should:?}"));
        }
        if let Some(1 | 2) = mark {
            speaker = usize::from(mark == Some(2));
        }
    }
    Ok(())
}

/// Reads the lines that have ended since the last time.
fn read(setting: &Setting, lines: &mut Lines, said: &[Vec<u8>; 2], ended: &mut [usize; 2], speaker: usize) {
    if speaker == 0 {
        let all = reference::lines(&said[0]);
        let bare = reference::bare_line_feeds(&said[0]);
        for (line, bare) in all.iter().zip(bare).skip(ended[0]) {
            let command = reference::command(line);
            if command.0 != Verb::Nothing {
                lines.bare &= !lines.waiting.is_empty();
                let certain = command.0 != Verb::Port || !lines.bare;
                lines.waiting.push_back((command, certain.then_some(lines.finals)));
                lines.bare |= bare;
                lines.latest = lines.finals;
            }
        }
        ended[0] = all.len();
    } else {
        // The greeting ended in CRLF.
        let all = reference::reply_lines(&[b"\r\n", &*said[1]].concat());
        let replies = reference::replies(&all);
        for reply in &replies[ended[1]..] {
            lines.reply(setting, reply);
        }
        ended[1] = replies.len();
    }
}

/// One session from its handshake on, its client at ingress, and it has been greeted.
fn setting() -> Setting {
    let setting = Setting::of(Script::from_bytes(&[]).head);
    assert!(setting.setup.side == Side::ServersBehind && setting.sessions.len() == 1);
    assert!(setting.sessions[0].1 == Beginning::Handshake);
    setting
}
