//! What the kernel counts: the machine, our control groups, processes.
//!
//! Owns nothing and runs nothing; each function reads some files of `/proc` and `/sys/fs/cgroup` at the
//! moment it is called, in well under a millisecond. The files of `/proc` are parsed by the `procfs` crate.
//! Promises: what the kernel does not tell is none, never a made-up figure.

mod cgroup;
mod load;
mod process;

pub use load::{Counters, Flow, Load};
pub use process::{anonymous_bytes, cpu_seconds, descendants, open_files, resident_bytes};

use procfs::{Current, Meminfo};

/// What this machine calls itself now; empty when the kernel does not say.
pub fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Memory in bytes that we may plan with: the machine's, or less when a control group says so.
pub fn memory_limit() -> Option<u64> {
    let machine = Meminfo::current().ok().map(|m| m.mem_total);
    machine.into_iter().chain(cgroup::own().memory_max()).min()
}
