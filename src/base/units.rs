//! Durations and sizes as configuration and command line write them.

use std::time::Duration;

use jiff::SignedDuration;

/// `"500ms"`, `"10s"`, `"15m"`, `"1h 30m"`; plain `0` is zero. Not negative.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|d| Duration::try_from(d).ok())
        .ok_or_else(|| format!("{text:?} is not a duration; write it like \"500ms\", \"10s\" or \"15m\""))
}

/// `"5GiB"`, `"16 MiB"`, `"1000"` (bytes); KiB/MiB/GiB/TiB are powers of 1024, kB/MB/GB/TB of 1000.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let complaint = || format!("{text:?} is not a size; write it like \"16MiB\" or \"5GiB\"");
    let trimmed = text.trim();
    let split = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let number: u64 = trimmed[..split].parse().map_err(|_| complaint())?;
    let unit: u64 = match trimmed[split..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return Err(complaint()),
    };
    number.checked_mul(unit).ok_or_else(complaint)
}

/// A size for people: `"3.2 MiB"`.
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(parse_duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(parse_duration("15m").unwrap(), Duration::from_secs(900));
        assert_eq!(parse_duration("1h 30m").unwrap(), Duration::from_secs(5400));
        assert_eq!(parse_duration("0").unwrap(), Duration::ZERO);
        for bad in ["", "10", "-5s", "ten seconds", "5 parsecs"] {
            assert!(parse_duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("5GiB").unwrap(), 5 << 30);
        assert_eq!(parse_size("16 MiB").unwrap(), 16 << 20);
        assert_eq!(parse_size("1000").unwrap(), 1000);
        for bad in ["", "GiB", "-1", "1.5GiB", "5 bananas", "99999999999TiB"] {
            assert!(parse_size(bad).is_err(), "{bad:?}");
        }
        assert_eq!(show_size(3 * 1024 * 1024 + 200 * 1024), "3.2 MiB");
    }
}
