//! How much of the machine's memory is in use.

/// Percent; none where the kernel does not say.
pub(super) fn used_percent() -> Option<f64> {
    parse(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(meminfo: &str) -> Option<f64> {
    let kib = |name: &str| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    let (total, available) = (kib("MemTotal")?, kib("MemAvailable")?);
    (total > 0.0).then(|| (100.0 * (total - available) / total).clamp(0.0, 100.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_available_is_not_in_use() {
        let text = "MemTotal:        8000 kB\nMemFree:  100 kB\nMemAvailable:    2000 kB\n";
        assert_eq!(parse(text), Some(75.0));
        assert_eq!(parse("MemTotal: 8000 kB\n"), None);
        assert_eq!(parse("MemTotal: 0 kB\nMemAvailable: 0 kB\n"), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(MemTotal:|MemAvailable:|[0-9 a-z:.-]{0,20}|\n){0,9}") {
            let _ = parse(&text);
        }
    }
}
