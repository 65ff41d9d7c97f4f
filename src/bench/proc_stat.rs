//! Figures of the measured process, in the units of the report; one that is gone is a failure.

use crate::base::{Error, ErrorKind, Result};
use crate::machine;

const MIB: f64 = (1 << 20) as f64;

/// Processor time used so far by all of a process's threads, in seconds.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    machine::cpu_seconds(pid).ok_or_else(gone)
}

/// Resident memory in MiB.
pub fn rss_mib(pid: u32) -> Result<f64> {
    machine::resident_bytes(pid).map(|bytes| bytes as f64 / MIB).ok_or_else(gone)
}

/// The part of it that is the process's own; the rest is its program file and libraries.
pub fn anonymous_mib(pid: u32) -> Result<f64> {
    machine::anonymous_bytes(pid).map(|bytes| bytes as f64 / MIB).ok_or_else(gone)
}

fn gone() -> Error {
    Error::new(ErrorKind::DependencyFailed, "The measured process is gone")
}
