//! What `/proc` says: children, memory, processor time.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// One process; the start time tells it from a later one with the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: u32,
    pub parent: u32,
    pub started: u64,
    pub name: String,
    /// `R`, `S`, `T` (stopped), `Z` (ended, not yet collected) …
    pub state: char,
    pub command: String,
}

impl Process {
    /// Reads one process.
    pub fn read(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, rest) = split_stat(&stat)?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Process {
            pid,
            parent: rest.get(1)?.parse().ok()?,
            started: rest.get(19)?.parse().ok()?,
            name: name.to_owned(),
            state: rest.first()?.chars().next()?,
            command: String::from_utf8_lossy(&command).replace('\0', " ").trim_end().to_owned(),
        })
    }

    /// Whether this very process is still running.
    pub fn alive(&self) -> bool {
        Process::read(self.pid).is_some_and(|p| p.started == self.started && p.state != 'Z')
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        assert!(self.alive(), "{self:?} has ended already");
        kill(Pid::from_raw(self.pid as i32), signal).unwrap();
    }
}

/// The name between the brackets, which may hold anything, and the fields after it from the state on.
fn split_stat(stat: &str) -> Option<(&str, Vec<&str>)> {
    let (open, close) = (stat.find('(')?, stat.rfind(')')?);
    Some((stat.get(open + 1..close)?, stat.get(close + 1..)?.split_whitespace().collect()))
}

/// Every process there is.
pub fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::read).collect()
}

/// The running children of a process, their children and so on.
pub fn descendants(of: u32) -> Vec<Process> {
    let everything = all();
    let mut family = BTreeSet::from([of]);
    loop {
        let before = family.len();
        family.extend(
            everything.iter().filter(|p| family.contains(&p.parent)).map(|p| p.pid).collect::<Vec<_>>(),
        );
        if family.len() == before {
            break;
        }
    }
    everything.into_iter().filter(|p| p.pid != of && family.contains(&p.pid) && p.state != 'Z').collect()
}

/// The running processes whose command line names a path.
pub fn naming(path: &Path) -> Vec<Process> {
    let text = path.to_string_lossy();
    all().into_iter().filter(|p| p.state != 'Z' && p.command.contains(&*text)).collect()
}

/// Whether a process has this file, or one below this folder, open.
pub fn has_open(pid: u32, path: &Path) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    open.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok()).any(|target| target.starts_with(path))
}

/// Resident memory in KiB.
pub fn rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Processor time used so far by all threads of a process, in seconds.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = split_stat(&stat).unwrap();
    let ticks: u64 = rest[11..13].iter().map(|t| t.parse::<u64>().unwrap()).sum();
    // USER_HZ is 100 on every Linux we run on.
    ticks as f64 / 100.0
}
