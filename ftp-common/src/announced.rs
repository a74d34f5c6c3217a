//! The port that a server announces: six numbers in a 227 (RFC 959, RFC 1123 §4.1.2.6) or
//! `(|||port|)` in a 229 (RFC 2428 §3), found in a line's text a byte at a time.

/// State of the search for six numbers "wherever they stand". All zero is the beginning.
///
/// The first run of six octets with commas between them counts. A run is spoilt by a number over
/// 255 or of four digits, a seventh number, or a letter, sign or dot right before one of its
/// numbers: a client would read something else there than we do.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SixNumbers {
    octets: [u8; 8],
    number: u16,
    /// Digits of the number being read; 0 outside of one.
    digits: u8,
    /// Numbers of this run that are complete.
    count: u8,
    /// The run can't become right any more.
    spoilt: u8,
    /// The last byte, as far as it matters: [`COMMA`], [`GLUE`] or 0.
    last: u8,
    found: u8,
    zero: u8,
}

const COMMA: u8 = 1;
const GLUE: u8 = 2;

impl SixNumbers {
    /// Takes one byte of the line's text, behind the reply code.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        if self.found != 0 {
            return;
        }
        if byte.is_ascii_digit() {
            self.digit(u16::from(byte - b'0'));
        } else if byte == b',' {
            self.comma();
        } else {
            self.other(byte);
        }
    }

    #[inline(always)]
    fn digit(&mut self, value: u16) {
        if self.digits == 0 {
            if self.last != COMMA {
                self.count = 0;
                self.spoilt = u8::from(self.last == GLUE);
            }
            self.number = 0;
        }
        if self.digits >= 3 {
            self.spoilt = 1;
        } else {
            self.digits += 1;
            self.number = self.number * 10 + value;
        }
        if self.number > 255 {
            self.spoilt = 1;
        }
        self.last = 0;
    }

    #[inline(always)]
    fn comma(&mut self) {
        if self.digits == 0 || self.count >= 5 {
            self.spoilt = 1;
        } else {
            self.octets[usize::from(self.count & 7)] = (self.number & 0xff) as u8;
            self.count += 1;
        }
        self.digits = 0;
        self.last = COMMA;
    }

    #[inline(always)]
    fn other(&mut self, byte: u8) {
        let glue = byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'+' || byte == b'.';
        if self.digits != 0 && self.count == 5 && self.spoilt == 0 && !byte.is_ascii_alphabetic() {
            self.octets[5] = (self.number & 0xff) as u8;
            self.found = 1;
        }
        self.digits = 0;
        self.count = 0;
        self.spoilt = 0;
        self.last = if glue { GLUE } else { 0 };
    }

    /// Whether no number is under way, and none was found.
    #[inline(always)]
    pub(crate) const fn is_between(&self) -> bool {
        self.digits == 0 && self.found == 0
    }

    /// Whether six numbers were found.
    #[inline(always)]
    pub(crate) const fn is_found(&self) -> bool {
        self.found != 0
    }

    /// Ends the line; whether six numbers were found.
    #[inline(always)]
    pub fn end(&mut self) -> bool {
        self.push(b'\n');
        self.found != 0
    }

    /// The address, as it lies in memory (network byte order), once found.
    #[inline(always)]
    #[must_use]
    pub const fn address(&self) -> u32 {
        let o = self.octets;
        u32::from_ne_bytes([o[0], o[1], o[2], o[3]])
    }

    /// The port, host byte order, once found.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self) -> u16 {
        u16::from_be_bytes([self.octets[4], self.octets[5]])
    }
}

/// State of the search for `(<d><d><d>port<d>)`. All zero is the beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ExtendedPort {
    number: u32,
    delimiter: u8,
    digits: u8,
    state: u8,
    zero: u8,
}

const SEEK: u8 = 0;
const FIRST: u8 = 1;
const SECOND: u8 = 2;
const THIRD: u8 = 3;
const NUMBER: u8 = 4;
const CLOSE: u8 = 5;
const FOUND: u8 = 6;

impl ExtendedPort {
    /// Takes one byte of the line's text, behind the reply code.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        let again = if byte == b'(' { FIRST } else { SEEK };
        let same = byte == self.delimiter;
        self.state = match self.state {
            FIRST if matches!(byte, 33..=126) => {
                self.delimiter = byte;
                self.number = 0;
                self.digits = 0;
                SECOND
            }
            SECOND if same => THIRD,
            THIRD if same => NUMBER,
            NUMBER if same && self.digits != 0 && self.number <= 65535 => CLOSE,
            NUMBER if byte.is_ascii_digit() && self.digits < 5 => {
                self.number = self.number * 10 + u32::from(byte - b'0');
                self.digits += 1;
                NUMBER
            }
            CLOSE if byte == b')' => FOUND,
            FOUND => FOUND,
            _ => again,
        };
    }

    /// Whether nothing of it has been seen.
    #[inline(always)]
    pub(crate) const fn is_between(&self) -> bool {
        self.state == SEEK
    }

    /// Whether a port was found by the end of the line.
    #[inline(always)]
    #[must_use]
    pub const fn is_found(&self) -> bool {
        self.state == FOUND
    }

    /// The port, host byte order, once found.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self) -> u16 {
        (self.number & 0xffff) as u16
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    fn six(text: &str) -> Option<(u32, u16)> {
        let mut state = SixNumbers::default();
        text.bytes().for_each(|b| state.push(b));
        state.end().then(|| (state.address(), state.port()))
    }

    fn extended(text: &str) -> Option<u16> {
        let mut state = ExtendedPort::default();
        text.bytes().for_each(|b| state.push(b));
        state.is_found().then(|| state.port())
    }

    #[test]
    fn six_numbers_wherever_they_stand() {
        let expected = Some((u32::from_ne_bytes([10, 0, 1, 1]), 10241));
        for text in [
            "Entering Passive Mode (10,0,1,1,40,1).",
            "Entering Passive Mode (10,0,1,1,40,1)\r",
            "Entering Passive Mode. 10,0,1,1,40,1",
            "entering passive mode 10,0,1,1,40,1.",
            "=10,0,1,1,40,1",
            "OK 4 you (10,0,1,1,40,1)",
            "OK (4) 1,2,3 you (10,0,1,1,40,1)",
            "(010,000,001,001,040,001)",
            "v1.2 (10,0,1,1,40,1) 9,9,9,9,9,9",
            "(256,1,1,1,1,1) (10,0,1,1,40,1)",
            "Entering[10,0,1,1,40,1]",
        ] {
            assert_eq!(six(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_else_is_six_numbers() {
        for text in [
            "",
            "(10,0,1,1,40)",
            "(10,0,1,1,40,)",
            "(10,0,1,1,40,256)",
            "(10,0,1,1,300,1)",
            "(10,0,1,1,-40,1)",
            "(-10,0,1,1,40,1)",
            "(10,0,1,1,0x28,1)",
            "(0x10,0,1,1,40,1)",
            "(10,0,1,1,40,0x1)",
            "(10,0,1,1,40,1,1)",
            "(1,10,0,1,1,40,1)",
            "(10,0,1,1,0040,1)",
            "(10,0,1,1, 40,1)",
            "(10,,0,1,1,40,1)",
            "(10,0,1,,40,1)",
            "(,0,1,1,40,1)",
            "10.0.1.1.40.1",
            "(10,0,1,1,40,1a)",
            "+10,0,1,1,40,1",
            "(0,0,1,40,1)",
            "(::1,40,1)",
            "a10,0,1,1,40,1",
            "(fe80,1,2,3,4,5,6a)",
        ] {
            assert_eq!(six(text), None, "{text}");
        }
    }

    #[test]
    fn a_229_names_a_port_between_three_delimiters_and_one() {
        for text in [
            "Entering Extended Passive Mode (|||10241|)",
            "(!!!10241!)",
            "(~~~10241~).",
            "(note) (|||10241|)",
            "(|||10241|) (|||9|)",
            "(|||99999|) (|||10241|)",
        ] {
            assert_eq!(extended(text), Some(10241), "{text}");
        }
        assert_eq!(extended("(|||010|)"), Some(10));
        assert_eq!(extended("(|||0|)"), Some(0));
    }

    #[test]
    fn nothing_else_is_a_229() {
        for text in [
            "",
            "|||10241|",
            "((|||10241|)",
            "(||10241|)",
            "(||||10241|)",
            "(|||10241)",
            "(|||10241|",
            "(|||65536|)",
            "(|||123456|)",
            "(|||010241|)",
            "(|1|10.0.1.1|10241|)",
            "(|||-1|)",
            "(|||0x28|)",
            "(   10241 )",
            "(|||10241| )",
            "(|!|10241|)",
            "(|||1 0|)",
        ] {
            assert_eq!(extended(text), None, "{text}");
        }
    }

    #[test]
    fn every_port_comes_back() {
        for port in [1u16, 22, 1023, 1024, 10240, 20480, 65535] {
            let [high, low] = port.to_be_bytes();
            assert_eq!(six(&format!("(1,2,3,4,{high},{low})")).map(|(_, p)| p), Some(port));
            assert_eq!(extended(&format!("(|||{port}|)")), Some(port));
        }
    }
}
