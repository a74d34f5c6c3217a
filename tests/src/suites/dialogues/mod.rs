//! Dialogues as data: small files with the lines that each side sends and the ports that must be open afterwards.
//!
//! ```text
//! # A 227 inside a reply of several lines says nothing.
//! C: PASV
//! S: 214-Help
//! S: 227 Entering Passive Mode (10,0,0,1,58,152).
//! S: 214 End
//! shut: passive 15000
//! count: refused_unsolicited 0
//! ```
//!
//! | line | what it means |
//! |---|---|
//! | `# …` | a comment; the first is the dialogue's title |
//! | `family: ipv6` | in place of IPv4 |
//! | `options: …` | further options of `ftptrack run` |
//! | `greeting: own` | the file says the greeting itself; else both have got behind a login |
//! | `C: …`, `S: …` | client or server says this in one segment, and the other end reads it |
//! | `C+: …`, `S+: …` | in the same segment as the line above |
//! | `C bytes: …`, `S bytes: …` | one byte a segment |
//! | `C urgent: …` | what stands before the first cut is urgent (RFC 959 §4.1.3) |
//! | `C swapped: …` | the pieces arrive last one first |
//! | `C again: …`, `S again: …` | what was said last comes again, cut like this |
//! | `forge C from third, …: …` | a host forges the next segment of that sender; see below |
//! | `ends: C` | the client closes its side (FIN) |
//! | `silence: 600 ms` | nobody says anything |
//! | `attach` | only now is there a filter: the session is picked up midstream |
//! | `open: passive 15000` | a data connection from the client to that port can begin |
//! | `shut: active 40000` | none from the server's port 20 to that port of the client can |
//! | `… third` | the same between server and a third host |
//! | `count: NAME N` | the counter was raised by exactly that; what is out of the ordinary by 0 where not named |
//!
//! A said line ends in CRLF, unless it ends in `\n` or `\c` (no line end at all). `\/` cuts: what
//! follows is a segment of its own. `\r`, `\t`, `\\`, `\xff` are bytes, `\{4200 A}` is 4,200 of them.
//! A forged segment has the right numbers and comes to the interface of the server's host; options:
//! `seq -1000`, `rst`, `fin`, `bad checksum`.
//!
//! The client is 10.0.0.2 or fd00:f7::2, the server ends in 1, the third host in 3. The server's
//! passive range is 10240-20480.

use ftp_common::counter::Counter;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::hosts::network::Family;

mod forge;
mod format;
mod play;
mod position;
mod reach;
mod run;
pub mod table;
mod text;

pub use play::{Access, Played};
pub use run::{Guard, play_all};

/// One file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Dialogue {
    /// `group/name`.
    pub name: String,
    /// What is tried, in one sentence.
    pub title: String,
    /// The family of all connections.
    pub family: Family,
    /// Further options of `ftptrack run`.
    pub options: Vec<String>,
    /// Both ends have logged in before it begins.
    pub greeted: bool,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// Counters, and by how much they must have been raised.
    pub counts: Vec<(Counter, u64)>,
}

/// One step of a dialogue.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The line of the file that says it, from 1.
    pub line: usize,
    /// What is done.
    pub action: Action,
}

/// What is done in a step. Pieces are segments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Action {
    /// An end sends something.
    Say(Sender, Manner, Vec<Vec<u8>>),
    /// A host forges segments.
    Forge(Forged),
    /// An end sends nothing more.
    End(Sender),
    /// Nobody says anything.
    Silence(Duration),
    /// The filter comes into place.
    Attach,
    /// A data connection is tried.
    Try(Attempt),
}

/// Which end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// How something is sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// Each piece in a segment.
    Plainly,
    /// One byte a segment.
    Bytewise,
    /// The first piece is urgent.
    Urgently,
    /// The pieces come last one first.
    Swapped,
    /// They were sent before.
    Again,
}

/// A host of the network.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// The client's.
    Client,
    /// The server's.
    Server,
    /// A third one.
    Third,
}

/// Forged segments, one a piece; without pieces one that is empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Forged {
    /// Whose segments they seem to be.
    pub sender: Sender,
    /// Who really sends them.
    pub from: Origin,
    /// How far the sequence number is off.
    pub offset: i32,
    /// Bits of [`crate::packets::segment::flag`].
    pub flags: u8,
    /// The TCP checksum is wrong, so the receiver drops it.
    pub bad_checksum: bool,
    /// What they say.
    pub pieces: Vec<Vec<u8>>,
}

/// A data connection that is tried.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Attempt {
    /// From the server's port 20; else from a client.
    pub active: bool,
    /// The port that is connected to.
    pub port: u16,
    /// The third host stands in for the client.
    pub third: bool,
    /// What must come of it.
    pub wanted: Access,
}

/// Where the files are: a directory for each group.
#[must_use]
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dialogues")
}

/// Reads all dialogues below `directory`, by name.
///
/// # Errors
/// All that is wrong with the files, a line each: file, line, what is wrong.
pub fn load(directory: &Path) -> Result<Vec<Dialogue>, String> {
    let mut dialogues = Vec::new();
    let mut errors = Vec::new();
    let listed = |directory: &Path| -> Result<Vec<PathBuf>, String> {
        let unreadable = |error| format!("{}: {error}", directory.display());
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            paths.push(entry.map_err(unreadable)?.path());
        }
        paths.sort();
        Ok(paths)
    };
    for group in listed(directory)? {
        for file in listed(&group)? {
            let name = file.with_extension("");
            let name = name.strip_prefix(directory).expect("it is below").display().to_string();
            let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
            match format::parse(&name, &text) {
                Ok(dialogue) => dialogues.push(dialogue),
                Err(error) => errors.push(error),
            }
        }
    }
    if errors.is_empty() { Ok(dialogues) } else { Err(errors.join("\n")) }
}
