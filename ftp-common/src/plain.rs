//! Plain bytes, neither of a line end nor Telnet: where the rest of a line changes nothing they are skipped, a
//! 64-bit word at a time.

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

/// How many plain bytes are in front of the first of [`others`], which are not 0.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The same, byte by byte.
    fn plain_from(bytes: [u8; 8], skipped: usize) -> Option<u32> {
        let first = bytes[skipped..].iter().position(|byte| matches!(byte, b'\n' | b'\r' | 255));
        first.map(|first| u32::try_from(first).unwrap())
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
