//! The address and port that a client names: the argument of PORT (RFC 959 §4.1.2) and of EPRT
//! (RFC 2428 §2), read a byte at a time.

use core::hint::black_box;

use crate::address::Address;

/// What a finished argument names.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HostPort {
    /// The address, IPv4 mapped.
    pub address: Address,
    /// The port, host byte order; may be any number, 0 too.
    pub port: u16,
}

const DELIMITER: u8 = 0;
const FAMILY: u8 = 1;
const HOST_V4: u8 = 2;
const HOST_V6: u8 = 3;
const PORT: u8 = 4;
const DONE: u8 = 5;
const MALFORMED: u8 = 6;

const NO_GAP: u8 = 0xff;

/// Parser state of one argument. All zero is the beginning of an EPRT.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Argument {
    /// Address bytes in network order as they come, IPv4 at the front.
    bytes: [u8; 16],
    /// The number being read, as decimal; saturates at `u16::MAX` above 65,535.
    decimal: u32,
    /// The same digits as hexadecimal.
    hex: u32,
    /// Digits of the number being read.
    digits: u8,
    /// Whether one of them is a letter.
    letters: u8,
    /// Bytes of the address that are complete.
    filled: u8,
    /// Where `::` stood, in bytes, or `NO_GAP`.
    gap: u8,
    /// The last byte was a colon.
    colon: u8,
    /// An IPv6 address has begun its dotted tail.
    dotted: u8,
    state: u8,
    delimiter: u8,
}

impl Argument {
    /// Begins the argument of an EPRT.
    #[inline(always)]
    pub fn begin(&mut self) {
        *self = Self { gap: NO_GAP, ..Self::default() };
    }

    #[inline(always)]
    fn digit(&mut self, byte: u8) -> bool {
        if byte.is_ascii_digit() {
            let value = u32::from(byte - b'0');
            self.decimal = self.decimal.wrapping_mul(10).wrapping_add(value);
            self.hex = self.hex << 4 | value;
        } else {
            return false;
        }
        self.digits = self.digits.wrapping_add(1);
        // Five digits are the most that any number here has: one more can't become right again.
        if self.digits > 5 {
            self.state = MALFORMED;
        }
        true
    }

    #[inline(always)]
    fn number_done(&mut self) {
        self.decimal = 0;
        self.hex = 0;
        self.digits = 0;
        self.letters = 0;
    }

    #[inline(always)]
    fn store(&mut self, byte: u8) {
        self.bytes[usize::from(self.filled & 15)] = byte;
        self.filled = self.filled.wrapping_add(1);
    }

    /// Ends a dotted or comma-separated octet. Three digits at most, 255 at most (zero-padded is
    /// decimal, as servers take it).
    #[inline(always)]
    fn octet_done(&mut self) -> bool {
        let good = self.digits >= 1 && self.digits <= 3 && self.letters == 0 && self.decimal <= 255;
        if good {
            let octet = (self.decimal & 0xff) as u8;
            self.store(octet);
        }
        self.number_done();
        good
    }

    /// One byte of a PORT's argument: six numbers, commas between them, nothing else.
    #[inline(always)]
    pub fn push_port(&mut self, byte: u8) {
        if self.state == MALFORMED || self.digit(byte) {
            return;
        }
        // A comma after the sixth number would be a seventh.
        if byte == b',' && self.filled < 5 && self.octet_done() {
            return;
        }
        self.state = MALFORMED;
    }

    /// Ends the argument of a PORT: true if it is six numbers, which `named` becomes.
    #[inline(always)]
    pub fn end_port(&mut self, named: &mut HostPort) -> bool {
        if self.state == MALFORMED || self.filled != 5 || !self.octet_done() {
            return false;
        }
        let b = self.bytes;
        named.address = Address::from_v4_word(u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
        named.port = u16::from_be_bytes([b[4], b[5]]);
        true
    }

    /// One byte of an EPRT's argument.
    #[inline(always)]
    pub fn push_eprt(&mut self, byte: u8) {
        match self.state {
            DELIMITER => {
                self.delimiter = byte;
                self.state = if matches!(byte, 33..=126) { FAMILY } else { MALFORMED };
            }
            FAMILY => {
                if byte == self.delimiter {
                    self.state = match (self.digits, self.decimal) {
                        (1, 1) => HOST_V4,
                        (1, 2) => HOST_V6,
                        _ => MALFORMED,
                    };
                    self.number_done();
                } else if !self.digit(byte) {
                    self.state = MALFORMED;
                }
            }
            HOST_V4 => self.push_v4(byte),
            HOST_V6 => self.push_v6(byte),
            PORT => {
                if byte == self.delimiter {
                    let good = self.digits >= 1 && self.decimal <= 65535;
                    self.state = if good { DONE } else { MALFORMED };
                } else if !self.digit(byte) {
                    self.state = MALFORMED;
                }
            }
            _ => self.state = MALFORMED,
        }
    }

    #[inline(always)]
    fn push_v4(&mut self, byte: u8) {
        if byte == self.delimiter {
            let good = self.filled == 3 && self.octet_done();
            self.state = if good { PORT } else { MALFORMED };
        } else if !self.digit(byte) {
            let good = byte == b'.' && self.filled < 3 && self.octet_done();
            if !good {
                self.state = MALFORMED;
            }
        }
    }

    /// One byte of an IPv6 address in any spelling of RFC 4291 §2.2; a zone is refused.
    #[inline(always)]
    fn push_v6(&mut self, byte: u8) {
        if byte == self.delimiter {
            let good = self.v6_done();
            self.number_done();
            self.state = if good { PORT } else { MALFORMED };
            return;
        }
        if self.colon == 1 && self.filled == 0 && byte != b':' {
            self.state = MALFORMED; // a single colon at the front
            return;
        }
        let letter = byte | 0x20;
        if self.digit(byte) {
            self.colon = 0;
        } else if matches!(letter, b'a'..=b'f') {
            self.hex = self.hex << 4 | u32::from(letter - b'a' + 10);
            self.digits = self.digits.wrapping_add(1);
            self.letters = 1;
            self.colon = 0;
        } else if byte == b':' && self.dotted == 0 {
            self.push_colon();
        } else if byte == b'.' && self.filled < 15 {
            // The first dot needs the room of four octets; later ones follow an octet.
            let room = self.dotted != 0 || self.filled <= 12;
            self.dotted = self.dotted.wrapping_add(1);
            if !room || self.dotted > 3 || !self.octet_done() {
                self.state = MALFORMED;
            }
        } else {
            self.state = MALFORMED;
        }
        if self.digits > 4 {
            self.state = MALFORMED;
        }
    }

    #[inline(always)]
    fn push_colon(&mut self) {
        if self.digits != 0 {
            if self.filled > 12 {
                self.state = MALFORMED; // a ninth group would follow
            }
            self.store_group();
            self.colon = 1;
        } else if self.colon != 0 && self.gap == NO_GAP {
            self.gap = self.filled; // the second of two colons
            self.colon = 2;
        } else if self.colon == 0 && self.filled == 0 {
            self.colon = 1; // the first of two that begin the address
        } else {
            self.state = MALFORMED;
        }
    }

    #[inline(always)]
    fn store_group(&mut self) {
        let [high, low] = ((self.hex & 0xffff) as u16).to_be_bytes();
        self.store(high);
        self.store(low);
        self.number_done();
    }

    /// Ends an IPv6 address and spreads it over all sixteen bytes.
    #[inline(always)]
    fn v6_done(&mut self) -> bool {
        if self.dotted != 0 {
            if self.dotted != 3 || self.filled > 15 || !self.octet_done() {
                return false;
            }
        } else if self.digits != 0 {
            if self.filled > 14 {
                return false;
            }
            self.store_group();
        } else if self.colon != 2 {
            return false; // nothing at all, or a single colon at the end
        }
        if self.gap == NO_GAP {
            return self.filled == 16;
        }
        if self.filled >= 16 || self.gap > self.filled {
            return false; // `::` stands for at least one group
        }
        self.spread();
        true
    }

    /// Moves what followed `::` to the end, last byte first. `gap <= filled < 16`.
    ///
    /// The verifier can't follow that bound through the subtractions, and LLVM, which can, would
    /// drop a plain mask: hence the black box.
    #[inline(always)]
    fn spread(&mut self) {
        let mut from = self.filled;
        let mut to = 16u8;
        while from > self.gap && to > 0 {
            from -= 1;
            to -= 1;
            let (old, new) = (usize::from(black_box(from) & 15), usize::from(black_box(to) & 15));
            self.bytes[new] = self.bytes[old];
            self.bytes[old] = 0;
        }
    }

    /// Ends the argument of an EPRT: true if it is one, which `named` becomes.
    #[inline(always)]
    pub fn end_eprt(&mut self, named: &mut HostPort) -> bool {
        if self.state != DONE {
            return false;
        }
        let b = self.bytes;
        named.address = if self.filled == 4 && self.gap == NO_GAP {
            Address::from_v4_word(u32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
        } else {
            Address::from_bytes(b)
        };
        named.port = (self.decimal & 0xffff) as u16;
        true
    }
}

#[cfg(test)]
#[path = "host_port_tests.rs"]
mod tests;
