//! Bytes of text, eight at a time: plain ones, neither of a line end nor Telnet, where the rest of a line changes nothing;
//! letters and blanks, where only other bytes do.

const LINE_FEED: u8 = b'\n';
const CARRIAGE_RETURN: u8 = b'\r';

const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The bytes of a word, as it lies in memory, from its `skipped`th on that are no plain ones: a bit of the first is the
/// lowest that is set. 0: all are plain.
#[inline(always)]
#[must_use]
pub const fn others(word: u64, skipped: u32) -> u64 {
    let word = u64::from_le(word) >> (8 * (skipped & 7));
    // Zeros came in above: they are plain.
    zeros(word ^ repeated(LINE_FEED)) | zeros(word ^ repeated(CARRIAGE_RETURN)) | zeros(!word)
}

/// How many zero bytes, the lowest first, are in front of the first other one of a number that is not 0: for [`others`],
/// plain bytes in front of the first that is none.
#[inline(always)]
#[must_use]
pub const fn before_first(mut others: u64) -> u32 {
    let mut bytes = 0;
    if others as u32 == 0 {
        (others, bytes) = (others >> 32, 4);
    }
    if others as u16 == 0 {
        (others, bytes) = (others >> 16, bytes + 2);
    }
    if others as u8 == 0 { bytes + 1 } else { bytes }
}

/// The bytes of a word that are zero, by their highest bits. Above the lowest, others may be set: only from a zero can
/// the subtraction borrow into a bit that was clear.
#[inline(always)]
const fn zeros(word: u64) -> u64 {
    word.wrapping_sub(repeated(1)) & !word & repeated(0x80)
}

/// The bytes of a number that are ASCII letters, by their highest bits.
#[inline(always)]
#[must_use]
pub const fn letters(word: u64) -> u64 {
    // Without the bit by which small letters differ from capital ones, and below 0x80: a sum carries nothing into the
    // next byte, and its highest bit says whether a byte is `A` or more, or above `Z`.
    let upper = word & repeated(0x5f);
    let from_a = upper.wrapping_add(repeated(0x80 - b'A'));
    let above_z = upper.wrapping_add(repeated(0x7f - b'Z'));
    from_a & !above_z & !word & repeated(0x80)
}

/// How many ASCII letters and blanks are in front of the first other byte of a number, the lowest first: 0 to 8.
#[inline(always)]
#[must_use]
pub const fn words(word: u64) -> u32 {
    let other = word ^ repeated(b' ');
    // As the sum carries nothing, no byte above a blank is taken for one.
    let no_blank = (other & repeated(0x7f)).wrapping_add(repeated(0x7f)) | other;
    let others = no_blank & !letters(word) & repeated(0x80);
    if others == 0 { 8 } else { before_first(others) }
}

/// For tests, byte by byte: how many plain bytes are in front of the first that is none.
#[cfg(test)]
pub(crate) fn plain_in_front(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| !matches!(**byte, LINE_FEED | CARRIAGE_RETURN | 255)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_blanks_are_told_from_all_others_wherever_they_are() {
        for (byte, place) in (0..=255u8).flat_map(|byte| (0..8).map(move |place| (byte, place))) {
            for around in [0, b' ', b'!', b'a', b'Z', b'[', 0x80, 0xff] {
                let mut bytes = [around; 8];
                bytes[place] = byte;
                let word = u64::from_le_bytes(bytes);
                let by_byte = bytes.map(|byte| if byte.is_ascii_alphabetic() { 0x80 } else { 0 });
                assert_eq!(letters(word), u64::from_le_bytes(by_byte), "{bytes:?}");
                let first = bytes.iter().take_while(|byte| byte.is_ascii_alphabetic() || **byte == b' ').count();
                assert_eq!(words(word) as usize, first, "{bytes:?}");
            }
        }
    }

    /// The same, byte by byte.
    fn plain_from(bytes: [u8; 8], skipped: usize) -> Option<u32> {
        let rest = &bytes[skipped..];
        let plain = plain_in_front(rest);
        (plain != rest.len()).then(|| u32::try_from(plain).unwrap())
    }

    #[test]
    fn the_first_byte_that_is_not_plain_is_found_wherever_it_is() {
        for other in [0, 1, b'\t', b'\n', 0x0b, 0x0c, b'\r', 0x0e, b'a', 0x7f, 0x80, 0x8a, 0xf5, 0xfe, 0xff] {
            for (byte, place) in (0..=255u8).flat_map(|byte| (0..8).map(move |place| (byte, place))) {
                for plain in [0, b'a', 0xfe] {
                    let mut bytes = [plain; 8];
                    bytes[place] = byte;
                    bytes[7] = if place == 7 { byte } else { other };
                    for skipped in 0..8 {
                        let others = others(u64::from_ne_bytes(bytes), u32::try_from(skipped).unwrap());
                        let found = (others != 0).then(|| before_first(others));
                        assert_eq!(found, plain_from(bytes, skipped), "{bytes:?} from {skipped} on");
                    }
                }
            }
        }
    }
}
