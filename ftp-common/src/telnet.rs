//! Telnet bytes in a control stream (RFC 854; RFC 959 §4.1.3 sends them before ABOR).

const IAC: u8 = 255;
const WILL: u8 = 251;
const DONT: u8 = 254;

const TEXT: u8 = 0;
const COMMAND: u8 = 1;
const OPTION: u8 = 2;

/// Removes Telnet commands from a stream, a byte at a time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Telnet {
    state: u8,
}

impl Telnet {
    /// Whether no Telnet command is under way.
    #[inline(always)]
    pub(crate) const fn is_between(self) -> bool {
        self.state == TEXT
    }

    /// Whether `byte` belongs to the text.
    ///
    /// A line end always does, even where an option byte should stand: a peer that doesn't speak
    /// Telnet takes it as a line end, and both must see the same lines.
    #[inline(always)]
    pub fn is_text(&mut self, byte: u8) -> bool {
        let state = self.state;
        self.state = TEXT;
        if state == TEXT {
            if byte == IAC {
                self.state = COMMAND;
                return false;
            }
            return true;
        }
        if byte == b'\n' || byte == b'\r' {
            return true;
        }
        if state == COMMAND {
            if byte == IAC {
                return true; // a doubled IAC is the byte itself
            }
            if matches!(byte, WILL..=DONT) {
                self.state = OPTION;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn text(bytes: &[u8]) -> Vec<u8> {
        let mut telnet = Telnet::default();
        bytes.iter().copied().filter(|b| telnet.is_text(*b)).collect()
    }

    #[test]
    fn commands_and_options_leave_and_text_stays() {
        assert_eq!(text(b"\xff\xf4\xff\xf2ABOR\r\n"), b"ABOR\r\n");
        assert_eq!(text(b"\xff\xfe\x01220 hello"), b"220 hello");
        assert_eq!(text(b"a\xff\xffb"), b"a\xffb");
    }

    #[test]
    fn an_option_byte_never_swallows_a_line_end() {
        assert_eq!(text(b"NOOP\xff\xfb\r\nPASV\r\n"), b"NOOP\r\nPASV\r\n");
        assert_eq!(text(b"NOOP\xff\nPASV\n"), b"NOOP\nPASV\n");
    }
}
