//! How much memory MediaMTX may plan with (`GOMEMLIMIT`).
//!
//! A quarter of what the box (or our cgroup) has, between 256 MiB and 2 GiB. Measured: 64 readers of
//! 64 streams need 127 MiB of live heap, and a limit below the live heap makes the collector eat
//! more than a core; so the limit is a ceiling for bursts, never a diet.

use std::path::Path;

const FLOOR_MIB: u64 = 256;
const CEILING_MIB: u64 = 2048;

/// The value for `GOMEMLIMIT`.
pub(super) fn go_memory_limit() -> String {
    let read = |p: &Path| std::fs::read_to_string(p).ok();
    let total = read(Path::new("/proc/meminfo")).and_then(|t| mem_total(&t));
    let cgroup = read(Path::new("/proc/self/cgroup"))
        .and_then(|t| t.lines().find_map(|l| l.strip_prefix("0::/")).map(str::to_owned))
        .and_then(|own| read(&Path::new("/sys/fs/cgroup").join(own).join("memory.max")))
        .and_then(|t| t.trim().parse().ok());
    format!("{}MiB", quarter(total, cgroup))
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn quarter(total: Option<u64>, cgroup: Option<u64>) -> u64 {
    let bytes = [total, cgroup].into_iter().flatten().min().unwrap_or(0);
    (bytes / 4 / (1 << 20)).clamp(FLOOR_MIB, CEILING_MIB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_quarter_within_bounds() {
        assert_eq!(mem_total("MemTotal:        4026532 kB\nMemFree: 1 kB\n"), Some(4_123_168_768));
        assert_eq!(quarter(Some(4 << 30), None), 1024);
        assert_eq!(quarter(Some(64 << 30), Some(2 << 30)), 512);
        assert_eq!(quarter(Some(512 << 20), None), FLOOR_MIB);
        assert_eq!(quarter(None, None), FLOOR_MIB);
        assert_eq!(quarter(Some(u64::MAX), None), CEILING_MIB);
    }

    proptest! {
        #[test]
        fn any_meminfo_is_read_without_panic(text in ".*") {
            let _ = mem_total(&text);
            let _ = mem_total(&format!("MemTotal:{text}"));
        }
    }
}
