//! The server's direction of a control stream: replies (RFC 959 §4.2), a byte at a time.

use crate::announced::{ExtendedPort, SixNumbers};
use crate::plain::words;
use crate::telnet::Telnet;

/// A whole reply, single or multi-line.
///
/// Its fields have no `Option` in them: what lies behind a `None` is a register that no path has set,
/// and the verifier doesn't take a copy of that.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Reply {
    /// The three-digit code, 100 to 699.
    pub code: u16,
    /// It is a 227 with six numbers, or a 229 with a port.
    pub announces: bool,
    /// The port announced, host byte order.
    pub port: u16,
    /// The address that a 227 announces, as it lies in memory (network byte order).
    pub address: u32,
}

/// The greeting's first line says how this server ends its lines. Where it is CRLF (RFC 959 §4.2), a bare LF is text:
/// some servers echo what the client sent, LF too.
const UNKNOWN: u8 = 0;
const CRLF: u8 = 1;
const LF: u8 = 2;

const SKIP: u8 = 0xff;
/// States 0, 1, 2: that many digits of the code were read.
const CODE: u8 = 3;
const TEXT: u8 = 4;
const NO_CODE: u8 = 5;
/// A code, and a carriage return behind it, perhaps with Telnet bytes in between: only the line's end makes it a reply.
const CODE_AND_RETURN: u8 = 6;
/// The first byte of a TLS record that carries a handshake (RFC 8446 §5.1). No text has it.
const TLS_HANDSHAKE: u8 = 0x16;

/// Parser state between two bytes of a server's stream. All zero is the beginning of a line.
///
/// Between `NNN-` and `NNN ` every line is an inner one, whatever it contains (RFC 959 §4.2).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ReplyParser {
    /// The code at the line's start, as far as it was read.
    code: u16,
    /// The code of the multi-line reply that is under way, or 0.
    multi_line: u16,
    state: u8,
    /// The byte behind the code was a hyphen.
    hyphen: u8,
    telnet: Telnet,
    /// The first line of this multi-line reply announced something.
    first_announces: u8,
    /// That port, and address.
    first_port: u16,
    /// The current line began like a TLS record.
    tls: u8,
    /// How this server ends its lines: one of [`UNKNOWN`], [`CRLF`], [`LF`]. It stays.
    line_ends: u8,
    /// The last byte was a carriage return.
    carriage_return: u8,
    zero: [u8; 3],
    first_address: u32,
    six_numbers: SixNumbers,
    extended: ExtendedPort,
}

impl ReplyParser {
    /// A parser somewhere in a line: it resumes at the next line end. Without a greeting, lines end in CRLF.
    #[inline(always)]
    pub fn skip_to_line_end(&mut self) {
        let line_ends = if self.line_ends == UNKNOWN { CRLF } else { self.line_ends };
        *self = Self { state: SKIP, line_ends, ..Self::default() };
    }

    /// The greeting was not seen: lines end in CRLF.
    #[inline(always)]
    pub const fn assume_crlf(&mut self) {
        self.line_ends = CRLF;
    }

    /// Whether the next byte is the first of a reply.
    #[inline(always)]
    #[must_use]
    pub const fn at_reply_start(&self) -> bool {
        self.state == 0 && self.multi_line == 0
    }

    /// Whether the rest of the line changes nothing: plain bytes of it ([`crate::plain`]) need not be
    /// pushed.
    #[inline(always)]
    #[must_use]
    pub const fn skips(&self) -> bool {
        let searches = match self.code {
            227 => !self.six_numbers.is_found(),
            229 => !self.extended.is_found(),
            _ => false,
        };
        (self.state == SKIP || self.state == NO_CODE || self.state == TEXT && !searches)
            && self.carriage_return == 0
            && self.telnet.is_between()
    }

    /// Whether the current line began like a TLS record.
    #[inline(always)]
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls != 0
    }

    /// Takes several bytes at a time, as [`Self::push`] would one by one: a line's code with the blank or hyphen behind it,
    /// or letters and blanks in which neither address nor port stands. `head`: the next eight bytes, the first in the
    /// lowest byte; `known`: how many of them there are. How many it took; none where they are anything else.
    #[inline(always)]
    pub fn push_several(&mut self, head: u64, known: u32) -> u32 {
        if !self.telnet.is_between() {
            0
        } else if self.state == TEXT {
            self.push_words(head, known)
        } else if self.state == 0 && known >= 4 {
            self.push_code(head as u32)
        } else {
            0
        }
    }

    #[inline(always)]
    fn push_code(&mut self, head: u32) -> u32 {
        let [first, second, third, behind] = head.to_le_bytes();
        let code = matches!(first, b'1'..=b'6') && second.is_ascii_digit() && third.is_ascii_digit();
        if !code || !matches!(behind, b' ' | b'-') {
            return 0;
        }
        let digit = |byte: u8| u16::from(byte - b'0');
        self.code = digit(first) * 100 + digit(second) * 10 + digit(third);
        self.hyphen = u8::from(behind == b'-');
        self.state = TEXT;
        4
    }

    #[inline(always)]
    fn push_words(&mut self, head: u64, known: u32) -> u32 {
        let words = words(head);
        let count = if words < known { words } else { known };
        let searches = match self.code {
            227 => self.six_numbers.is_between(),
            229 => self.extended.is_between(),
            _ => false, // all can be skipped
        };
        if count == 0 || self.carriage_return != 0 || !searches {
            return 0;
        }
        if self.code == 227 {
            // The others leave no trace.
            self.six_numbers.push((head >> (8 * (count - 1))) as u8);
        }
        count
    }

    /// Takes the carriage return and line feed behind bytes that could be skipped ([`Self::skips`]), as [`Self::push`]
    /// would one by one; a line has ended.
    #[inline(always)]
    pub const fn push_crlf(&mut self) {
        if self.line_ends == UNKNOWN {
            self.line_ends = CRLF;
        }
    }

    /// Whether the line that has just ended changes nothing but this parser: it ends no reply, and no TLS record begins.
    #[inline(always)]
    #[must_use]
    pub const fn is_inner(&self) -> bool {
        self.tls != 1 && !self.ends_reply()
    }

    /// Takes one byte; true when it ended a line or began a TLS record, and [`Self::end_line`] must then
    /// be asked.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) -> bool {
        if !self.telnet.is_text(byte) {
            self.carriage_return = 0; // who doesn't speak Telnet sees a byte between CR and LF
            return false;
        }
        let after_return = self.carriage_return != 0;
        self.carriage_return = u8::from(byte == b'\r');
        if byte == b'\n' {
            if self.line_ends == UNKNOWN {
                self.line_ends = if after_return { CRLF } else { LF };
            }
            if after_return || self.line_ends == LF {
                return true;
            }
        }
        if self.state == TEXT {
            if self.code == 227 {
                self.six_numbers.push(byte);
            } else if self.code == 229 {
                self.extended.push(byte);
            }
        } else if self.state == 0 && byte == TLS_HANDSHAKE {
            self.state = NO_CODE;
            self.tls = 1;
            return true;
        } else if self.state < CODE {
            self.code_digit(byte);
        } else if self.state == CODE || self.state == CODE_AND_RETURN {
            // A blank or a hyphen, or at once the line's end, with as many CR as there are.
            self.behind_code(byte);
        }
        false
    }

    #[inline(always)]
    const fn behind_code(&mut self, byte: u8) {
        let at_once = self.state == CODE;
        self.hyphen = (byte == b'-' && at_once) as u8;
        self.state = match byte {
            b'\r' => CODE_AND_RETURN,
            b'-' | b' ' if at_once => TEXT,
            _ => NO_CODE,
        };
    }

    #[inline(always)]
    fn code_digit(&mut self, byte: u8) {
        let first_is_off = self.state == 0 && !matches!(byte, b'1'..=b'6');
        if !byte.is_ascii_digit() || first_is_off {
            self.state = NO_CODE;
            return;
        }
        self.code = self.code.wrapping_mul(10).wrapping_add(u16::from(byte - b'0'));
        self.state += 1;
    }

    /// Whether the current line, when it ends, ends a reply.
    #[inline(always)]
    const fn ends_reply(&self) -> bool {
        let coded = self.state == TEXT || self.state == CODE || self.state == CODE_AND_RETURN;
        coded && self.hyphen == 0 && (self.multi_line == 0 || self.multi_line == self.code)
    }

    /// The code of the reply that ends with the current line, for a live view; else 0.
    #[inline(always)]
    #[must_use]
    pub const fn viewed_code(&self) -> u32 {
        if self.ends_reply() { self.code as u32 } else { 0 }
    }

    /// The reply that ends with the line that has just ended, if one does: then true.
    #[inline(always)]
    pub fn end_line(&mut self, reply: &mut Reply) -> bool {
        if self.tls == 1 {
            self.tls = 2; // asked once: the line goes on
            return false;
        }
        let code = self.code;
        *reply = Reply { code, ..Reply::default() };
        if self.six_numbers.end() {
            reply.announces = true;
            reply.address = self.six_numbers.address();
            reply.port = self.six_numbers.port();
        } else if self.extended.is_found() {
            reply.announces = true;
            reply.port = self.extended.port();
        }
        let ends = self.ends_reply();
        if ends {
            // The last line's numbers count, else the first's.
            if self.multi_line != 0 && !reply.announces && self.first_announces != 0 {
                reply.announces = true;
                reply.address = self.first_address;
                reply.port = self.first_port;
            }
            self.multi_line = 0;
        } else if self.hyphen != 0 && self.multi_line == 0 {
            self.multi_line = code;
            self.first_announces = u8::from(reply.announces);
            self.first_address = reply.address;
            self.first_port = reply.port;
        }
        self.begin_line();
        ends
    }

    #[inline(always)]
    fn begin_line(&mut self) {
        self.code = 0;
        self.state = 0;
        self.tls = 0;
        self.hyphen = 0;
        self.carriage_return = 0;
        self.telnet = Telnet::default();
        self.six_numbers = SixNumbers::default();
        self.extended = ExtendedPort::default();
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
