//! What the kernel counts for a process.

use crate::base::{Error, ErrorKind, Result};

/// Processor time used so far by all of a process's threads, in seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|e| gone(&e))?;
    cpu_ticks(&text).map(|ticks| ticks as f64 / 100.0).ok_or_else(|| gone(&"unreadable"))
}

/// Resident memory in MiB.
pub fn rss_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "VmRSS:")
}

/// The part of it that is the process's own; the rest is its program file and libraries.
pub fn anonymous_mib(pid: u32) -> Result<f64> {
    status_mib(pid, "RssAnon:")
}

/// Everything a process started that still runs, and what that started.
pub fn descendants(pid: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let parent = |pid: u32| parent_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?);
    let all: Vec<(u32, u32)> = pids.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(all.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

fn parent_of(stat: &str) -> Option<u32> {
    stat.get(stat.rfind(')')? + 1..)?.split_whitespace().nth(1)?.parse().ok()
}

fn status_mib(pid: u32, field: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(|e| gone(&e))?;
    kib_of(&text, field).map(|kib| kib as f64 / 1024.0).ok_or_else(|| gone(&"unreadable"))
}

fn gone(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::DependencyFailed, format!("The measured process is gone: {cause}"))
}

/// utime + stime. The name in brackets may hold anything, so fields are counted from its end.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let fields: Vec<_> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    fields.get(11)?.parse::<u64>().ok()?.checked_add(fields.get(12)?.parse().ok()?)
}

fn kib_of(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|l| l.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194304 1 2 3 4 250 50 0 0 20 0 4 0 99 1 1 1";
        assert_eq!(cpu_ticks(stat), Some(300));
        assert_eq!(parent_of(stat), Some(1));
        assert_eq!(kib_of("VmPeak: 1 kB\nVmRSS:\t  2048 kB\n", "VmRSS:"), Some(2048));
    }

    #[test]
    fn our_own_figures_can_be_read() {
        assert!(cpu_seconds(std::process::id()).is_ok());
        assert!(rss_mib(std::process::id()).unwrap() > 0.5);
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in ".*") {
            let _ = cpu_ticks(&text);
            let _ = parent_of(&text);
            let _ = kib_of(&text, "VmRSS:");
        }
    }
}
