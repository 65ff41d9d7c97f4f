//! How busy the machine is: counters of the kernel, and what two readings of them say.

use std::path::PathBuf;

use procfs::{Current, CurrentSI, DiskStats, KernelStats, Meminfo};

use super::cgroup::{self, Groups, Share};
use crate::base::Mono;

/// `/proc/diskstats` counts in these, whatever the disk's own are.
const SECTOR: u64 = 512;

/// What the kernel has counted until one moment.
pub struct Counters {
    at: Mono,
    processors: Option<Processors>,
    shares: Vec<Share>,
    network: Option<(u64, u64)>,
    disks: Option<(u64, u64)>,
    memory_percent: Option<f64>,
}

/// Processor time, in ticks since the machine started.
#[derive(Clone, Copy)]
struct Processors {
    busy: u64,
    all: u64,
}

/// Bytes a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flow {
    /// Received, or read.
    pub inward: f64,
    /// Sent, or written.
    pub outward: f64,
}

/// How busy the machine was between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Of all processors, or of the quota of a control group when that is nearer to its end; 0–100.
    pub cpu_percent: Option<f64>,
    /// Of the machine's memory, or of the limit of a control group when that is nearer to its end; 0–100.
    pub memory_percent: Option<f64>,
    /// All interfaces but the loopback.
    pub network: Option<Flow>,
    /// All disks.
    pub disks: Option<Flow>,
}

impl Counters {
    /// Reads them. Takes about 0.2 ms.
    pub fn read() -> Self {
        let groups = cgroup::own();
        Self {
            at: Mono::now(),
            processors: processors(),
            shares: groups.shares(),
            network: network(),
            disks: disks(),
            memory_percent: memory_percent(&groups),
        }
    }

    /// The load since `before`; without it processors are judged since the machine started, and flows are
    /// not known.
    pub fn since(&self, before: Option<&Counters>) -> Load {
        let Some(before) = before else {
            let cpu_percent = self.processors.map(|now| now.percent(&Processors { busy: 0, all: 0 }));
            return Load { cpu_percent, memory_percent: self.memory_percent, ..Load::default() };
        };
        let seconds = self.at.since(before.at).as_secs_f64();
        let flow = |now: Option<(u64, u64)>, then: Option<(u64, u64)>| {
            let ((in_now, out_now), (in_then, out_then)) = (now?, then?);
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
            (seconds > 0.0).then(|| Flow { inward: rate(in_now, in_then), outward: rate(out_now, out_then) })
        };
        let machine = self.processors.zip(before.processors).map(|(now, then)| now.percent(&then));
        let quotas = self.shares.iter().filter_map(|now| {
            let then = before.shares.iter().find(|then| then.folder == now.folder)?;
            let used = now.used_us.saturating_sub(then.used_us) as f64 / 1e6;
            (seconds > 0.0).then(|| (100.0 * used / (seconds * now.processors)).min(100.0))
        });
        Load {
            cpu_percent: machine.into_iter().chain(quotas).max_by(f64::total_cmp),
            memory_percent: self.memory_percent,
            network: flow(self.network, before.network),
            disks: flow(self.disks, before.disks),
        }
    }
}

impl Processors {
    /// Since `then`; counters that went back (they may, of waiting for disks) count as idle.
    fn percent(&self, then: &Processors) -> f64 {
        let all = self.all.saturating_sub(then.all);
        let busy = self.busy.saturating_sub(then.busy);
        (100.0 * busy as f64 / all.max(1) as f64).min(100.0)
    }
}

fn processors() -> Option<Processors> {
    let t = KernelStats::current().ok()?.total;
    // Guests' time stands in user's already; waiting for a disk is idle.
    let more = [t.irq, t.softirq, t.steal].map(Option::unwrap_or_default);
    let busy = t.user + t.nice + t.system + more.iter().sum::<u64>();
    Some(Processors { busy, all: busy + t.idle + t.iowait.unwrap_or_default() })
}

fn memory_percent(groups: &Groups) -> Option<f64> {
    let machine = Meminfo::current().ok().and_then(|m| {
        let (total, available) = (m.mem_total, m.mem_available?);
        let used = total.saturating_sub(available);
        (total > 0).then(|| 100.0 * used as f64 / total as f64)
    });
    machine.into_iter().chain(groups.memory_percent()).max_by(f64::total_cmp)
}

fn network() -> Option<(u64, u64)> {
    let interfaces = procfs::net::dev_status().ok()?;
    let all = interfaces.values().filter(|i| i.name != "lo");
    Some(all.fold((0, 0), |(i, o), device| (i + device.recv_bytes, o + device.sent_bytes)))
}

fn disks() -> Option<(u64, u64)> {
    let mut sum = (0, 0);
    // Partitions, loops and mapped devices would count the same bytes again.
    let is_disk = |name: &str| PathBuf::from("/sys/block").join(name).join("device").exists();
    for disk in DiskStats::current().ok()?.0.iter().filter(|disk| is_disk(&disk.name)) {
        sum.0 += disk.sectors_read * SECTOR;
        sum.1 += disk.sectors_written * SECTOR;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(at_s: u64, busy: u64, all: u64, used_us: u64) -> Counters {
        Counters {
            at: Mono(at_s * 1_000_000_000),
            processors: Some(Processors { busy, all }),
            shares: vec![Share { folder: "/g".into(), used_us, processors: 0.5 }],
            network: Some((at_s * 10, at_s * 20)),
            disks: None,
            memory_percent: Some(40.0),
        }
    }

    #[test]
    fn a_load_is_what_happened_in_between_and_the_nearer_limit_counts() {
        let first = counters(100, 500, 1000, 0);
        assert_eq!(first.since(None).cpu_percent, Some(50.0));
        // A quarter of the machine, half of the quota.
        let load = counters(110, 750, 2000, 2_500_000).since(Some(&first));
        assert_eq!(load.cpu_percent, Some(50.0));
        assert_eq!(counters(110, 1400, 2000, 2_500_000).since(Some(&first)).cpu_percent, Some(90.0));
        assert_eq!(load.network, Some(Flow { inward: 10.0, outward: 20.0 }));
        assert_eq!((load.disks, load.memory_percent), (None, Some(40.0)));
        // Counters that went back, and no time at all.
        let load = counters(100, 0, 0, 0).since(Some(&first));
        assert_eq!((load.cpu_percent, load.network), (Some(0.0), None));
    }

    #[test]
    fn this_machine_can_be_read() {
        let before = Counters::read();
        let spun = (0..20_000_000u64).fold(0, |sum: u64, n| std::hint::black_box(sum ^ n));
        let load = Counters::read().since(Some(&before));
        assert!((0.0..=100.0).contains(&load.cpu_percent.unwrap()), "{load:?} {spun}");
        assert!((1.0..=100.0).contains(&load.memory_percent.unwrap()), "{load:?}");
        assert!(load.network.is_some() && load.disks.is_some(), "{load:?}");
    }
}
