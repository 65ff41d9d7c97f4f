//! What a box has of the system: what only grows is a leak.

use std::fmt;
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::guest::Guest;

/// A box that is as it was shows it within this time: connections of readers that are gone are closed a little later.
const SETTLE: Duration = Duration::from_secs(60);

/// What the daemon and its children have.
#[derive(Debug)]
pub struct Traces {
    descriptors: u64,
    /// Buffers of cameras in its memory.
    buffers: u64,
    /// Resident, KiB.
    memory: u64,
    /// Programs in its control group, each with how many there are.
    programs: String,
    /// What its descriptors are, each with how many there are.
    kinds: String,
}

impl Traces {
    pub fn of(guest: &Guest, daemon: &Daemon<'_>) -> Traces {
        let pid = daemon.pid();
        let number = |command: &str| guest.ok(command).parse::<u64>().unwrap();
        let group = "/sys/fs/cgroup$(systemctl show --property=ControlGroup --value box)/cgroup.procs";
        Traces {
            descriptors: number(&format!("ls /proc/{pid}/fd | wc -l")),
            buffers: number(&format!("grep -c /dev/video /proc/{pid}/maps || true")),
            memory: number(&format!("awk '/^VmRSS/ {{ print $2 }}' /proc/{pid}/status")),
            programs: guest.ok(&format!(
                "for p in $(cat {group}); do cat /proc/$p/comm; done | sort | uniq -c | xargs"
            )),
            kinds: guest.ok(&format!(
                "ls -l /proc/{pid}/fd | sed -n 's/.* -> //p' | sed 's/[0-9][0-9]*/N/g' | sort | uniq -c | xargs"
            )),
        }
    }

    /// As soon as it has no more than before, memory aside, or what it still has after a minute.
    pub fn settled(guest: &Guest, daemon: &Daemon<'_>, before: &Traces) -> Traces {
        let since = Instant::now();
        loop {
            let traces = Traces::of(guest, daemon);
            if traces.differs(before, u64::MAX).is_none() || since.elapsed() > SETTLE {
                return traces;
            }
        }
    }

    /// What it has more of than before; of memory it may have `slack` KiB more.
    pub fn differs(&self, before: &Traces, slack: u64) -> Option<String> {
        let more = [
            (self.descriptors > before.descriptors, "descriptors"),
            (self.buffers != before.buffers, "buffers of cameras"),
            (self.memory.saturating_sub(before.memory) > slack, "memory"),
            (self.programs != before.programs, "programs"),
        ];
        let words: Vec<_> = more.into_iter().filter(|(more, _)| *more).map(|(_, what)| what).collect();
        (!words.is_empty()).then(|| {
            format!("{}\nbefore {before}: {}\nafter {self}: {}", words.join(", "), before.kinds, self.kinds)
        })
    }
}

impl fmt::Display for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Traces { descriptors, buffers, memory, programs, .. } = self;
        write!(
            f,
            "{descriptors} descriptors, {buffers} buffers of cameras, {memory} KiB resident; {programs}"
        )
    }
}
