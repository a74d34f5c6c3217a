//! Times: the kernel's are nanoseconds of `CLOCK_MONOTONIC`, a person's are of the wall.

use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`, now.
#[must_use]
pub fn monotonic() -> u64 {
    u64::try_from(nanoseconds(ClockId::Monotonic)).unwrap_or(0)
}

/// A time since the machine was started, as the kernel counts it (`CLOCK_BOOTTIME`), as one of the wall's.
#[must_use]
pub fn since_boot(time: Duration) -> Option<SystemTime> {
    let ahead = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime);
    let unix = u64::try_from(i64::try_from(time.as_nanos()).ok()?.checked_add(ahead)?).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(unix))
}

/// Seconds since a time of the kernel's, to the millisecond; 0 if it lies ahead.
#[must_use]
pub fn seconds_since(then: u64, now: u64) -> f64 {
    seconds(now.saturating_sub(then))
}

/// Nanoseconds as seconds, to the millisecond.
#[must_use]
pub fn seconds(nanoseconds: u64) -> f64 {
    let milliseconds = u32::try_from(nanoseconds / 1_000_000).unwrap_or(u32::MAX);
    f64::from(milliseconds) / 1000.0
}

/// A time of the kernel's as seconds since 1970, UTC, to the millisecond.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "milliseconds have room in an f64 for 285,000 years")]
pub fn unix_seconds(kernel: u64) -> f64 {
    let ahead = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Monotonic);
    let time = i64::try_from(kernel).unwrap_or(i64::MAX).saturating_add(ahead);
    (time / 1_000_000) as f64 / 1000.0
}

/// A time of the kernel's as local wall-clock time, `12:00:01.123`.
///
/// The distance between the two clocks is asked anew each time, since the wall's may be set.
#[must_use]
pub fn wall(kernel: u64) -> String {
    let ahead = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Monotonic);
    time_of_day(i64::try_from(kernel).unwrap_or(i64::MAX).saturating_add(ahead))
}

/// Nanoseconds since 1970, UTC, as local wall-clock time, `12:00:01.123`.
#[must_use]
pub fn time_of_day(unix: i64) -> String {
    let milliseconds = unix.rem_euclid(SECOND) / 1_000_000;
    let local = local(unix.div_euclid(SECOND));
    format!("{:02}:{:02}:{:02}.{milliseconds:03}", local.tm_hour, local.tm_min, local.tm_sec)
}

/// Nanoseconds since 1970, UTC, as a local day, `2026-11-24`.
#[must_use]
pub fn day(unix: i64) -> String {
    let local = local(unix.div_euclid(SECOND));
    format!("{:04}-{:02}-{:02}", i64::from(local.tm_year) + 1900, local.tm_mon + 1, local.tm_mday)
}

/// Seconds since midnight, local.
#[must_use]
pub fn second_of_day() -> u64 {
    let local = local(nanoseconds(ClockId::Realtime) / SECOND);
    let seconds = (local.tm_hour * 60 + local.tm_min) * 60 + local.tm_sec;
    u64::try_from(seconds).unwrap_or(0)
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec * SECOND + time.tv_nsec
}

fn local(seconds: i64) -> libc::tm {
    let mut local = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call, which writes at most one `tm`.
    unsafe { libc::localtime_r(&raw const seconds, local.as_mut_ptr()) };
    // SAFETY: `tm` is valid when zeroed, and so it stays if the call failed.
    unsafe { local.assume_init() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_in_milliseconds_and_never_negative() {
        assert!((seconds_since(1_000_000_000, 2_234_567_890) - 1.234).abs() < f64::EPSILON);
        assert!(seconds_since(5, 4).abs() < f64::EPSILON);
    }

    #[test]
    fn wall_time_has_milliseconds() {
        let text = wall(monotonic());
        assert_eq!(text.len(), "12:00:01.123".len(), "{text}");
        assert_eq!(text.as_bytes()[8], b'.');
    }
}
