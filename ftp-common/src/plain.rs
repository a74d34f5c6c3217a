//! Plain bytes, neither of a line end nor Telnet: where the rest of a line changes nothing they are skipped, a
//! 64-bit word at a time.

const LINE_FEED: u8 = b'\n';
const CARRIAGE_RETURN: u8 = b'\r';
const IAC: u8 = 255;

const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Whether a byte is plain.
#[inline(always)]
#[must_use]
pub const fn is_plain(byte: u8) -> bool {
    byte != LINE_FEED && byte != CARRIAGE_RETURN && byte != IAC
}

/// Whether eight bytes, in whatever order, are.
#[inline(always)]
#[must_use]
pub const fn are_plain(word: u64) -> bool {
    !has_zero(word ^ repeated(LINE_FEED)) && !has_zero(word ^ repeated(CARRIAGE_RETURN)) && !has_zero(!word)
}

/// Whether any byte of a word is zero: only from such a one can the subtraction borrow into a high bit
/// that was clear.
#[inline(always)]
const fn has_zero(word: u64) -> bool {
    word.wrapping_sub(repeated(1)) & !word & repeated(0x80) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_plain_as_its_bytes_are() {
        for other in [0, 1, b'\t', 0x0b, 0x0c, 0x0e, b'a', 0x7f, 0x80, 0x8a, 0xf5, 0xfe] {
            for byte in 0..=255u8 {
                for place in 0..8 {
                    let mut bytes = [other; 8];
                    bytes[place] = byte;
                    assert_eq!(are_plain(u64::from_ne_bytes(bytes)), is_plain(byte), "{bytes:?}");
                }
            }
        }
    }
}
