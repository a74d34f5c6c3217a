//! The client's direction of a control stream: command lines (RFC 959 §4.1, §5.3), a byte at a time.

use crate::host_port::{Argument, HostPort};
use crate::plain::letters;
use crate::telnet::Telnet;

/// Lines longer than this are skipped to their end; servers cut or refuse them at about as much.
pub const LONGEST_LINE: u16 = 4096;

/// What a command line asks for, as far as data connections depend on it. Its variants carry nothing:
/// what the others would leave unset is a register that no path has set, and the verifier doesn't take
/// a copy of that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// No command: an empty line, or one whose beginning was not seen.
    Nothing,
    /// Any command that data connections don't depend on, known or not: it takes one reply.
    Other,
    /// PASV, or `P@SW` (a misspelling from old firewalls that servers take).
    Pasv,
    /// EPSV, whatever its argument.
    Epsv,
    /// PORT or EPRT.
    Port,
    /// PORT or EPRT with a malformed argument.
    MalformedPort,
    /// RETR, STOR, STOU, APPE, LIST, NLST, MLSD: each uses a data connection.
    Transfer,
    /// REIN: the session begins anew (RFC 959 §4.1.1).
    Rein,
    /// ABOR: some servers answer it and the transfer that it ends with one reply (pure-ftpd).
    Abor,
    /// A line that begins with a space or tab: some servers don't answer it (pure-ftpd).
    Blank,
    /// A line longer than [`LONGEST_LINE`]: some servers don't answer it (proftpd).
    TooLong,
}

const SKIP: u8 = 0xff;
const IN_VERB: u8 = 0;
const IN_PORT: u8 = 1;
const IN_EPRT: u8 = 2;
const IN_OTHER: u8 = 3;
const IN_USER: u8 = 4;

/// Without the bit by which small letters differ from capital ones, in four letters.
const UPPER_CASE: u32 = 0xdfdf_dfdf;

/// Telnet bytes came behind the carriage return: who doesn't speak Telnet sees no CRLF.
const PARTED: u8 = 2;

const fn verb(text: [u8; 4]) -> u32 {
    u32::from_be_bytes(text)
}

const PASV: u32 = verb(*b"PASV");
const P_AT_SW: u32 = verb(*b"P@SW");
const EPSV: u32 = verb(*b"EPSV");
const PORT: u32 = verb(*b"PORT");
const EPRT: u32 = verb(*b"EPRT");
const RETR: u32 = verb(*b"RETR");
const STOR: u32 = verb(*b"STOR");
const STOU: u32 = verb(*b"STOU");
const APPE: u32 = verb(*b"APPE");
const LIST: u32 = verb(*b"LIST");
const NLST: u32 = verb(*b"NLST");
const MLSD: u32 = verb(*b"MLSD");
const REIN: u32 = verb(*b"REIN");
const ABOR: u32 = verb(*b"ABOR");
const USER: u32 = verb(*b"USER");

/// Bytes of a user name that are kept.
pub const USER_NAME: usize = 32;

/// Parser state between two bytes of a client's stream. All zero is the beginning of a line.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CommandParser {
    /// The verb's first four letters, upper case, the first in the highest byte.
    verb: u32,
    /// Bytes of the line so far, saturating.
    length: u16,
    /// Letters of the verb, saturating.
    verb_length: u8,
    state: u8,
    telnet: Telnet,
    /// The last byte of the text was a carriage return: 1, or [`PARTED`].
    carriage_return: u8,
    /// The line begins with a space or tab.
    blank: u8,
    /// Bytes of `user` that count.
    user_length: u8,
    argument: Argument,
    /// The argument of the last USER, cut to its first bytes. It stays when its line ends.
    user: [u8; USER_NAME],
}

impl CommandParser {
    /// A parser somewhere in a line: it resumes at the next line end.
    #[inline(always)]
    pub fn skip_to_line_end(&mut self) {
        self.begin_line();
        self.state = SKIP;
    }

    /// Whether the next byte is the first of a line.
    #[inline(always)]
    #[must_use]
    pub const fn at_line_start(&self) -> bool {
        self.state == IN_VERB && self.length == 0
    }

    /// Whether the bytes of the line so far are those of a PORT or EPRT, as far as they are known.
    #[inline(always)]
    #[must_use]
    pub const fn in_argument(&self) -> bool {
        matches!(self.state, IN_PORT | IN_EPRT)
    }

    /// Whether the rest of the line changes nothing: [`Self::skip`] may take it.
    #[inline(always)]
    #[must_use]
    pub const fn skips(&self) -> bool {
        (self.state == SKIP || self.state == IN_OTHER) && self.telnet.is_between()
    }

    /// Takes `count` plain bytes ([`crate::plain`]) at a time, as [`Self::push`] would one by one.
    #[inline(always)]
    pub const fn skip(&mut self, count: u16) {
        if self.state != SKIP && count != 0 {
            self.length = self.length.saturating_add(count);
            self.carriage_return = 0;
        }
    }

    /// Takes the carriage return and line feed behind what could be skipped ([`Self::skips`]), as [`Self::push`] would
    /// one by one: the line has ended.
    #[inline(always)]
    pub const fn push_crlf(&mut self) {
        if self.state != SKIP {
            self.length = self.length.saturating_add(1);
            self.carriage_return = 1;
        }
    }

    /// Takes a line's first bytes at a time, as [`Self::push`] would one by one: a verb of four letters and the blank or
    /// carriage return behind it. `head`: the next five bytes, the first in the lowest byte. How many it took: 5, or
    /// none where they are anything else.
    #[inline(always)]
    pub fn push_head(&mut self, head: u64) -> u32 {
        let (verb, behind) = (head as u32, (head >> 32) as u8);
        if !self.at_line_start() || !self.telnet.is_between() || letters(head) as u32 != 0x8080_8080 {
            return 0;
        }
        if behind != b' ' && behind != b'\r' {
            return 0;
        }
        self.verb = (verb & UPPER_CASE).swap_bytes();
        self.verb_length = 4;
        self.length = 5;
        if behind == b' ' {
            self.verb_done();
        } else {
            self.carriage_return = 1;
        }
        5
    }

    /// Takes one byte; true when it ended a line, which [`Self::end_line`] must then be asked for.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> bool {
        if !self.telnet.is_text(byte) {
            if self.carriage_return != 0 {
                self.carriage_return = PARTED;
            }
            return false;
        }
        if byte == b'\n' {
            return true;
        }
        if self.state == SKIP {
            return false;
        }
        self.length = self.length.saturating_add(1);
        // A carriage return belongs to the line end; elsewhere it is a byte like any other.
        if self.carriage_return != 0 {
            self.carriage_return = 0;
            self.text(b'\r');
        }
        if byte == b'\r' {
            self.carriage_return = 1;
        } else {
            self.text(byte);
        }
        false
    }

    #[inline(always)]
    fn text(&mut self, byte: u8) {
        match self.state {
            IN_VERB => {
                if self.verb_length == 0 && matches!(byte, b' ' | b'\t') {
                    self.blank = 1;
                }
                if byte == b' ' {
                    self.verb_done();
                } else {
                    self.verb = self.verb << 8 | u32::from(byte.to_ascii_uppercase());
                    self.verb_length = self.verb_length.saturating_add(1);
                }
            }
            IN_PORT => self.argument.push_port(byte),
            IN_EPRT => self.argument.push_eprt(byte),
            IN_USER => self.push_user(byte),
            _ => {}
        }
    }

    #[inline(always)]
    fn verb_done(&mut self) {
        self.state = match (self.verb_length, self.verb) {
            (4, PORT) => IN_PORT,
            (4, EPRT) => IN_EPRT,
            (4, USER) => IN_USER,
            _ => IN_OTHER,
        };
        self.argument.begin();
        if self.state == IN_USER {
            self.user_length = 0;
        }
    }

    #[inline(always)]
    fn push_user(&mut self, byte: u8) {
        if usize::from(self.user_length) < USER_NAME {
            self.user[usize::from(self.user_length) % USER_NAME] = byte;
            self.user_length += 1;
        }
    }

    /// The argument of the last USER (RFC 959 §4.1.1), as it came, cut to [`USER_NAME`] bytes.
    #[must_use]
    pub fn user(&self) -> &[u8] {
        self.user.get(..usize::from(self.user_length)).unwrap_or_default()
    }

    /// The verb of the current line, for a live view: its letters, upper case, the first in the highest
    /// byte; 0 if the line doesn't begin with a word of one to four letters. Nothing else of a line is
    /// shown to anybody: it may be a password.
    #[inline(always)]
    #[must_use]
    pub const fn viewed_verb(&self) -> u32 {
        let is_word = self.state != SKIP && self.blank == 0 && self.verb_length != 0 && self.verb_length <= 4;
        if is_word { self.verb } else { 0 }
    }

    /// Whether the line that has just ended has no CR right before its LF.
    #[inline(always)]
    #[must_use]
    pub const fn ends_in_bare_line_feed(&self) -> bool {
        self.state != SKIP && self.carriage_return != 1
    }

    /// The line that has just ended. `named` becomes what a [`Verb::Port`] names.
    #[inline(always)]
    pub fn end_line(&mut self, named: &mut HostPort) -> Verb {
        let verb = self.classify(named);
        self.begin_line();
        verb
    }

    /// All of a line's state; the user name belongs to the session.
    #[inline(always)]
    fn begin_line(&mut self) {
        let Self { user, user_length, .. } = *self;
        *self = Self { user, user_length, ..Self::default() };
    }

    #[inline(always)]
    fn classify(&mut self, named: &mut HostPort) -> Verb {
        if self.state == SKIP || self.length == u16::from(self.carriage_return != 0) {
            return Verb::Nothing;
        }
        if self.length > LONGEST_LINE {
            return Verb::TooLong;
        }
        if self.blank != 0 {
            return Verb::Blank;
        }
        if self.verb_length != 4 {
            return Verb::Other;
        }
        match self.verb {
            PASV | P_AT_SW => Verb::Pasv,
            EPSV => Verb::Epsv,
            PORT if self.state == IN_PORT => port(self.argument.end_port(named)),
            EPRT if self.state == IN_EPRT => port(self.argument.end_eprt(named)),
            RETR | STOR | STOU | APPE | LIST | NLST | MLSD => Verb::Transfer,
            REIN => Verb::Rein,
            ABOR => Verb::Abor,
            _ => Verb::Other,
        }
    }
}

#[inline(always)]
const fn port(good: bool) -> Verb {
    if good { Verb::Port } else { Verb::MalformedPort }
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
