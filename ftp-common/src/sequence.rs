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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        assert!(before(u32::MAX, 0));
        assert!(after(3, u32::MAX - 3));
        assert!(!before(7, 7));
        assert!(!after(7, 7));
    }
}
