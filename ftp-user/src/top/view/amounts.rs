//! Bytes, rates and times, in a few characters.

const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/// `512 B`, `1.5 KiB`, `48.2 MiB`.
#[expect(clippy::cast_precision_loss, reason = "one digit behind the point is shown")]
pub(super) fn bytes(count: u64) -> String {
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut units = UNITS.iter();
    let mut unit = units.next().unwrap_or(&"");
    // What would be rounded to 1024.0 is one of the next unit.
    while amount >= 1023.95
        && let Some(next) = units.next()
    {
        amount /= 1024.0;
        unit = next;
    }
    format!("{amount:.1} {unit}")
}

/// The same a second.
pub(super) fn rate(bytes_a_second: u64) -> String {
    format!("{}/s", bytes(bytes_a_second))
}

/// `9s`, `4m05s`, `3h07m`, `2d11h`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ages are positive and below a century")]
pub(super) fn time(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (minutes, hours) = (whole / 60, whole / 3600);
    match (minutes, hours) {
        (0, _) => format!("{whole}s"),
        (_, 0) => format!("{minutes}m{:02}s", whole % 60),
        (_, 1..48) => format!("{hours}h{:02}m", minutes % 60),
        _ => format!("{}d{:02}h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        let amounts: Vec<_> = [0, 1023, 1024, 1536, 1_048_575, 50_541_363, u64::MAX].into_iter().map(bytes).collect();
        assert_eq!(amounts, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "48.2 MiB", "16384.0 PiB"]);
        assert_eq!(rate(2048), "2.0 KiB/s");
        let times: Vec<_> = [0.4, 59.9, 245.0, 11_220.0, 212_400.0].into_iter().map(time).collect();
        assert_eq!(times, ["0s", "59s", "4m05s", "3h07m", "2d11h"]);
    }
}
