//! One process, by its number.

use procfs::process::{Process, Stat, all_processes};

fn of(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

fn stat(pid: u32) -> Option<Stat> {
    of(pid)?.stat().ok()
}

/// Processor time used so far by all of a process's threads, in seconds.
pub fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = stat(pid)?;
    Some(stat.utime.saturating_add(stat.stime) as f64 / procfs::ticks_per_second() as f64)
}

/// Resident memory (VmRSS) in bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    Some(of(pid)?.status().ok()?.vmrss? * 1024)
}

/// The part of it that is the process's own (RssAnon), in bytes; the rest is its program file and libraries.
pub fn anonymous_bytes(pid: u32) -> Option<u64> {
    Some(of(pid)?.status().ok()?.rssanon? * 1024)
}

/// Descriptors that it has open.
pub fn open_files(pid: u32) -> Option<usize> {
    of(pid)?.fd_count().ok()
}

/// Everything a process started that still runs, and what that started.
pub fn descendants(pid: u32) -> Vec<u32> {
    let all = all_processes().into_iter().flatten().flatten();
    let stats = all.filter_map(|process| process.stat().ok());
    let parents: Vec<(u32, u32)> =
        stats.filter_map(|s| Some((u32::try_from(s.pid).ok()?, u32::try_from(s.ppid).ok()?))).collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_figures_can_be_read() {
        let us = std::process::id();
        assert!(cpu_seconds(us).is_some());
        let resident = resident_bytes(us).unwrap();
        assert!(resident > 500_000 && resident >= anonymous_bytes(us).unwrap());
        assert!(open_files(us).unwrap() >= 3);
        let parent = std::os::unix::process::parent_id();
        assert!(descendants(parent).contains(&us));
        assert_eq!(cpu_seconds(u32::MAX), None);
    }
}
