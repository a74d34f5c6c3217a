//! TCP sequence numbers (RFC 9293 §3.4): 32 bits that wrap, so "before" is a signed distance.

/// Whether `a` comes before `b`.
#[inline(always)]
#[must_use]
pub const fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

/// Whether `a` comes after `b`.
#[inline(always)]
#[must_use]
pub const fn after(a: u32, b: u32) -> bool {
    before(b, a)
}

/// How far from the expected position a segment can lie and still concern the receiver: the window
/// of a control connection. What lies farther off is ignored, as TCP does.
pub const WINDOW: u32 = 1 << 16;

/// Whether `a` is no farther from `b` than [`WINDOW`], on either side.
#[inline(always)]
#[must_use]
pub const fn is_near(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) <= WINDOW || b.wrapping_sub(a) <= WINDOW
}

/// Whether `a` lies in `first..=last`; nothing does where `last` is before `first`.
#[inline(always)]
#[must_use]
pub const fn is_within(a: u32, first: u32, last: u32) -> bool {
    !before(a, first) && !after(a, last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        assert!(before(u32::MAX, 0));
        assert!(after(3, u32::MAX - 3));
        assert!(!before(7, 7));
        assert!(!after(7, 7));
        assert!(is_near(u32::MAX, 3) && is_near(3, u32::MAX));
        assert!(is_within(7, 7, 7) && is_within(1, u32::MAX, 2) && !is_within(3, u32::MAX, 2) && !is_within(7, 8, 6));
        assert_eq!(WINDOW, 65536);
        assert!(is_near(WINDOW, 0) && !is_near(WINDOW + 1, 0) && !is_near(0, WINDOW + 1));
    }
}
